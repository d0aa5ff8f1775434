// The command line of jenner-trainer (docs/formats/job.md).
#ifndef JENNER_WORKER_TRAINER_OPTIONS_H_
#define JENNER_WORKER_TRAINER_OPTIONS_H_

#include <optional>
#include <string>

namespace jenner::trainer {

struct Options {
  std::string spec_path;
  std::string models_dir;
  std::string data_dir;  // of datasets named by hash
  std::string out_dir;
  std::string initial_dir;  // what the job before left (adapter/ or model/), with training.after
  int threads = 0;          // of tensor code; 0: all processors
  int rank = 0;
  int world_size = 1;
  std::string store;  // what rank 0 announced: "ip:port", on GPUs "nccl:..."; ranks above 0
  // Where rank 0's store listens; "": on `interface` if that is set, else 127.0.0.1.
  std::string store_host;
  // The name or IPv4 address of the network interface for what ranks exchange; "": for rank 0 that
  // of store_host, for the others the one towards rank 0.
  std::string interface;
  int cuda_device = -1;     // -1: the CPU
  std::string cuda_plugin;  // path of libjenner_cuda.so; "": beside the executable
  // Of one exchange between ranks. Long: ranks wait for those that evaluate more. A dead peer shows
  // by its closed connection, a lost machine by its lease, a hang by the agent's progress limit.
  int peer_timeout_s = 86'400;
  int rendezvous_timeout_s = 300;  // for all ranks to be there
  int events_fd = 1;
  int stop_after = 0;  // steps after which to behave as on SIGTERM; 0: never (for tests)
};

// nullopt after --help or a fault, which has been printed; *exit_code is then what main returns.
std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_OPTIONS_H_

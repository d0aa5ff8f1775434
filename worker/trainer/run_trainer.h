// For tests: runs jenner-trainer processes on the tiny model of tests/golden/train and reads their
// events. With JENNER_TEST_ON_GPUS in the environment their jobs are for GPUs; ranks share one if
// there are fewer than ranks, and all is skipped if there is none.
#ifndef JENNER_WORKER_TRAINER_RUN_TRAINER_H_
#define JENNER_WORKER_TRAINER_RUN_TRAINER_H_

#include <sys/types.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace jenner::trainer {

inline constexpr char kGoldenFolder[] = JENNER_SOURCE_DIR "/tests/golden/train";

bool IsOnGpus();

struct Outcome {
  int exit_code = -1;  // or minus the signal
  std::vector<nlohmann::json> events;

  std::vector<nlohmann::json> Of(const std::string& kind) const;
  // The message of `failed`, or "".
  std::string Failure() const;
};

// One process; its events go to <out>/events-<rank>.jsonl, its errors to <out>/stderr-<rank>.txt.
class TrainerProcess {
 public:
  // `flags` beside --spec, --models-dir, --out, --threads 1 and --events-fd.
  TrainerProcess(const std::string& spec_path, const std::string& out, int rank,
                 const std::vector<std::string>& flags = {},
                 const std::string& models_dir = kGoldenFolder);
  pid_t pid() const { return pid_; }
  // Blocks until an event satisfies `wanted` or the process has ended; returns it or null. At most
  // 50 s.
  nlohmann::json WaitFor(const std::function<bool(const nlohmann::json&)>& wanted);
  void Signal(int number) const;
  Outcome Wait();

 private:
  std::vector<nlohmann::json> ReadEvents() const;
  pid_t pid_ = -1;
  std::string events_path_;
  bool ended_ = false;
  int status_ = 0;
};

// A new empty folder, removed at the end of the process.
std::string NewFolder();
// Writes `spec` to <folder>/job.json after making its dataset paths absolute, and returns the path.
std::string WriteJob(const std::string& folder, nlohmann::json spec);
nlohmann::json GoldenJob(const std::string& name);
// The golden LoRA job with dropout and evaluations after steps 3, 6 and 10.
nlohmann::json JobWithEvaluation();
// What a rank told the coordinator and the hashes of what it left, in order, without what two runs
// may differ in.
std::vector<nlohmann::json> Told(const Outcome& outcome);
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& text);

// One rank from start to end.
Outcome RunAlone(const nlohmann::json& spec, const std::string& out,
                 const std::vector<std::string>& flags = {});
// Two ranks joined over loopback, from start to end.
std::vector<Outcome> RunPair(const nlohmann::json& spec, const std::string& out,
                             const std::vector<std::string>& flags = {});

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_RUN_TRAINER_H_

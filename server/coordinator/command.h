// Commands: what may be asked of the coordinator. Each may be refused. Ids, times and everything
// random come in the command or beside it.
#ifndef JENNER_SERVER_COORDINATOR_COMMAND_H_
#define JENNER_SERVER_COORDINATOR_COMMAND_H_

#include <string>
#include <variant>
#include <vector>

#include "server/coordinator/state.h"

namespace jenner::coordinator {

struct CreateExperiment {
  std::string id;
  std::string request_id;     // "": none
  std::string fingerprint;    // hash of the request's body
  core::ExperimentSpec spec;  // resolved and valid
  std::string creator = {};   // whose token asked for it; "": nobody's
  std::string project = {};   // of that token
  std::string owner = kDefaultOwner;
};
struct CancelExperiment {
  std::string id;
  bool kill = false;  // at once, without the trainers' grace
};
struct PauseExperiment {
  std::string id;
};
struct ResumeExperiment {
  std::string id;
};
struct CordonWorker {
  std::string worker;
  Cordon cordon = Cordon::kCordoned;
};
struct UncordonWorker {
  std::string worker;
};
struct DeleteExperiment {
  std::string id;
};

enum class Phase { kPreparing, kRunning, kUploading, kEnded };

struct RankReport {
  RankKey key;
  Phase phase = Phase::kPreparing;
  std::string store_address;
  int32_t step = 0;
  int32_t total_steps = 0;
  int32_t exit_code = 0;
  Reason error;  // blame is derived from exit_code
  std::vector<Artifact> artifacts;
  // Rank 0.
  int32_t resumed_step = 0;     // 0: it did not go on from a checkpoint
  int32_t checkpoint_step = 0;  // of the newest checkpoint that it has uploaded; 0: none
  std::vector<Artifact> checkpoint_files = {};
};

inline constexpr int32_t kMaxSlots = 1024;
inline constexpr int32_t kMaxGpus = 64;
inline constexpr size_t kMaxArtifacts = 1000;  // of a rank
inline constexpr size_t kMaxCheckpointFiles = 256;
inline constexpr size_t kMaxErrorBytes = 4 << 10;  // longer messages are cut

// An agent's report. Observe() takes its liveness, Decide() its news.
struct WorkerSync {
  std::string worker;
  std::string boot_id;
  int32_t slots = 0;
  std::vector<std::string> models;
  std::string host;
  std::string version;
  std::vector<RankReport> ranks;
  int32_t gpus = 0;
  std::string only_job = {};  // WorkerInfo::only_job
};

// Time went on: expires leases, ends gangs and experiments, places waiting jobs. Decide() returns
// the events of the first of these that has any; call it again until there is none.
struct Tick {};

using Command = std::variant<CreateExperiment, CancelExperiment, PauseExperiment, ResumeExperiment,
                             DeleteExperiment, CordonWorker, UncordonWorker, WorkerSync, Tick>;

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_COMMAND_H_

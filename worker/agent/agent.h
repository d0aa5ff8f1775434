// Agent: brings the ranks on this machine to where the coordinator wants them. Two threads, both
// started by main.cc: Run() synchronises, spawns and reaps; RunUploads() sends what trainers write.
// After a restart of the agent the trainers of its former life are gone (they are killed with it;
// what is left is killed at the start), and the coordinator hears of it by their absence.
//
// Below work_dir:  lock  data/<sha256>  out/<experiment>/<job>/ (checkpoints; kept between
// attempts)
//                  attempts/<experiment>/<job>/<attempt>-<rank>/{job.json, events.jsonl,
//                  trainer.log, process}
#ifndef JENNER_WORKER_AGENT_AGENT_H_
#define JENNER_WORKER_AGENT_AGENT_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "worker/agent/child.h"
#include "worker/agent/link.h"
#include "worker/agent/rank_key.h"
#include "worker/agent/reconcile.h"

namespace jenner::agent {

struct AgentOptions {
  // Behaviour.
  std::string server;
  std::string name;
  std::string models_dir;
  std::string work_dir;
  std::string trainer;             // path of jenner-trainer
  std::string host = "127.0.0.1";  // where other ranks reach this machine
  int slots = 1;
  int threads_per_rank = 1;
  // Limits.
  absl::Duration stop_grace = absl::Seconds(10);  // between SIGTERM and SIGKILL
  int64_t max_log_bytes = int64_t{16} << 20;      // of a trainer's log on disk
};

// What trainers' event lines have told so far.
struct RankFacts {
  std::string store_address;
  int32_t step = 0;
  int32_t total_steps = 0;
  bool finished = false;
  std::string error_code;
  std::string error_message;
  struct Artifact {
    std::string name;
    std::string path;
    std::string sha256;
    int64_t size_bytes = 0;
  };
  std::vector<Artifact> artifacts;
};

// True if the coordinator takes this event line (UploadTelemetry in proto/jenner/v1/worker.proto).
bool IsTelemetry(const std::string& line);

// Takes what one event line tells into *facts. A line that is no event tells nothing.
void Learn(const std::string& line, RankFacts* facts);

class Agent {
 public:
  // Locks the work folder, kills what a former agent left. FailedPrecondition: another agent runs
  // there.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(AgentOptions options);
  ~Agent();

  // Until Stop() was called and every rank has ended and was told of, or the lease ran out
  // meanwhile.
  void Run();
  void RunUploads();
  // Async-signal-safe.
  void Stop() { draining_ = true; }

 private:
  struct Rank;
  explicit Agent(AgentOptions options);
  bool SynchronizeOnce();
  void TakeAssignments(const v1::SynchronizeResponse& response);
  void Act();
  void Prepare(Rank* rank);
  void Start(Rank* rank);
  void StopRank(Rank* rank);
  void CheckChildren();
  void Fail(Rank* rank, int exit_code, const std::string& code, const absl::Status& status);
  bool UploadSome(const std::shared_ptr<Rank>& rank);
  bool UploadArtifacts(const std::shared_ptr<Rank>& rank);
  v1::SynchronizeRequest Report();

  const AgentOptions options_;
  const std::string boot_id_;
  Link link_;
  UniqueFd lock_;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> uploads_over_ = false;
  absl::Time last_answer_ = absl::Now();
  absl::Duration lease_ = absl::Seconds(15);
  absl::Duration pause_ = absl::Seconds(1);

  std::mutex mutex_;  // guards ranks_ and every Rank's members
  std::map<RankKey, std::shared_ptr<Rank>> ranks_;
  std::map<RankKey, v1::Assignment> wanted_;  // Run()'s thread only
};

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_AGENT_H_

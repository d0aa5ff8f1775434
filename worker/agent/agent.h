// Agent: brings the ranks on this machine to where the coordinator wants them. Five threads,
// started by main.cc: Run() synchronises, spawns and reaps, and never waits for more than one
// Synchronize; RunTelemetry() sends the event lines and logs that trainers write; RunBlobs()
// downloads datasets and uploads artifacts, however long they take; RunCheckpoints() uploads
// checkpoints, one at a time and of each rank the newest; RunJudges() asks judges about samples,
// before they are sent. What is to be sent waits in files, not in memory.
//
// One whose certificate is refused before it was ever let in ends, too: no waiting would help.
//
// With only_job it is there for one job: once the coordinator says that the job has ended, it ends
// as by Stop(), and HasDoneItsJob() is true.
//
// Leases: without an answer for the lease's length, counted from when the last answered call was
// made, the agent SIGKILLs its ranks, for the coordinator may have given them away, also if it was
// itself asleep; it reports them as ended (LEASE_LOST) once it is heard again. Trainers die with
// their agent (PR_SET_PDEATHSIG); a new agent kills what is left and the coordinator hears of it by
// the ranks' absence.
//
// Below work_dir:
//   lock
//   data/<sha256>                   datasets; the least recently used go beyond max_cache_bytes
//   out/<experiment>/<job>/         checkpoints and results of a job, and in initial/ what it
//                                   begins with if it goes on from another one; shared by its
//                                   attempts on this machine, so that a later one goes on without a
//                                   download; removed when the coordinator says that the job has
//                                   ended, or once nothing changed for keep_checkpoints
//   attempts/<experiment>/<job>/<attempt>-<rank>/{job.json, events.jsonl, judged.jsonl,
//                                   trainer.log, process, checkpoint-<step>/}
//                                   removed when the coordinator has taken the rank's end
#ifndef JENNER_WORKER_AGENT_AGENT_H_
#define JENNER_WORKER_AGENT_AGENT_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/agent/facts.h"
#include "worker/agent/files.h"
#include "worker/agent/judges.h"
#include "worker/agent/link.h"
#include "worker/agent/process.h"
#include "worker/agent/rank_key.h"
#include "worker/agent/reconcile.h"

namespace jenner::agent {

struct AgentOptions {
  // Behaviour.
  std::string server;
  std::optional<wire::Tls> tls;  // plaintext without; its certificate names this worker
  std::string name;
  std::string models_dir;
  std::string work_dir;
  std::string trainer;             // path of jenner-trainer
  std::string host = "127.0.0.1";  // where other ranks reach this machine
  std::string interface;           // for what ranks exchange, by name or IPv4 address; "": by route
  int slots = 1;
  int gpus = 0;  // each for one rank
  int threads_per_rank = 1;
  std::string only_job;  // "experiment/job": reserved for it; "": takes any job's ranks
  std::vector<JudgeOptions> judges;
  // Limits.
  absl::Duration judge_timeout = absl::Seconds(60);   // of a request, and what it is repeated by
  absl::Duration stop_grace = absl::Seconds(10);      // between SIGTERM and SIGKILL
  absl::Duration drain_limit = absl::Seconds(60);     // from Stop() to the end, uploads included
  absl::Duration transfer_limit = absl::Minutes(30);  // without progress: the rank fails
  // A rank 0 that tells nothing for so long, neither event nor log, is killed: it hangs, or a peer
  // of its gang does.
  absl::Duration progress_limit = absl::Minutes(30);
  absl::Duration keep_checkpoints = absl::Hours(24);
  int64_t max_log_bytes = int64_t{16} << 20;    // of a trainer's log, looked at ten times a second
  int64_t max_events_bytes = int64_t{4} << 30;  // of a trainer's events; more is a failure
  int64_t max_cache_bytes = int64_t{32} << 30;  // of datasets
  // A checkpoint that is larger stays on this machine; 0: all do.
  int64_t max_checkpoint_bytes = int64_t{1} << 30;
  absl::Duration share_interval = absl::Minutes(1);  // between checkpoints of a running trainer
};

class Agent {
 public:
  // Locks the work folder, kills what a former agent left. FailedPrecondition: another agent runs
  // there. NotFound: there is no trainer.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(AgentOptions options);
  ~Agent();

  // Until Stop() was called and every rank has ended and was told of (not if the coordinator
  // refuses this version), or drain_limit is over. What the others have under way then is cut off,
  // so that they return, too.
  void Run();
  void RunTelemetry();
  void RunBlobs();
  void RunCheckpoints();
  void RunJudges();
  // Async-signal-safe.
  void Stop() { draining_ = true; }
  // The job that it is reserved for has ended, well or not. Meaningful once Run() has returned.
  bool HasDoneItsJob() const { return has_done_its_job_; }
  // Not OK: the coordinator never let it in, for what its certificate says, and it ended. The same.
  const absl::Status& refusal() const { return refusal_; }

 private:
  struct Rank;
  struct Refusal;
  struct SharedCheckpoint;
  using RankStep = bool (Agent::*)(const std::shared_ptr<Rank>&);
  explicit Agent(AgentOptions options);

  // Run()'s thread; those with a Rank hold the mutex.
  void Synchronize();
  void TakeAssignments(const v1::SynchronizeResponse& response);
  void FenceOff();
  void Act();
  void Perform(const Action& action);
  absl::Status Prepare(Rank* rank);
  absl::Status Start(Rank* rank);
  bool TakeGpu(Rank* rank);
  void StopRank(Rank* rank);
  void Drop(const RankKey& key);
  void CheckChildren();
  void CheckChild(Rank* rank);
  void ReadFacts(Rank* rank);
  void TakeCheckpoint(Rank* rank);
  void SetAside(const RankKey& key);
  void LoseEvents(Rank* rank, const absl::Status& status);
  void BoundFiles(Rank* rank);
  void CheckProgress(Rank* rank);
  void KeepHouse();
  bool IsTold();
  bool IsDrained();
  v1::SynchronizeRequest Report(bool with_progress);
  std::set<std::string> KeptJobs();
  void Forget(const std::string& job);

  // The other threads'; true: there may be more to do at once.
  void RunSteps(const std::vector<RankStep>& steps);
  bool SendTelemetry(const std::shared_ptr<Rank>& rank);
  bool JudgeLines(const std::shared_ptr<Rank>& rank);
  bool Download(const std::shared_ptr<Rank>& rank);
  bool UploadArtifact(const std::shared_ptr<Rank>& rank);
  bool UploadCheckpoint(const std::shared_ptr<Rank>& rank);
  // Puts the checkpoint that a rank is to go on from where its trainer looks for it, unless there
  // is one that is as new. OK, too, if the coordinator does not have it whole any more.
  absl::Status FetchCheckpoint(Rank* rank);
  // Puts what the job begins with into its initial/, unless it goes on from a checkpoint.
  absl::Status FetchInitial(Rank* rank);
  // What a batch that is refused as a whole holds that is not.
  absl::Status SendOneByOne(const v1::UploadTelemetryRequest& batch, Cancellation* calls,
                            int64_t* num_refused);
  // What became of a transfer, with the mutex held. False: it is to be tried again later, or not
  // wanted any more.
  bool Settle(Rank* rank, Refusal* refusal, const char* what, const absl::Status& status);

  // Any thread's, with the mutex held. Another attempt may come to need what has not been uploaded.
  bool HasCheckpointToSend(const Rank& rank) const;

  // Any thread's, with the mutex held. Nothing more is sent of the rank; if its process is gone, it
  // has ended, and not well.
  void GiveUp(Rank* rank);

  const AgentOptions options_;
  const std::string boot_id_;
  Link link_;
  Judges judges_;  // RunJudges()'s thread only
  UniqueFd lock_;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> over_ = false;  // Run() has returned

  // Run()'s thread only. Times are of MonotonicNow().
  absl::Duration lease_ = absl::Seconds(15);
  absl::Time lease_until_ = MonotonicNow() + lease_;
  absl::Duration pause_ = absl::Seconds(1);
  absl::Time next_synchronize_ = absl::InfinitePast();
  absl::Time next_housekeeping_ = absl::InfinitePast();
  std::string told_;  // what the coordinator knows, without progress
  bool has_done_its_job_ = false;
  bool is_known_ = false;  // a Synchronize was answered since the start
  absl::Status refusal_;
  std::atomic<bool> heard_ = true;  // the last Synchronize was answered
  // Of the last Synchronize, so that a fault is logged once; UNAVAILABLE for all that mean "away".
  absl::StatusCode fault_ = absl::StatusCode::kOk;
  bool is_refused_ = false;  // for its version: nothing that it tells or uploads will count
  std::vector<std::string> models_;
  std::map<RankKey, v1::Assignment> wanted_;

  std::mutex mutex_;  // guards ranks_ and every Rank's members
  std::map<RankKey, std::shared_ptr<Rank>> ranks_;
};

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_AGENT_H_

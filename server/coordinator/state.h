// State: everything the coordinator knows, as plain values. Three parts with different fates:
// - experiments and what is with them: durable, changed by Apply() alone, equal to the fold of the
//   event log; the index follows from them;
// - liveness: volatile (leases, offers, progress), changed by Observe() alone, empty after a
//   restart and rebuilt from the next reports of the agents;
// - quotas: configuration, given before the first command and changed by nothing.
// Not thread-safe: one thread owns it.
#ifndef JENNER_SERVER_COORDINATOR_STATE_H_
#define JENNER_SERVER_COORDINATOR_STATE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/resolve.h"
#include "server/coordinator/index.h"
#include "server/coordinator/quota.h"

namespace jenner::coordinator {

// Failed attempts of a job that count, the last one included, and those that do not: nobody's fault
// but the machines' (core/exit_code.h), so there may be many, but not for ever.
inline constexpr int kMaxAttempts = 3;
inline constexpr int kMaxInterruptions = 50;
// A job waits 1 s after a failed attempt, twice as long after each further one in a row, at most
// kMaxBackOff. An attempt that ran for kLongRun before it failed begins a new row.
inline constexpr absl::Duration kMaxBackOff = absl::Minutes(1);
inline constexpr absl::Duration kLongRun = absl::Minutes(10);
inline constexpr size_t kMaxExperiments = 10'000;
inline constexpr char kDefaultOwner[] = "default";  // of experiments that name none
// An agent that has had no answer for kLease kills its ranks; the coordinator gives them away
// kLeaseGrace later, when they are surely gone. Observe() is given the sum.
inline constexpr absl::Duration kLease = absl::Seconds(15);
inline constexpr absl::Duration kLeaseGrace = absl::Seconds(5);
// So many request ids of deleted experiments are known on, the latest.
inline constexpr size_t kMaxDeletedRequests = 10'000;
// A lost worker is forgotten after this, so that names that come and go do not pile up.
inline constexpr absl::Duration kForgetWorkerAfter = absl::Hours(1);

// A job is asked to stop for another one's sake only after it has run so long, unless the server is
// told otherwise (State::min_run_time).
inline constexpr absl::Duration kMinRunTime = absl::Seconds(60);

enum class RunState {
  kQueued,
  kRunning,
  kPausing,  // of experiments: paused, and a gang has not stopped yet
  kPaused,
  kCancelling,
  kSucceeded,
  kFailed,
  kCancelled
};

inline bool IsTerminal(RunState state) { return state >= RunState::kSucceeded; }

// With each restore from a backup the numbers of attempts go on so much higher. An attempt that was
// started after the backup has a lower one, so nothing of it is taken for the restored job's.
inline constexpr int32_t kAttemptsPerRestore = 100'000;
inline constexpr int32_t kMaxRestores = 20'000;

// Why something is in its state; empty code: nothing to say.
struct Reason {
  std::string code;     // UPPER_SNAKE
  std::string message;  // one line
  std::string blame;    // "user", "system" or "capacity"
  bool operator==(const Reason&) const = default;
};

// What the end of an attempt costs its job.
enum class Charge {
  kAttempt,       // one of kMaxAttempts
  kInterruption,  // one of kMaxInterruptions
  kNone,          // it was stopped on purpose
};

// Why a running gang was asked to stop, to go on later.
enum class StopCause { kNone, kPreempted, kPaused, kDrained };

struct Artifact {
  std::string path;
  std::string sha256;
  int64_t size_bytes = 0;
  bool operator==(const Artifact&) const = default;
};

// What a job goes on from, wherever it is placed: the files are blobs.
struct Checkpoint {
  int32_t attempt = 0;  // that made it
  int32_t step = 0;     // optimizer steps done; 0: there is none
  std::vector<Artifact> files;
  bool operator==(const Checkpoint&) const = default;
};

// One rank of the current attempt.
struct Rank {
  std::string worker;
  std::string boot_id;  // of the agent it was given to
  bool ended = false;
  int32_t exit_code = 0;  // core/exit_code.h; meaningful once ended
  Reason error;           // empty when it ended well
  bool operator==(const Rank&) const = default;
};

struct Job {
  core::PlannedJob plan;
  RunState state = RunState::kQueued;
  Reason reason;                 // of the terminal state, or of the last failed attempt
  int32_t attempt = 0;           // of the current or last attempt; 0: none yet. Only grows
  int32_t attempts_counted = 0;  // that failed, of at most kMaxAttempts
  int32_t interruptions = 0;     // of at most kMaxInterruptions
  int32_t failures_in_row = 0;   // sets the back-off
  absl::Time not_before = absl::InfinitePast();  // back-off: not placed earlier
  std::vector<Rank> ranks;                       // of the current attempt; empty when there is none
  std::string store_address;                     // of the current attempt, once announced
  std::vector<Artifact> artifacts;
  // Those that go on from what this one ends with: where they are in the list.
  std::vector<size_t> successors;
  Checkpoint checkpoint;     // the newest that was committed; none once the job has ended
  int32_t resumed_step = 0;  // from which the current or last attempt went on; 0: the beginning
  StopCause stop = StopCause::kNone;  // asked of the current attempt; `reason` says why
  // Of the last attempt, rank by rank, where its newest checkpoints are at once; empty if it failed
  // by a fault that counts, for then another worker may do better.
  std::vector<std::string> last_workers;
  // Where attempts failed by a fault that counts, each once: not placed there while the others of
  // its pool are enough.
  std::vector<std::string> avoided_workers;
  int32_t step = 0;         // at which rank 0 of the last ended attempt stood; see StepOf()
  int32_t total_steps = 0;  // 0: not known yet, or there is no training
  absl::Time queue_time = absl::InfinitePast();  // since when it waits or waited
  absl::Duration waited = absl::ZeroDuration();  // before that and a pause: pauses are no waiting
  absl::Time start_time = absl::InfinitePast();  // of the current or last attempt
  absl::Time end_time = absl::InfinitePast();
  bool operator==(const Job&) const = default;
};

struct Experiment {
  std::string id;
  int64_t order = 0;  // 1 for the first ever created; the queue's order
  std::string request_id;
  std::string fingerprint;  // of the create request's body
  std::string creator;      // whose token made it; "": nobody's
  std::string project;      // of that token; "": none
  std::string owner = kDefaultOwner;
  core::ExperimentSpec spec;
  std::vector<Job> jobs;
  RunState state = RunState::kQueued;
  Reason reason;
  bool is_killed = false;  // cancelled without the trainers' grace
  absl::Time create_time = absl::InfinitePast();
  absl::Time start_time = absl::InfinitePast();
  absl::Time end_time = absl::InfinitePast();
  bool operator==(const Experiment&) const = default;

  const Job* Find(const std::string& job) const {
    for (const Job& one : jobs) {
      if (one.plan.id == job) return &one;
    }
    return nullptr;
  }
};

// The job that this one of the experiment goes on from; null: none.
const Job* PredecessorOf(const Experiment& experiment, const Job& job);
// What it goes on from, if anything, is there.
bool IsReady(const Experiment& experiment, const Job& job);
// What it goes on from will never be there.
bool IsOrphaned(const Experiment& experiment, const Job& job);

// "job j12 (arm a, seed 1)", of several arms the first.
std::string Describe(const Job& job);

struct RankKey {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  int32_t rank = 0;
  auto operator<=>(const RankKey&) const = default;
};

// What a worker offers. A rank holds a slot of its worker or, if its job has the device cuda, a GPU
// and no slot: ranks on the CPU and ranks on GPUs never take anything from each other.
struct WorkerInfo {
  std::string boot_id;
  int32_t slots = 0;
  std::vector<std::string> models;
  std::string host;
  std::string version;
  absl::Time last_seen = absl::InfinitePast();
  absl::Time lease_until = absl::InfinitePast();
  int32_t gpus = 0;
  // "{experiment}/{job}": it is given ranks of that job alone; "": of any.
  std::string only_job = {};
};

// What an operator took from a worker, by its name: outlives its agent.
enum class Cordon {
  kCordoned,  // it is given no more ranks
  kDraining,  // and those it has are stopped, to go on elsewhere
};
inline constexpr size_t kMaxCordons = 10'000;

struct Liveness {
  std::map<std::string, WorkerInfo> workers;
  std::map<RankKey, int32_t> steps;  // of ranks 0 that run
};

struct State {
  std::map<std::string, Experiment> experiments;   // by id
  std::map<std::string, std::string> request_ids;  // request id -> experiment id
  std::deque<std::string> deleted_requests;        // those of deleted experiments, oldest first
  std::map<std::string, Cordon> cordons;           // by worker
  int64_t last_order = 0;
  int32_t first_attempt = 0;  // of jobs that start now, at least; 0: never restored
  Index index;                // of the experiments
  Liveness liveness;
  absl::Duration min_run_time = kMinRunTime;  // how the server is run; not durable
  Quotas quotas;

  bool SameDurable(const State& other) const {
    return experiments == other.experiments && request_ids == other.request_ids &&
           deleted_requests == other.deleted_requests && cordons == other.cordons &&
           last_order == other.last_order && first_attempt == other.first_attempt;
  }
  // The experiment that a request made; null if it made none or that is deleted.
  const Experiment* MadeBy(const std::string& request_id) const {
    const auto known = request_ids.find(request_id);
    if (request_id.empty() || known == request_ids.end()) return nullptr;
    const auto made = experiments.find(known->second);
    const bool is_there = made != experiments.end() && made->second.request_id == request_id;
    return is_there ? &made->second : nullptr;
  }
};

// The number of the job's next attempt.
int32_t NextAttempt(const State& state, const Job& job);

// What unended ranks of current attempts hold on `worker`.
Held HeldOn(const State& state, const std::string& worker);

// Its ranks are to stop: cancelled, asked to, or the gang broke.
bool IsStopping(const Job& job);

bool IsAlive(const State& state, const std::string& worker, absl::Time now);
bool IsAlive(const WorkerInfo& worker, absl::Time now);

// How long the job has waited, or waited before its last attempt, by `now`; a pause does not count.
inline absl::Duration WaitOf(const Job& job, absl::Time now) {
  return job.waited + (now - job.queue_time);
}

// The step at which rank 0 of the current or last attempt is known to be.
int32_t StepOf(const State& state, const std::string& experiment, const Job& job);

// OK: `key` names an unended rank of the current attempt. Aborted: it is stale, or its experiment
// is deleted; what is uploaded for it is to be dropped.
absl::Status CheckAttempt(const State& state, const RankKey& key);

// Dies if an invariant of the durable part is broken: gangs are whole, jobs have ranks if and only
// if they run, an experiment is terminal only if all its jobs are, orders and names are consistent,
// the index is that of the experiments.
void CheckInvariants(const State& state);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_STATE_H_

// Reconcile: what an agent has to do so that what it has becomes what it should have. Pure: no
// clock, I/O or state; called after each change of either side, and again until it has nothing more
// to say. It never starts what could run twice: a newer attempt of a job waits until every process
// of an older one is gone from this machine, and there are never more processes than slots on the
// CPU, nor than GPUs on GPUs.
#ifndef JENNER_WORKER_AGENT_RECONCILE_H_
#define JENNER_WORKER_AGENT_RECONCILE_H_

#include <string>
#include <vector>

#include "worker/agent/rank_key.h"

namespace jenner::agent {

// One assignment of the coordinator.
struct DesiredRank {
  RankKey key;
  bool has_store = false;  // where rank 0 listens is known; needed by the ranks > 0
  bool stop = false;       // to be stopped though it is still assigned: cancelled or making room
  bool kill = false;       // with stop: without the grace
};

enum class Phase {
  kPreparing,  // inputs are on their way
  kReady,      // inputs are there; no process yet. PREPARING on the wire
  kRunning,    // a process lives
  kUploading,  // the process ended; results are on their way
  kEnded,      // all is uploaded, or nothing ever ran
};

struct ActualRank {
  RankKey key;
  Phase phase = Phase::kPreparing;
  bool stopping = false;  // SIGTERM was sent
  bool killing = false;   // SIGKILL is on its way
  bool on_gpu = false;    // it takes a GPU, and no slot
};

enum class ActionKind {
  kPrepare,  // make the folder, fetch inputs
  kStart,    // spawn the trainer
  kStop,     // SIGTERM, after a while SIGKILL
  kKill,     // SIGKILL
  kEnd,      // no process and none is wanted: report ENDED with exit code TERMINATED
  kDrop,     // forget it
};

struct Action {
  ActionKind kind;
  RankKey key;
  bool operator==(const Action&) const = default;
};

struct ReconcileLimits {
  int slots = 1;
  bool draining = false;  // the agent is going away: everything is to be stopped, nothing started
  int gpus = 0;           // none: a rank that takes one is started all the same, to fail
};

// The actions, those that free something first, otherwise in the order of the keys. Acting on all
// of them and calling again with the new actual state ends after finitely many rounds.
std::vector<Action> Reconcile(const std::vector<DesiredRank>& desired,
                              const std::vector<ActualRank>& actual, ReconcileLimits limits);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_RECONCILE_H_

// Why queued jobs wait: one walk through the queue for any number of questions. Reasons are put
// into words when they are asked for.
#ifndef JENNER_SERVER_COORDINATOR_PENDING_H_
#define JENNER_SERVER_COORDINATOR_PENDING_H_

#include <cstdint>
#include <unordered_map>

#include "absl/time/time.h"
#include "server/coordinator/rooms.h"
#include "server/coordinator/state.h"

namespace jenner::coordinator {

// The codes: WAITS_FOR_JOB, NO_WORKERS, WORKERS_CORDONED, MODEL_NOT_FOUND, NO_GPU, BACK_OFF,
// QUOTA_SLOTS and NO_CAPACITY (docs/failures.md). Not thread-safe. Holds pointers into the State it
// was made from.
class PendingReasons {
 public:
  // `newcomer`: an experiment that is not in `state`, as if it had just come; or null.
  PendingReasons(const State& state, absl::Time now, const Experiment* newcomer = nullptr);

  // Of a queued job of that State, or of the newcomer, and its experiment.
  Reason ReasonOf(const Experiment& experiment, const Job& job);
  // Its place, 1-based, among the jobs that wait for slots or GPUs; 0: it does not wait for its
  // turn.
  int32_t PositionOf(const Job& job) const;
  // Jobs that the walk looked at: what it cost.
  int64_t num_steps() const { return num_steps_; }

 private:
  // What a job found when it was its turn.
  struct Turn {
    int32_t position = 0;
    PoolKey pool;
    Room room;                                  // of its pool
    const Experiment* over_quota_of = nullptr;  // its own, if the owner's quota forbids it
  };
  enum class Own { kNothing, kCordoned, kNoWorkers, kNoModel, kBackOff };

  Own OwnOf(const PoolKey& pool, const Job& job);
  Reason InWords(Own own, const PoolKey& pool, const Job& job) const;
  Reason OverQuota(const Experiment& experiment, const Job& job) const;

  const State& state_;
  const absl::Time now_;
  Rooms rooms_;
  int64_t num_steps_ = 0;
  std::unordered_map<const Job*, Turn> turns_;
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_PENDING_H_

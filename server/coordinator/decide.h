// The decider. One thread drives it:
//   Observe(command, now, lease, &state)            volatile part only; lease with its grace
//   events = Decide(state, command, now)            pure; may refuse
//   make the events durable; for each: Apply(event, &state); answer the caller
// and after each group of commands Decide(state, Tick{}, now) until it returns no event.
#ifndef JENNER_SERVER_COORDINATOR_DECIDE_H_
#define JENNER_SERVER_COORDINATOR_DECIDE_H_

#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/command.h"
#include "server/coordinator/event.h"
#include "server/coordinator/state.h"

namespace jenner::coordinator {

// What a command may do: the events that happen now, possibly none, or why it is refused:
//   InvalidArgument     CreateExperiment: request_id was used before with another body; WorkerSync:
//                       see CheckSync()
//   AlreadyExists       CreateExperiment: the id is taken; WorkerSync: another agent holds the name
//                       (an agent with a new boot_id takes it over only with ranks of the old one)
//   ResourceExhausted   CreateExperiment: kMaxExperiments are stored, delete some; or it would be
//                       more than the owner's quota, see QuotaOf(). CordonWorker: kMaxCordons
//   NotFound            no such experiment or worker
//   FailedPrecondition  cancel, pause or resume of an experiment that has ended, pause or resume of
//   one
//                       that is being cancelled, delete of an active one; CreateExperiment: the
//                       experiment of that request_id was deleted (kMaxDeletedRequests are known)
// What is so already (cancelled, paused, resumed, cordoned) decides nothing. A CreateExperiment
// that repeats a request_id with the same body decides nothing: its answer is the experiment of
// that request. Events carry `now` to the microsecond, as the log keeps it.
absl::StatusOr<std::vector<Event>> Decide(const State& state, const Command& command,
                                          absl::Time now);

// Which quota refused a CreateExperiment: "QUOTA_EXPERIMENTS" or "QUOTA_JOBS"; "": none did.
std::string QuotaOf(const absl::Status& refusal);

// InvalidArgument: no name or boot_id, more slots, GPUs, artifacts or files of a checkpoint than
// the limits of command.h.
absl::Status CheckSync(const WorkerSync& sync);

// The only writer of the durable part. Total: every event applies to every state that could have
// produced it.
void Apply(const Event& event, State* state);

// The only writer of the volatile part: takes a WorkerSync's offer and lease; gives workers that
// are known from the log alone (after a restart) one lease to show up.
void Observe(const Command& command, absl::Time now, absl::Duration lease, State* state);

// What one rank should be doing.
struct Assignment {
  RankKey key;
  int32_t world_size = 1;
  const core::JobSpec* spec = nullptr;  // in the State
  std::string store_address;            // ranks > 0 start once it is set
  bool is_final = false;                // with `stop`: the job is cancelled, nobody goes on
  bool kill = false;                    // as `stop`, but without grace
  bool stop = false;                    // cancelled, asked to, or the gang broke
  const Checkpoint* checkpoint =
      nullptr;  // rank 0: the committed one, in the State; or there is none
  // Rank 0 of a job that goes on from another one: what that left, in the State. Else null.
  const std::vector<Artifact>* initial = nullptr;
};

// What `worker` should have, by key. A projection; stores nothing. `state` must outlive the result.
std::vector<Assignment> Desired(const State& state, const std::string& worker);

// The job, "{experiment}/{job}", has ended. False for one that is not known: it may be that of
// another coordinator, for whose worker this one was taken.
bool HasEnded(const State& state, const std::string& job_name);

// Gives waiting jobs, in the order of Queue (queue.h), all their ranks or none, on live workers
// that have the model: a slot for each rank or, with device cuda, a GPU. The worker with the most
// free ones (then by name) is filled first: jobs spread, gangs stay together. A worker that is
// reserved for a job (WorkerInfo::only_job) is given ranks of that job alone, and that job's ranks
// go to no other worker while there are such, alive and with slots or GPUs. A gang that does not
// fit now but would on those workers when idle keeps their free slots from the jobs behind it, so
// that small jobs cannot starve it; one that is larger than all of them together keeps nothing. A
// job goes on where its checkpoints are if there is room. After a failed attempt a job waits
// (kMaxBackOff, state.h). One that goes on from another job is none of these until that has
// succeeded: it keeps nothing from anybody. Nobody comes to hold more than its quota; one who holds
// more already, because the quota was lowered, loses nothing.
std::vector<AttemptStarted> Place(const State& state, absl::Time now);

// The running jobs that are to stop so that waiting ones of higher priority can be placed, once
// Place() has nothing more to give: of strictly lower priority only (so that no two jobs can ever
// stop each other), only after State::min_run_time, the lowest priority first and of equals the one
// that started last, no more than are needed besides what is coming free anyway, and none where
// that would not be enough; none for a job that its owner's quota keeps waiting. They stop with a
// checkpoint and wait again.
std::vector<StopRequested> Preemptions(const State& state, absl::Time now);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_DECIDE_H_

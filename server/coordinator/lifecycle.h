// What people may do to experiments and workers once they are there. Each verb is idempotent by the
// state: what is so already decides nothing. Errors are those of Decide() (decide.h). Internal;
// pure.
#ifndef JENNER_SERVER_COORDINATOR_LIFECYCLE_H_
#define JENNER_SERVER_COORDINATOR_LIFECYCLE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/coordinator/command.h"
#include "server/coordinator/event.h"

namespace jenner::coordinator {

using Decided = absl::StatusOr<std::vector<EventBody>>;

Decided DecideVerb(const State& state, const CancelExperiment& verb);
Decided DecideVerb(const State& state, const PauseExperiment& verb);
Decided DecideVerb(const State& state, const ResumeExperiment& verb);
Decided DecideVerb(const State& state, const DeleteExperiment& verb);
Decided DecideVerb(const State& state, const CordonWorker& verb);
Decided DecideVerb(const State& state, const UncordonWorker& verb);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_LIFECYCLE_H_

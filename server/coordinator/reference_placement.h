// ReferencePlace: what Place() does, said as plainly as can be and at any cost: every job in turn
// is chosen by looking at all that wait, every worker by looking at all. Test only.
#ifndef JENNER_SERVER_COORDINATOR_REFERENCE_PLACEMENT_H_
#define JENNER_SERVER_COORDINATOR_REFERENCE_PLACEMENT_H_

#include <vector>

#include "server/coordinator/event.h"

namespace jenner::coordinator {

std::vector<AttemptStarted> ReferencePlace(const State& state, absl::Time now);

// Slots and GPUs that `owner` holds, counted rank by rank.
int32_t CountHeld(const State& state, const std::string& owner);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_REFERENCE_PLACEMENT_H_

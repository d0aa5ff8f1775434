// What a log that comes from a backup is to begin with. Pure.
#ifndef JENNER_SERVER_COORDINATOR_RESTORE_H_
#define JENNER_SERVER_COORDINATOR_RESTORE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/coordinator/event.h"

namespace jenner::coordinator {

// The events that follow those of which `state` is the fold: attempts get numbers that the
// coordinator that was backed up cannot have given, and whatever ran at the backup waits again,
// free of charge. Of what agents still have of that coordinator nothing is taken for ours: its
// attempts are stale. ResourceExhausted: it was restored kMaxRestores times.
absl::StatusOr<std::vector<Event>> Restore(const State& state, absl::Time now);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_RESTORE_H_

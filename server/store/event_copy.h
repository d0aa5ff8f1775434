// Copies events from one log to another and folds them on the way.
#ifndef JENNER_SERVER_STORE_EVENT_COPY_H_
#define JENNER_SERVER_STORE_EVENT_COPY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "server/coordinator/state.h"
#include "server/store/event_log.h"

namespace jenner::store {

// Events `seq` and on of `from`, to its present end, are appended to `to`, whose newest is seq - 1,
// and applied to *state. Returns the number of the next one.
absl::StatusOr<int64_t> CopyEvents(EventLog& from, int64_t seq, EventLog& to,
                                   coordinator::State* state);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_EVENT_COPY_H_

// Cursor: a position in the watch stream of one experiment, "name.e12.m455": what the coordinator's
// events up to 12 and the metric feed up to row 455 have told of experiment "name" is behind it.
// Opaque to clients; both numbers are durable, so it survives restarts.
#ifndef JENNER_SERVER_FEED_CURSOR_H_
#define JENNER_SERVER_FEED_CURSOR_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace jenner::feed {

struct Cursor {
  std::string experiment;  // id
  int64_t event = 0;       // number in the event log; 0: before the first
  int64_t metric = 0;      // number in the metric feed
  bool operator==(const Cursor&) const = default;
};

std::string ToString(const Cursor& cursor);
// "" is the beginning of any experiment. InvalidArgument: not a cursor.
absl::StatusOr<Cursor> ParseCursor(const std::string& text);

}  // namespace jenner::feed

#endif  // JENNER_SERVER_FEED_CURSOR_H_

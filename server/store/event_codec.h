// Coordinator events as the event log's payloads: JSON objects {"kind": ..., fields}. Fields are
// only ever added; an absent one has its default, so that old logs replay.
// docs/formats/event-log.md.
#ifndef JENNER_SERVER_STORE_EVENT_CODEC_H_
#define JENNER_SERVER_STORE_EVENT_CODEC_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/event.h"
#include "server/store/event_log.h"

namespace jenner::store {

// Without the time, which the log keeps beside the payload.
std::string EncodeEvent(const coordinator::Event& event);

// DataLoss: not an event of a known kind.
absl::StatusOr<coordinator::Event> DecodeEvent(const std::string& payload, absl::Time time);

// Reads the events numbered `seq` and on, in order, to the end, and hands each over. Returns the
// number of the next one. The codes of `log` and of `visit`; DataLoss also: an event that
// DecodeEvent refuses, with its number.
absl::StatusOr<int64_t> ForEachEvent(
    EventLog& log, int64_t seq,
    const std::function<absl::Status(const StoredEvent& stored, const coordinator::Event& event)>&
        visit);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_EVENT_CODEC_H_

// Coordinator events as the event log's payloads: JSON objects {"kind": ..., fields}. Fields are
// only ever added; an absent one has its default, so that old logs replay.
// docs/formats/event-log.md.
#ifndef JENNER_SERVER_STORE_EVENT_CODEC_H_
#define JENNER_SERVER_STORE_EVENT_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/event.h"

namespace jenner::store {

// Without the time, which the log keeps beside the payload.
std::string EncodeEvent(const coordinator::Event& event);

// DataLoss: not an event of a known kind.
absl::StatusOr<coordinator::Event> DecodeEvent(const std::string& payload, absl::Time time);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_EVENT_CODEC_H_

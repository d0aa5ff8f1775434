// EventLog: the only durable truth of the coordinator. Numbered batches go in whole or not at all;
// State is the fold of what comes out (ARCHITECTURE.md). Payloads are opaque here; event_codec.h
// knows them. Versions: SqliteEventLog, PostgresEventLog, MemoryEventLog;
// event_log_conformance_test.cc runs one suite on all.
#ifndef JENNER_SERVER_STORE_EVENT_LOG_H_
#define JENNER_SERVER_STORE_EVENT_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace jenner::store {

inline constexpr int64_t kMaxEventBytes = int64_t{16} << 20;

struct NewEvent {
  absl::Time time;  // stored to the microsecond
  std::string payload;
};

struct StoredEvent {
  int64_t seq = 0;  // 1, 2, 3, ... without gaps
  absl::Time time;
  std::string payload;
  bool operator==(const StoredEvent&) const = default;
};

// Not thread-safe; the coordinator thread owns it. Calls may block on the disk
// or the network.
class EventLog {
 public:
  virtual ~EventLog() = default;

  // Makes all of `batch` durable, numbered LastSeq() + 1 and on, or none of it. OK means that a
  // power cut does not lose it. An empty batch is OK and does nothing.
  //   InvalidArgument   a payload over kMaxEventBytes (nothing was written)
  //   Aborted           this process may not append (PostgresEventLog; nothing was written)
  //   any other         the disk; what the log then holds is unknown: stop the process and replay
  virtual absl::Status Append(const std::vector<NewEvent>& batch) = 0;

  // At most `limit` events numbered `seq` and on, in order; empty at the end.
  // DataLoss: a number is missing.
  virtual absl::StatusOr<std::vector<StoredEvent>> ReadFrom(int64_t seq, int limit) = 0;

  // The number of the newest event; 0 if there is none.
  virtual int64_t LastSeq() const = 0;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_EVENT_LOG_H_

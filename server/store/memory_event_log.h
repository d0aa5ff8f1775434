// EventLog in memory, for tests: what it holds lives as long as the object.
#ifndef JENNER_SERVER_STORE_MEMORY_EVENT_LOG_H_
#define JENNER_SERVER_STORE_MEMORY_EVENT_LOG_H_

#include <vector>

#include "server/store/event_log.h"

namespace jenner::store {

class MemoryEventLog final : public EventLog {
 public:
  absl::Status Append(const std::vector<NewEvent>& batch) override;
  absl::StatusOr<std::vector<StoredEvent>> ReadFrom(int64_t seq, int limit) override;
  int64_t LastSeq() const override;
  // The next Append fails with `status` and stores nothing.
  void FailNextAppend(absl::Status status) { failure_ = std::move(status); }

 private:
  std::vector<StoredEvent> events_;
  absl::Status failure_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_MEMORY_EVENT_LOG_H_

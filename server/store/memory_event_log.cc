#include "server/store/memory_event_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace jenner::store {

absl::Status MemoryEventLog::Append(const std::vector<NewEvent>& batch) {
  if (!failure_.ok()) return std::exchange(failure_, absl::OkStatus());
  for (const NewEvent& event : batch) {
    if (static_cast<int64_t>(event.payload.size()) > kMaxEventBytes) {
      return absl::InvalidArgumentError(
          absl::StrFormat("event of %d bytes; at most %d", event.payload.size(), kMaxEventBytes));
    }
  }
  for (const NewEvent& event : batch) {
    const absl::Time time = absl::FromUnixMicros(absl::ToUnixMicros(event.time));
    events_.push_back({LastSeq() + 1, time, event.payload});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredEvent>> MemoryEventLog::ReadFrom(int64_t seq, int limit) {
  std::vector<StoredEvent> result;
  for (int64_t next = std::max<int64_t>(seq, 1);
       next <= LastSeq() && static_cast<int>(result.size()) < limit; ++next) {
    result.push_back(events_[static_cast<size_t>(next - 1)]);
  }
  return result;
}

int64_t MemoryEventLog::LastSeq() const { return static_cast<int64_t>(events_.size()); }

}  // namespace jenner::store

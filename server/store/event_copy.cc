#include "server/store/event_copy.h"

#include <utility>
#include <vector>

#include "core/status.h"
#include "server/coordinator/decide.h"
#include "server/store/event_codec.h"

namespace jenner::store {
namespace {

constexpr size_t kBatchEvents = 1000;
constexpr size_t kBatchBytes = size_t{4} << 20;

}  // namespace

absl::StatusOr<int64_t> CopyEvents(EventLog& from, int64_t seq, EventLog& to,
                                   coordinator::State* state) {
  std::vector<NewEvent> batch;
  size_t batch_bytes = 0;
  const auto flush = [&] {
    const absl::Status appended = to.Append(batch);
    batch.clear();
    batch_bytes = 0;
    return appended;
  };
  ASSIGN_OR_RETURN(
      const int64_t next,
      ForEachEvent(from, seq, [&](const StoredEvent& stored, const coordinator::Event& event) {
        coordinator::Apply(event, state);
        batch_bytes += stored.payload.size();
        batch.push_back({stored.time, stored.payload});
        const bool is_full = batch.size() >= kBatchEvents || batch_bytes >= kBatchBytes;
        return is_full ? flush() : absl::OkStatus();
      }));
  RETURN_IF_ERROR(flush());
  return next;
}

}  // namespace jenner::store

#include "server/coordinator/restore.h"

#include "absl/strings/str_format.h"

namespace jenner::coordinator {

absl::StatusOr<std::vector<Event>> Restore(const State& state, absl::Time now) {
  const int32_t num_restores = state.first_attempt / kAttemptsPerRestore + 1;
  if (num_restores > kMaxRestores) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("restored %d times, which is all that can be", kMaxRestores));
  }
  const absl::Time time = absl::FromUnixMicros(absl::ToUnixMicros(now));
  std::vector<Event> events = {{time, CoordinatorRestored{num_restores * kAttemptsPerRestore + 1}}};
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      if (job.ranks.empty()) continue;
      events.push_back(
          {time, JobRequeued{id,
                             job.plan.id,
                             {"RESTORED", "the coordinator was restored from a backup", "system"},
                             Charge::kNone}});
    }
  }
  return events;
}

}  // namespace jenner::coordinator

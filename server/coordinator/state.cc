#include "server/coordinator/state.h"

#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "core/check.h"

namespace jenner::coordinator {

Held HeldOn(const State& state, const std::string& worker) {
  const auto found = state.index.workers.find(worker);
  return found == state.index.workers.end() ? Held() : found->second.held;
}

bool IsStopping(const Job& job) {
  bool broken = false;
  for (const Rank& rank : job.ranks) broken = broken || (rank.ended && rank.exit_code != 0);
  return broken || job.state == RunState::kCancelling || job.stop != StopCause::kNone;
}

bool IsAlive(const State& state, const std::string& worker, absl::Time now) {
  const auto found = state.liveness.workers.find(worker);
  return found != state.liveness.workers.end() && IsAlive(found->second, now);
}

bool IsAlive(const WorkerInfo& worker, absl::Time now) {
  return !worker.boot_id.empty() && now < worker.lease_until;
}

int32_t StepOf(const State& state, const std::string& experiment, const Job& job) {
  const auto live = state.liveness.steps.find({experiment, job.plan.id, job.attempt, 0});
  const bool is_live = !job.ranks.empty() && !job.ranks[0].ended;
  return is_live && live != state.liveness.steps.end() ? live->second : job.step;
}

absl::Status CheckAttempt(const State& state, const RankKey& key) {
  const auto found = state.experiments.find(key.experiment);
  const Job* job = found == state.experiments.end() ? nullptr : found->second.Find(key.job);
  if (job == nullptr) {
    return absl::AbortedError(
        absl::StrFormat("stale: no job %s in experiment %s", key.job, key.experiment));
  }
  const bool current = key.attempt == job->attempt && key.rank >= 0 &&
                       key.rank < static_cast<int32_t>(job->ranks.size()) &&
                       !job->ranks[static_cast<size_t>(key.rank)].ended;
  if (!current) {
    return absl::AbortedError(
        absl::StrFormat("stale: attempt %d rank %d of %s; the current attempt is %d", key.attempt,
                        key.rank, key.job, job->attempt));
  }
  return absl::OkStatus();
}

void CheckInvariants(const State& state) {
  std::set<int64_t> orders;
  for (const auto& [id, experiment] : state.experiments) {
    JENNER_CHECK(id == experiment.id && experiment.order <= state.last_order);
    JENNER_CHECK(orders.insert(experiment.order).second);
    for (const Job& job : experiment.jobs) {
      const bool has_gang = job.state == RunState::kRunning || job.state == RunState::kCancelling;
      JENNER_CHECK(has_gang == !job.ranks.empty());
      JENNER_CHECK(job.state != RunState::kPaused || experiment.state == RunState::kPausing ||
                   experiment.state == RunState::kPaused ||
                   experiment.state == RunState::kCancelling);
      JENNER_CHECK(experiment.state != RunState::kPaused || !has_gang);
      JENNER_CHECK(job.stop == StopCause::kNone || has_gang);
      JENNER_CHECK(job.ranks.empty() ||
                   static_cast<int32_t>(job.ranks.size()) == job.plan.spec.ranks);
      JENNER_CHECK(job.attempts_counted >= 0 && job.attempts_counted <= kMaxAttempts);
      JENNER_CHECK(job.interruptions >= 0 && job.interruptions <= kMaxInterruptions);
      JENNER_CHECK(job.attempt >= job.attempts_counted + job.interruptions);
      JENNER_CHECK(!IsTerminal(experiment.state) || IsTerminal(job.state));
      JENNER_CHECK((job.checkpoint.step > 0) == !job.checkpoint.files.empty());
      JENNER_CHECK(job.checkpoint.attempt <= job.attempt);
      JENNER_CHECK(!IsTerminal(job.state) || job.checkpoint.step == 0);
    }
  }
  JENNER_CHECK(state.index == IndexOf(state));
  const std::set<std::string> deleted(state.deleted_requests.begin(), state.deleted_requests.end());
  JENNER_CHECK(deleted.size() == state.deleted_requests.size());
  JENNER_CHECK(deleted.size() <= kMaxDeletedRequests);
  for (const auto& [request, id] : state.request_ids) {
    JENNER_CHECK((state.MadeBy(request) == nullptr) == (deleted.count(request) > 0));
  }
}

}  // namespace jenner::coordinator

#include "server/coordinator/state.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "core/check.h"

namespace jenner::coordinator {

Held HeldOn(const State& state, const std::string& worker) {
  const auto found = state.index.workers.find(worker);
  return found == state.index.workers.end() ? Held() : found->second.held;
}

int32_t NextAttempt(const State& state, const Job& job) {
  return std::max(job.attempt + 1, state.first_attempt);
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

const Job* PredecessorOf(const Experiment& experiment, const Job& job) {
  return job.plan.after ? &experiment.jobs[*job.plan.after] : nullptr;
}

bool IsReady(const Experiment& experiment, const Job& job) {
  const Job* predecessor = PredecessorOf(experiment, job);
  return predecessor == nullptr || predecessor->state == RunState::kSucceeded;
}

bool IsOrphaned(const Experiment& experiment, const Job& job) {
  return !IsReady(experiment, job) && IsTerminal(PredecessorOf(experiment, job)->state);
}

std::string Describe(const Job& job) {
  if (job.plan.arms.empty()) return "job " + job.plan.id;
  const core::ArmSeed& first = job.plan.arms.front();
  return absl::StrFormat("job %s (arm %s, seed %d)", job.plan.id, first.arm, first.seed);
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

namespace {

// Each job's predecessor is there before it, knows of it, and succeeded before it was placed.
void CheckPredecessors(const Experiment& experiment) {
  size_t num_successors = 0;
  size_t num_predecessors = 0;
  for (size_t i = 0; i < experiment.jobs.size(); ++i) {
    const Job& job = experiment.jobs[i];
    num_successors += job.successors.size();
    for (const size_t successor : job.successors) {
      JENNER_CHECK(experiment.jobs.at(successor).plan.after == i);
    }
    const std::optional<core::JobTraining>& training = job.plan.spec.training;
    JENNER_CHECK(job.plan.after.has_value() == (training && !training->after.empty()));
    if (!job.plan.after) continue;
    ++num_predecessors;
    JENNER_CHECK(*job.plan.after < i);
    JENNER_CHECK(training->after == experiment.jobs[*job.plan.after].plan.id);
    JENNER_CHECK(job.attempt == 0 || IsReady(experiment, job));
  }
  JENNER_CHECK(num_successors == num_predecessors);
}

}  // namespace

void CheckInvariants(const State& state) {
  std::set<int64_t> orders;
  for (const auto& [id, experiment] : state.experiments) {
    JENNER_CHECK(id == experiment.id && experiment.order <= state.last_order);
    JENNER_CHECK(orders.insert(experiment.order).second);
    CheckPredecessors(experiment);
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

#include "server/coordinator/outcome.h"

#include <cstdlib>
#include <set>

#include "absl/strings/str_format.h"

namespace jenner::coordinator {
namespace {

using core::ExitCode;

constexpr char kPredecessorFailed[] = "PREDECESSOR_FAILED";

Reason Cancelled() { return {"CANCELLED", "cancelled on request", "user"}; }

// When a gang breaks, one rank is the cause and the others follow: they miss their peer or are
// stopped, at last by a signal. The higher, the more likely the cause.
int CausePriority(const Rank& rank) {
  if (rank.exit_code == 0) return 0;
  const core::FailureClass failure = FailureOf(rank.exit_code, rank.error.code);
  if (failure.exit_code == ExitCode::kTerminated) return 1;
  if (failure.exit_code == ExitCode::kPeerLost) return 2;
  if (rank.exit_code > 128) return 3;
  return failure.retry == core::Retry::kNever ? 5 : 4;
}

}  // namespace

const Rank* CauseOf(const Job& job) {
  const Rank* cause = nullptr;
  for (const Rank& rank : job.ranks) {
    const int priority = CausePriority(rank);
    if (priority > (cause == nullptr ? 0 : CausePriority(*cause))) cause = &rank;
  }
  return cause;
}

namespace {

// Tried again if the job has another attempt, or may be interrupted once more.
EventBody TryAgain(const std::string& experiment, const Job& job, Reason reason, Charge charge) {
  const bool is_counted = charge == Charge::kAttempt;
  const int32_t spent = 1 + (is_counted ? job.attempts_counted : job.interruptions);
  const int32_t limit = is_counted ? kMaxAttempts : kMaxInterruptions;
  if (spent < limit) return JobRequeued{experiment, job.plan.id, std::move(reason), charge};
  reason.message =
      absl::StrFormat("%s (attempt %d, the last: %d of %d %s)", reason.message, job.attempt, spent,
                      limit, is_counted ? "that count" : "interruptions");
  return JobEnded{experiment, job.plan.id, RunState::kFailed, std::move(reason), charge};
}

// Of a job that goes on from one that ended without what it needs. Along a chain of such jobs the
// first is named.
Reason PredecessorFailed(const Job& predecessor) {
  if (predecessor.reason.code == kPredecessorFailed) return predecessor.reason;
  return {kPredecessorFailed,
          absl::StrFormat("goes on from %s, which did not succeed: %s: %s", Describe(predecessor),
                          predecessor.reason.code, predecessor.reason.message),
          predecessor.reason.blame};
}

// What the end of a whole gang means for its job.
EventBody Outcome(const Experiment& experiment, const Job& job) {
  const Rank* cause = CauseOf(job);
  if (cause == nullptr) return JobEnded{experiment.id, job.plan.id, RunState::kSucceeded, {}};
  if (experiment.state == RunState::kCancelling) {
    return JobEnded{experiment.id, job.plan.id, RunState::kCancelled, Cancelled()};
  }
  const core::FailureClass failure = FailureOf(cause->exit_code, cause->error.code);
  Reason reason = cause->error;
  if (reason.code.empty())
    reason = {"INTERNAL", absl::StrFormat("a rank ended with exit code %d", cause->exit_code),
              failure.blame};
  switch (failure.retry) {
    case core::Retry::kNever:
      return JobEnded{experiment.id, job.plan.id, RunState::kFailed, reason, Charge::kAttempt};
    case core::Retry::kCounted:
      return TryAgain(experiment.id, job, reason, Charge::kAttempt);
    case core::Retry::kUncounted:
      if (job.stop != StopCause::kNone)
        return JobRequeued{experiment.id, job.plan.id, job.reason, Charge::kNone};
      return TryAgain(experiment.id, job, reason, Charge::kInterruption);
  }
  std::abort();
}

}  // namespace

core::FailureClass FailureOf(int32_t exit_code, const std::string& code) {
  // A trainer that was stopped and did not end by itself in time says so with the signal's code.
  const bool was_stopped = code == "TERMINATED";
  return core::ClassOf(was_stopped ? static_cast<int>(ExitCode::kTerminated) : exit_code);
}

std::vector<EventBody> ExpiredRanks(const State& state, absl::Time now) {
  std::vector<EventBody> bodies;
  for (const auto& [name, worker] : state.liveness.workers) {
    if (now < worker.lease_until) continue;
    const auto held = state.index.workers.find(name);
    if (held == state.index.workers.end()) continue;
    for (const JobKey& key : held->second.jobs) {
      const Job& job = state.experiments.at(key.experiment).jobs[key.job];
      for (size_t i = 0; i < job.ranks.size(); ++i) {
        if (job.ranks[i].ended || job.ranks[i].worker != name) continue;
        bodies.push_back(RankEnded{
            {key.experiment, job.plan.id, job.attempt, static_cast<int32_t>(i)},
            -1,
            {"WORKER_LOST", "worker " + name + " was not heard of for a whole lease", "system"},
            {}});
      }
    }
  }
  return bodies;
}

std::vector<EventBody> EndedJobs(const State& state) {
  std::vector<EventBody> bodies;
  for (const JobKey& key : state.index.ended_gangs) {
    const Experiment& experiment = state.experiments.at(key.experiment);
    bodies.push_back(Outcome(experiment, experiment.jobs[key.job]));
  }
  for (const JobKey& key : state.index.orphans) {
    const Experiment& experiment = state.experiments.at(key.experiment);
    const Job& job = experiment.jobs[key.job];
    bodies.push_back(JobEnded{experiment.id, job.plan.id, RunState::kFailed,
                              PredecessorFailed(*PredecessorOf(experiment, job))});
  }
  for (const std::string& id : state.index.ending) {
    const Experiment& experiment = state.experiments.at(id);
    if (experiment.state != RunState::kCancelling) continue;
    for (const Job& job : experiment.jobs) {
      if (job.state != RunState::kQueued && job.state != RunState::kPaused) continue;
      bodies.push_back(JobEnded{id, job.plan.id, RunState::kCancelled, Cancelled()});
    }
  }
  return bodies;
}

std::vector<EventBody> PausedExperiments(const State& state) {
  std::vector<EventBody> bodies;
  for (const std::string& id : state.index.ending) {
    const Experiment& experiment = state.experiments.at(id);
    if (experiment.state != RunState::kPausing) continue;
    bool runs = false;
    for (const Job& job : experiment.jobs) runs = runs || !job.ranks.empty();
    if (!runs) bodies.push_back(ExperimentPaused{id});
  }
  return bodies;
}

std::vector<EventBody> Drains(const State& state) {
  std::vector<EventBody> bodies;
  std::set<JobKey> seen;  // a gang on two workers that are drained is stopped once
  for (const auto& [name, cordon] : state.cordons) {
    const auto held = state.index.workers.find(name);
    if (cordon != Cordon::kDraining || held == state.index.workers.end()) continue;
    for (const JobKey& key : held->second.jobs) {
      const Job& job = state.experiments.at(key.experiment).jobs[key.job];
      if (IsStopping(job) || !seen.insert(key).second) continue;
      bodies.push_back(StopRequested{key.experiment,
                                     job.plan.id,
                                     job.attempt,
                                     StopCause::kDrained,
                                     {"DRAINED", "worker " + name + " is drained", "capacity"}});
    }
  }
  return bodies;
}

std::vector<EventBody> EndedExperiments(const State& state) {
  std::vector<EventBody> bodies;
  for (const std::string& id : state.index.ending) {
    const Experiment& experiment = state.experiments.at(id);
    bool all_terminal = true;
    const Job* failed = nullptr;
    const Job* cancelled = nullptr;
    for (const Job& job : experiment.jobs) {
      all_terminal = all_terminal && IsTerminal(job.state);
      if (job.state == RunState::kFailed && failed == nullptr) failed = &job;
      if (job.state == RunState::kCancelled && cancelled == nullptr) cancelled = &job;
    }
    if (!all_terminal) continue;
    if (cancelled != nullptr) {
      bodies.push_back(ExperimentEnded{id, RunState::kCancelled, cancelled->reason});
    } else if (failed != nullptr) {
      Reason reason = failed->reason;
      reason.message = "job " + failed->plan.id + ": " + reason.message;
      bodies.push_back(ExperimentEnded{id, RunState::kFailed, reason});
    } else {
      bodies.push_back(ExperimentEnded{id, RunState::kSucceeded, {}});
    }
  }
  return bodies;
}

}  // namespace jenner::coordinator

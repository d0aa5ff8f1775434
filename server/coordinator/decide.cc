#include "server/coordinator/decide.h"

#include "absl/strings/str_format.h"
#include "core/exit_code.h"

namespace jenner::coordinator {
namespace {

using core::ExitCode;

bool IsUserFault(int32_t exit_code) {
  return exit_code >= static_cast<int>(ExitCode::kInvalidSpec) &&
         exit_code <= static_cast<int>(ExitCode::kNonFiniteLoss);
}

std::vector<Event> At(absl::Time now, std::vector<EventBody> bodies) {
  const absl::Time time = absl::FromUnixMicros(absl::ToUnixMicros(now));
  std::vector<Event> events;
  for (EventBody& body : bodies) events.push_back({time, std::move(body)});
  return events;
}

absl::StatusOr<const Experiment*> Find(const State& state, const std::string& id) {
  const auto found = state.experiments.find(id);
  if (found == state.experiments.end()) return absl::NotFoundError("no experiment \"" + id + "\"");
  return &found->second;
}

// At most `bytes` of `text`, cut between characters.
std::string Shorten(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

// When a gang breaks, one rank is the cause and the others follow: they miss their peer or are
// stopped, at last by a signal. The higher, the more likely the cause.
int CausePriority(int32_t exit_code) {
  if (exit_code == 0) return 0;
  if (exit_code == static_cast<int>(ExitCode::kTerminated)) return 1;
  if (exit_code == static_cast<int>(ExitCode::kPeerLost)) return 2;
  if (exit_code > 128) return 3;
  return IsUserFault(exit_code) ? 5 : 4;
}

// What the end of a whole gang means for its job.
EventBody Outcome(const Experiment& experiment, const Job& job) {
  const Rank* cause = nullptr;
  for (const Rank& rank : job.ranks) {
    const int priority = CausePriority(rank.exit_code);
    if (priority > (cause == nullptr ? 0 : CausePriority(cause->exit_code))) cause = &rank;
  }
  if (cause == nullptr) return JobEnded{experiment.id, job.plan.id, RunState::kSucceeded, {}};
  if (experiment.state == RunState::kCancelling) {
    return JobEnded{experiment.id,
                    job.plan.id,
                    RunState::kCancelled,
                    {"CANCELLED", "cancelled on request", "user"}};
  }
  Reason reason = cause->error;
  if (reason.code.empty())
    reason = {"INTERNAL", absl::StrFormat("a rank ended with exit code %d", cause->exit_code),
              "system"};
  if (IsUserFault(cause->exit_code))
    return JobEnded{experiment.id, job.plan.id, RunState::kFailed, reason};
  if (job.attempt < kMaxAttempts) return JobRequeued{experiment.id, job.plan.id, reason};
  reason.message = absl::StrFormat("%s (attempt %d, the last)", reason.message, job.attempt);
  return JobEnded{experiment.id, job.plan.id, RunState::kFailed, reason};
}

std::vector<EventBody> ExpiredRanks(const State& state, absl::Time now) {
  std::vector<EventBody> bodies;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      for (size_t i = 0; i < job.ranks.size(); ++i) {
        const Rank& rank = job.ranks[i];
        const auto worker = state.liveness.workers.find(rank.worker);
        if (rank.ended || worker == state.liveness.workers.end() ||
            now < worker->second.lease_until)
          continue;
        bodies.push_back(
            RankEnded{{id, job.plan.id, job.attempt, static_cast<int32_t>(i)},
                      -1,
                      {"WORKER_LOST",
                       "worker " + rank.worker + " was not heard of for a whole lease", "system"},
                      {}});
      }
    }
  }
  return bodies;
}

std::vector<EventBody> EndedJobs(const State& state) {
  std::vector<EventBody> bodies;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      if (job.state == RunState::kQueued && experiment.state == RunState::kCancelling) {
        bodies.push_back(JobEnded{
            id, job.plan.id, RunState::kCancelled, {"CANCELLED", "cancelled on request", "user"}});
      }
      bool all_ended = !job.ranks.empty();
      for (const Rank& rank : job.ranks) all_ended = all_ended && rank.ended;
      if (all_ended) bodies.push_back(Outcome(experiment, job));
    }
  }
  return bodies;
}

std::vector<EventBody> EndedExperiments(const State& state) {
  std::vector<EventBody> bodies;
  for (const auto& [id, experiment] : state.experiments) {
    if (IsTerminal(experiment.state)) continue;
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

struct Decider {
  const State& state;
  absl::Time now;
  using Result = absl::StatusOr<std::vector<Event>>;

  Result operator()(const CreateExperiment& c) const {
    const auto known = state.request_ids.find(c.request_id);
    if (!c.request_id.empty() && known != state.request_ids.end()) {
      const Experiment* made = state.MadeBy(c.request_id);
      if (made != nullptr && made->fingerprint == c.fingerprint) return std::vector<Event>{};
      const std::string told =
          "the request was made before, for experiment \"" + known->second + "\"";
      if (made != nullptr) return absl::InvalidArgumentError(told + ", with another body");
      return absl::FailedPreconditionError(told +
                                           ", which is deleted; a new one needs a new request_id");
    }
    if (state.experiments.count(c.id) > 0) {
      return absl::AlreadyExistsError("experiment_id: \"" + c.id + "\" is taken");
    }
    if (state.experiments.size() >= kMaxExperiments) {
      return absl::ResourceExhaustedError(
          absl::StrFormat("%d experiments are stored; delete some", state.experiments.size()));
    }
    ExperimentCreated created{c.id, c.request_id, c.fingerprint, c.spec, {}};
    for (const core::PlannedJob& job : core::Expand(c.spec)) created.job_ids.push_back(job.id);
    return At(now, {std::move(created)});
  }

  Result operator()(const CancelExperiment& c) const {
    const absl::StatusOr<const Experiment*> found = Find(state, c.id);
    if (!found.ok()) return found.status();
    if ((*found)->state == RunState::kCancelling || (*found)->state == RunState::kCancelled)
      return std::vector<Event>{};
    if (IsTerminal((*found)->state)) {
      return absl::FailedPreconditionError("experiment \"" + c.id +
                                           "\" has ended: nothing to cancel");
    }
    return At(now, {CancelRequested{c.id}});
  }

  Result operator()(const DeleteExperiment& c) const {
    const absl::StatusOr<const Experiment*> found = Find(state, c.id);
    if (!found.ok()) return found.status();
    if (!IsTerminal((*found)->state)) {
      return absl::FailedPreconditionError("experiment \"" + c.id +
                                           "\" is active: cancel it first");
    }
    return At(now, {ExperimentDeleted{c.id}});
  }

  Result operator()(const WorkerSync& c) const {
    if (const absl::Status status = CheckSync(c); !status.ok()) return status;
    const auto known = state.liveness.workers.find(c.worker);
    if (known == state.liveness.workers.end() || known->second.boot_id != c.boot_id) {
      return absl::AlreadyExistsError("worker \"" + c.worker +
                                      "\": another agent holds the name until its lease is over");
    }
    std::vector<EventBody> bodies;
    for (const RankReport& report : c.ranks) AddNews(c, report, &bodies);
    AddForgotten(c, &bodies);
    return At(now, std::move(bodies));
  }

  Result operator()(const Tick&) const {
    for (auto phase : {+[](const State&s, absl::Time t) { return ExpiredRanks(s, t); },
                       +[](const State&s, absl::Time) { return EndedJobs(s); },
                       +[](const State&s, absl::Time) { return EndedExperiments(s); },
                       +[](const State&s, absl::Time t) {
                         std::vector<EventBody> bodies;
                         for (AttemptStarted& start : Place(s, t))
                           bodies.push_back(std::move(start));
                         return bodies;
                       }}) {
      std::vector<EventBody> bodies = phase(state, now);
      if (!bodies.empty()) return At(now, std::move(bodies));
    }
    return std::vector<Event>{};
  }

  // What a report tells that is not known yet. Stale reports tell nothing.
  void AddNews(const WorkerSync& c, const RankReport& report,
               std::vector<EventBody>* bodies) const {
    if (!CheckAttempt(state, report.key).ok()) return;
    const Job& job = *state.experiments.at(report.key.experiment).Find(report.key.job);
    if (job.ranks[static_cast<size_t>(report.key.rank)].worker != c.worker) return;
    if (report.key.rank == 0 && !report.store_address.empty() && job.store_address.empty() &&
        job.ranks.size() > 1) {
      bodies->push_back(StoreAnnounced{report.key.experiment, report.key.job, report.key.attempt,
                                       report.store_address});
    }
    if (report.key.rank == 0 && report.total_steps > 0 && report.total_steps != job.total_steps) {
      bodies->push_back(JobPlanned{report.key.experiment, report.key.job, report.key.attempt,
                                   report.total_steps});
    }
    if (report.phase != Phase::kEnded) return;
    RankEnded ended{report.key,       report.exit_code, report.error,
                    report.artifacts, report.step,      report.total_steps};
    ended.error.code = Shorten(ended.error.code, 64);
    ended.error.message = Shorten(ended.error.message, kMaxErrorBytes);
    if (report.exit_code != 0)
      ended.error.blame = IsUserFault(report.exit_code) ? "user" : "system";
    bodies->push_back(std::move(ended));
  }

  // Ranks given to an earlier life of this agent that the new one does not have.
  void AddForgotten(const WorkerSync& c, std::vector<EventBody>* bodies) const {
    for (const auto& [id, experiment] : state.experiments) {
      for (const Job& job : experiment.jobs) {
        for (size_t i = 0; i < job.ranks.size(); ++i) {
          const Rank& rank = job.ranks[i];
          if (rank.ended || rank.worker != c.worker || rank.boot_id == c.boot_id) continue;
          const RankKey key{id, job.plan.id, job.attempt, static_cast<int32_t>(i)};
          bool reported = false;
          for (const RankReport& report : c.ranks) reported = reported || report.key == key;
          if (reported) continue;
          bodies->push_back(RankEnded{
              key,
              -1,
              {"WORKER_RESTARTED", "worker " + c.worker + " restarted without this rank", "system"},
              {}});
        }
      }
    }
  }
};

}  // namespace

absl::Status CheckSync(const WorkerSync& sync) {
  if (sync.worker.empty() || sync.worker.size() > 253 ||
      sync.worker.find('/') != std::string::npos) {
    return absl::InvalidArgumentError("worker: expected 1 to 253 bytes without \"/\", found \"" +
                                      Shorten(sync.worker, 80) + "\"");
  }
  if (sync.boot_id.empty() || sync.boot_id.size() > 64) {
    return absl::InvalidArgumentError("boot_id: expected 1 to 64 bytes");
  }
  if (sync.slots < 0 || sync.slots > kMaxSlots) {
    return absl::InvalidArgumentError(
        absl::StrFormat("slots: expected 0 to %d, found %d", kMaxSlots, sync.slots));
  }
  for (const RankReport& report : sync.ranks) {
    if (report.artifacts.size() <= kMaxArtifacts) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("ranks: %d artifacts; at most %d", report.artifacts.size(), kMaxArtifacts));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Event>> Decide(const State& state, const Command& command,
                                          absl::Time now) {
  return std::visit(Decider{state, now}, command);
}

}  // namespace jenner::coordinator

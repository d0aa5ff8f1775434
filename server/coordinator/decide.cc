#include "server/coordinator/decide.h"

#include <iterator>

#include "absl/strings/cord.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "server/coordinator/lifecycle.h"
#include "server/coordinator/outcome.h"

namespace jenner::coordinator {
namespace {

std::vector<Event> At(absl::Time now, std::vector<EventBody> bodies) {
  const absl::Time time = absl::FromUnixMicros(absl::ToUnixMicros(now));
  std::vector<Event> events;
  for (EventBody& body : bodies) events.push_back({time, std::move(body)});
  return events;
}

// At most `bytes` of `text`, cut between characters.
std::string Shorten(std::string text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

template <typename Body>
std::vector<EventBody> Bodies(std::vector<Body> events) {
  return {std::make_move_iterator(events.begin()), std::make_move_iterator(events.end())};
}

constexpr char kQuotaPayload[] = "jenner/quota";

absl::Status OverQuota(const char* quota, const std::string& owner, const std::string& usage) {
  absl::Status status =
      absl::ResourceExhaustedError(absl::StrFormat("owner \"%s\" %s", owner, usage));
  status.SetPayload(kQuotaPayload, absl::Cord(quota));
  return status;
}

// May `owner` have another experiment, of `jobs` jobs?
absl::Status CheckQuota(const State& state, const std::string& owner, size_t jobs) {
  const Quota& quota = state.quotas.Of(owner);
  const auto known = state.index.owners.find(owner);
  const Index::Owner has = known == state.index.owners.end() ? Index::Owner() : known->second;
  if (quota.experiments.has_value() && has.experiments + 1 > *quota.experiments) {
    return OverQuota("QUOTA_EXPERIMENTS", owner,
                     absl::StrFormat("has %d experiments that have not ended, of at most %d",
                                     has.experiments, *quota.experiments));
  }
  if (quota.jobs.has_value() && has.waiting + static_cast<int64_t>(jobs) > *quota.jobs) {
    return OverQuota("QUOTA_JOBS", owner,
                     absl::StrFormat("has %d waiting jobs, of at most %d; this would be %d more",
                                     has.waiting, *quota.jobs, jobs));
  }
  return absl::OkStatus();
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
    ExperimentCreated created{c.id, c.request_id, c.fingerprint, c.spec,
                              {},   c.creator,    c.project,     c.owner};
    for (const core::PlannedJob& job : core::Expand(c.spec)) created.job_ids.push_back(job.id);
    RETURN_IF_ERROR(CheckQuota(state, c.owner, created.job_ids.size()));
    return At(now, {std::move(created)});
  }

  // The verbs of lifecycle.h.
  template <typename Verb>
  Result operator()(const Verb& verb) const {
    absl::StatusOr<std::vector<EventBody>> bodies = DecideVerb(state, verb);
    if (!bodies.ok()) return bodies.status();
    return At(now, *std::move(bodies));
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
    using Step = std::vector<EventBody> (*)(const State&, absl::Time);
    const Step steps[] = {
        [](const State& s, absl::Time t) { return ExpiredRanks(s, t); },
        [](const State& s, absl::Time) { return EndedJobs(s); },
        [](const State& s, absl::Time) { return EndedExperiments(s); },
        [](const State& s, absl::Time) { return PausedExperiments(s); },
        [](const State& s, absl::Time) { return Drains(s); },
        [](const State& s, absl::Time t) { return Bodies(Place(s, t)); },
        [](const State& s, absl::Time t) { return Bodies(Preemptions(s, t)); },
    };
    for (const Step step : steps) {
      std::vector<EventBody> bodies = step(state, now);
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
    AddCheckpoint(report, job, bodies);
    if (report.phase != Phase::kEnded) return;
    RankEnded ended{report.key,       report.exit_code, report.error,
                    report.artifacts, report.step,      report.total_steps};
    ended.error.code = Shorten(ended.error.code, 64);
    ended.error.message = Shorten(ended.error.message, kMaxErrorBytes);
    if (report.exit_code != 0)
      ended.error.blame = FailureOf(ended.exit_code, ended.error.code).blame;
    bodies->push_back(std::move(ended));
  }

  // What a current rank 0 tells of checkpoints. Of one attempt only newer ones count; a new
  // attempt's takes the place of any, for it went on from that or could not.
  static void AddCheckpoint(const RankReport& report, const Job& job,
                            std::vector<EventBody>* bodies) {
    const RankKey& key = report.key;
    if (key.rank != 0) return;
    if (report.resumed_step > 0 && report.resumed_step != job.resumed_step) {
      bodies->push_back(AttemptResumed{key.experiment, key.job, key.attempt, report.resumed_step});
    }
    const bool is_newer =
        key.attempt > job.checkpoint.attempt || report.checkpoint_step > job.checkpoint.step;
    if (report.checkpoint_step <= 0 || report.checkpoint_files.empty() || !is_newer) return;
    bodies->push_back(CheckpointCommitted{key.experiment, key.job, key.attempt,
                                          report.checkpoint_step, report.checkpoint_files});
  }

  // Ranks given to an earlier life of this agent that the new one does not have.
  void AddForgotten(const WorkerSync& c, std::vector<EventBody>* bodies) const {
    const auto known = state.index.workers.find(c.worker);
    if (known == state.index.workers.end()) return;
    for (const JobKey& held : known->second.jobs) {
      const Job& job = state.experiments.at(held.experiment).jobs[held.job];
      for (size_t i = 0; i < job.ranks.size(); ++i) {
        const Rank& rank = job.ranks[i];
        if (rank.ended || rank.worker != c.worker || rank.boot_id == c.boot_id) continue;
        const RankKey key{held.experiment, job.plan.id, job.attempt, static_cast<int32_t>(i)};
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
};

}  // namespace

std::string QuotaOf(const absl::Status& refusal) {
  return std::string(refusal.GetPayload(kQuotaPayload).value_or(absl::Cord()));
}

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
  if (sync.gpus < 0 || sync.gpus > kMaxGpus) {
    return absl::InvalidArgumentError(
        absl::StrFormat("gpus: expected 0 to %d, found %d", kMaxGpus, sync.gpus));
  }
  for (const RankReport& report : sync.ranks) {
    if (report.artifacts.size() > kMaxArtifacts) {
      return absl::InvalidArgumentError(absl::StrFormat("ranks: %d artifacts; at most %d",
                                                        report.artifacts.size(), kMaxArtifacts));
    }
    if (report.checkpoint_files.size() > kMaxCheckpointFiles) {
      return absl::InvalidArgumentError(
          absl::StrFormat("ranks: %d files of a checkpoint; at most %d",
                          report.checkpoint_files.size(), kMaxCheckpointFiles));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Event>> Decide(const State& state, const Command& command,
                                          absl::Time now) {
  return std::visit(Decider{state, now}, command);
}

}  // namespace jenner::coordinator

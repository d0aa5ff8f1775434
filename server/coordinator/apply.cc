#include "core/check.h"
#include "server/coordinator/decide.h"

namespace jenner::coordinator {
namespace {

Job& JobOf(State* state, const std::string& experiment, const std::string& job) {
  for (Job& one : state->experiments.at(experiment).jobs) {
    if (one.plan.id == job) return one;
  }
  JENNER_CHECK(false && "an event names a job that is not there");
  std::abort();
}

void EndGang(Job* job) {
  job->ranks.clear();
  job->store_address.clear();
}

struct Applier {
  State* state;
  absl::Time time;

  void operator()(const ExperimentCreated& e) {
    Experiment experiment;
    experiment.id = e.id;
    experiment.order = ++state->last_order;
    experiment.request_id = e.request_id;
    experiment.fingerprint = e.fingerprint;
    experiment.spec = e.spec;
    experiment.create_time = time;
    for (core::PlannedJob& plan : core::Expand(e.spec)) {
      Job job;
      job.plan = std::move(plan);
      job.queue_time = time;
      experiment.jobs.push_back(std::move(job));
    }
    if (!e.request_id.empty()) state->request_ids[e.request_id] = e.id;
    state->experiments[e.id] = std::move(experiment);
  }
  void operator()(const AttemptStarted& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    JENNER_CHECK(e.attempt == job.attempt + 1 && job.ranks.empty());
    job.attempt = e.attempt;
    job.state = RunState::kRunning;
    job.start_time = time;
    for (const AttemptStarted::Placement& place : e.placements) {
      Rank rank;
      rank.worker = place.worker;
      rank.boot_id = place.boot_id;
      job.ranks.push_back(std::move(rank));
    }
    Experiment& experiment = state->experiments.at(e.experiment);
    if (experiment.state == RunState::kQueued) {
      experiment.state = RunState::kRunning;
      experiment.start_time = time;
    }
  }
  void operator()(const StoreAnnounced& e) {
    JobOf(state, e.experiment, e.job).store_address = e.address;
  }
  void operator()(const RankEnded& e) {
    Job& job = JobOf(state, e.key.experiment, e.key.job);
    Rank& rank = job.ranks.at(static_cast<size_t>(e.key.rank));
    rank.ended = true;
    rank.exit_code = e.exit_code;
    rank.error = e.error;
    if (e.key.rank == 0) job.artifacts = e.artifacts;
  }
  void operator()(const JobRequeued& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    EndGang(&job);
    job.state = RunState::kQueued;
    job.reason = e.reason;
    job.queue_time = time;
    job.artifacts.clear();
  }
  void operator()(const JobEnded& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    EndGang(&job);
    job.state = e.state;
    job.reason = e.reason;
    job.end_time = time;
  }
  void operator()(const CancelRequested& e) {
    Experiment& experiment = state->experiments.at(e.experiment);
    experiment.state = RunState::kCancelling;
    for (Job& job : experiment.jobs) {
      if (job.state == RunState::kRunning) job.state = RunState::kCancelling;
    }
  }
  void operator()(const ExperimentEnded& e) {
    Experiment& experiment = state->experiments.at(e.experiment);
    experiment.state = e.state;
    experiment.reason = e.reason;
    experiment.end_time = time;
  }
  void operator()(const ExperimentDeleted& e) {
    const auto found = state->experiments.find(e.experiment);
    state->request_ids.erase(found->second.request_id);
    state->experiments.erase(found);
  }
};

}  // namespace

void Apply(const Event& event, State* state) { std::visit(Applier{state, event.time}, event.body); }

void Observe(const Command& command, absl::Time now, absl::Duration lease, State* state) {
  std::map<std::string, WorkerInfo>& workers = state->liveness.workers;
  if (const WorkerSync* sync = std::get_if<WorkerSync>(&command)) {
    WorkerInfo& worker = workers[sync->worker];
    const bool held_by_other =
        !worker.boot_id.empty() && worker.boot_id != sync->boot_id && now < worker.lease_until;
    if (held_by_other) return;  // Decide() refuses it
    worker = {sync->boot_id, sync->slots, sync->models, sync->host,
              sync->version, now,         now + lease};
    for (const RankReport& report : sync->ranks) {
      if (report.key.rank != 0 || !CheckAttempt(*state, report.key).ok()) continue;
      state->liveness.progress[report.key] = {report.step, report.total_steps};
    }
    return;
  }
  if (!std::holds_alternative<Tick>(command)) return;
  for (const auto& [id, experiment] : state->experiments) {
    for (const Job& job : experiment.jobs) {
      for (const Rank& rank : job.ranks) {
        // Known from the log alone: one lease to show up, with room for nothing.
        if (workers.count(rank.worker) == 0) workers[rank.worker].lease_until = now + lease;
      }
    }
  }
  for (auto at = state->liveness.progress.begin(); at != state->liveness.progress.end();) {
    const auto found = state->experiments.find(at->first.experiment);
    const bool gone = found == state->experiments.end() ||
                      found->second.Find(at->first.job)->attempt != at->first.attempt;
    at = gone ? state->liveness.progress.erase(at) : std::next(at);
  }
}

}  // namespace jenner::coordinator

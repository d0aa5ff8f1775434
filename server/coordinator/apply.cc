#include <algorithm>

#include "core/check.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/outcome.h"

namespace jenner::coordinator {
namespace {

size_t NumberOf(const Experiment& experiment, const std::string& job) {
  for (size_t i = 0; i < experiment.jobs.size(); ++i) {
    if (experiment.jobs[i].plan.id == job) return i;
  }
  JENNER_CHECK(false && "an event names a job that is not there");
  std::abort();
}

Job& JobOf(State* state, const std::string& experiment, const std::string& job) {
  Experiment& whole = state->experiments.at(experiment);
  return whole.jobs[NumberOf(whole, job)];
}

void BeginWait(absl::Time time, Job* job) {
  job->queue_time = time;
  job->waited = absl::ZeroDuration();
}

void EndGang(Job* job) {
  job->ranks.clear();
  job->store_address.clear();
  job->stop = StopCause::kNone;
}

void ChargeJob(Charge charge, absl::Time time, Job* job) {
  if (charge == Charge::kNone) return;
  int32_t& count = charge == Charge::kAttempt ? job->attempts_counted : job->interruptions;
  ++count;
  const bool ran_long = time - job->start_time >= kLongRun;
  job->failures_in_row = ran_long ? 1 : job->failures_in_row + 1;
  const int doublings = std::min(job->failures_in_row - 1, 16);
  job->not_before = time + std::min(absl::Seconds(1 << doublings), kMaxBackOff);
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
    experiment.owner = e.owner;
    experiment.creator = e.creator;
    experiment.project = e.project;
    experiment.spec = e.spec;
    experiment.create_time = time;
    std::vector<core::PlannedJob> plans = core::ExpandUnnamed(e.spec);
    JENNER_CHECK(plans.size() == e.job_ids.size());
    for (size_t i = 0; i < plans.size(); ++i) {
      Job job;
      job.plan = std::move(plans[i]);
      job.plan.id = e.job_ids[i];
      job.queue_time = time;
      if (job.plan.after) {
        // By the name that it has in the log.
        job.plan.spec.training->after = e.job_ids.at(*job.plan.after);
        experiment.jobs.at(*job.plan.after).successors.push_back(i);
      }
      experiment.jobs.push_back(std::move(job));
    }
    if (!e.request_id.empty()) {
      // Once a deletion forgot the request: a log of then may have it twice.
      if (state->request_ids.count(e.request_id) > 0) {
        std::erase(state->deleted_requests, e.request_id);
      }
      state->request_ids[e.request_id] = e.id;
    }
    state->experiments[e.id] = std::move(experiment);
  }
  void operator()(const AttemptStarted& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    JENNER_CHECK(e.attempt == NextAttempt(*state, job) && job.ranks.empty());
    job.attempt = e.attempt;
    job.state = RunState::kRunning;
    job.start_time = time;
    job.resumed_step = 0;
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
  void operator()(const JobPlanned& e) {
    JobOf(state, e.experiment, e.job).total_steps = e.total_steps;
  }
  void operator()(const CheckpointCommitted& e) {
    JobOf(state, e.experiment, e.job).checkpoint = {e.attempt, e.step, e.files};
  }
  void operator()(const AttemptResumed& e) {
    JobOf(state, e.experiment, e.job).resumed_step = e.step;
  }
  void operator()(const RankEnded& e) {
    Job& job = JobOf(state, e.key.experiment, e.key.job);
    Rank& rank = job.ranks.at(static_cast<size_t>(e.key.rank));
    rank.ended = true;
    rank.exit_code = e.exit_code;
    rank.error = e.error;
    if (e.key.rank != 0) return;
    job.artifacts = e.artifacts;
    job.step = e.step;
    if (e.total_steps > 0) job.total_steps = e.total_steps;
  }
  void operator()(const StopRequested& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    job.stop = e.cause;
    job.reason = e.reason;
  }
  void operator()(const JobRequeued& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    job.last_workers.clear();
    if (e.charge != Charge::kAttempt) {
      for (const Rank& rank : job.ranks) job.last_workers.push_back(rank.worker);
    } else if (const Rank* cause = CauseOf(job); cause != nullptr) {
      std::vector<std::string>& avoided = job.avoided_workers;
      if (std::find(avoided.begin(), avoided.end(), cause->worker) == avoided.end()) {
        avoided.push_back(cause->worker);
      }
    }
    EndGang(&job);
    ChargeJob(e.charge, time, &job);
    const RunState whole = state->experiments.at(e.experiment).state;
    const bool is_paused = whole == RunState::kPausing || whole == RunState::kPaused;
    job.state = is_paused ? RunState::kPaused : RunState::kQueued;
    job.reason = e.reason;
    BeginWait(time, &job);
    job.artifacts.clear();
  }
  void operator()(const JobEnded& e) {
    Job& job = JobOf(state, e.experiment, e.job);
    EndGang(&job);
    ChargeJob(e.charge, time, &job);
    job.state = e.state;
    job.reason = e.reason;
    job.checkpoint = {};
    job.end_time = time;
    if (e.state != RunState::kSucceeded) return;
    for (const size_t number : job.successors) {
      Job& successor = state->experiments.at(e.experiment).jobs[number];
      if (!IsTerminal(successor.state)) BeginWait(time, &successor);  // from now on it may run
    }
  }
  void operator()(const CancelRequested& e) {
    Experiment& experiment = state->experiments.at(e.experiment);
    experiment.state = RunState::kCancelling;
    experiment.is_killed = experiment.is_killed || e.kill;
    experiment.reason = {};
    for (Job& job : experiment.jobs) {
      if (job.state == RunState::kRunning) job.state = RunState::kCancelling;
    }
  }
  void operator()(const PauseRequested& e) {
    Experiment& experiment = state->experiments.at(e.experiment);
    experiment.state = RunState::kPausing;
    experiment.reason = {"PAUSED", "paused on request", "user"};
    for (Job& job : experiment.jobs) {
      if (job.state == RunState::kQueued) {
        job.state = RunState::kPaused;
        job.waited = WaitOf(job, time);
      } else if (job.state == RunState::kRunning && job.stop == StopCause::kNone) {
        job.stop = StopCause::kPaused;
        job.reason = experiment.reason;
      }
    }
  }
  void operator()(const ExperimentPaused& e) {
    state->experiments.at(e.experiment).state = RunState::kPaused;
  }
  void operator()(const ExperimentResumed& e) {
    Experiment& experiment = state->experiments.at(e.experiment);
    const bool has_started = experiment.start_time != absl::InfinitePast();
    experiment.state = has_started ? RunState::kRunning : RunState::kQueued;
    experiment.reason = {};
    for (Job& job : experiment.jobs) {
      if (job.state != RunState::kPaused) continue;
      job.state = RunState::kQueued;
      job.queue_time = time;
    }
  }
  void operator()(const WorkerCordoned& e) { state->cordons[e.worker] = e.cordon; }
  void operator()(const CoordinatorRestored& e) { state->first_attempt = e.first_attempt; }
  void operator()(const WorkerUncordoned& e) { state->cordons.erase(e.worker); }
  void operator()(const ExperimentEnded& e) {
    Experiment& experiment = state->experiments.at(e.experiment);
    experiment.state = e.state;
    experiment.reason = e.reason;
    experiment.end_time = time;
  }
  void operator()(const ExperimentDeleted& e) {
    const auto found = state->experiments.find(e.experiment);
    const std::string request = found->second.request_id;
    state->experiments.erase(found);
    if (request.empty()) return;
    state->deleted_requests.push_back(request);
    if (state->deleted_requests.size() <= kMaxDeletedRequests) return;
    state->request_ids.erase(state->deleted_requests.front());
    state->deleted_requests.pop_front();
  }
};

// The job that an event is about; null: a whole experiment, or a worker.
const std::string* JobOf(const Event& event) {
  return std::visit(
      [](const auto& e) -> const std::string* {
        if constexpr (requires { e.key.job; }) return &e.key.job;
        if constexpr (requires { e.job; }) return &e.job;
        return nullptr;
      },
      event.body);
}

// An agent that restarted and found ranks of ours alive may go on with them at once.
bool HoldsRanks(const State& state, const WorkerSync& sync) {
  for (const RankReport& report : sync.ranks) {
    if (!CheckAttempt(state, report.key).ok()) continue;
    const Job& job = *state.experiments.at(report.key.experiment).Find(report.key.job);
    if (job.ranks[static_cast<size_t>(report.key.rank)].worker == sync.worker) return true;
  }
  return false;
}

void ObserveSync(const WorkerSync& sync, absl::Time now, absl::Duration lease, State* state) {
  if (!CheckSync(sync).ok()) return;
  WorkerInfo& worker = state->liveness.workers[sync.worker];
  const bool held_by_other =
      !worker.boot_id.empty() && worker.boot_id != sync.boot_id && now < worker.lease_until;
  if (held_by_other && !HoldsRanks(*state, sync)) return;  // Decide() refuses it
  worker = {sync.boot_id, sync.slots,  sync.models, sync.host,    sync.version,
            now,          now + lease, sync.gpus,   sync.only_job};
  for (const RankReport& report : sync.ranks) {
    if (report.key.rank != 0 || !CheckAttempt(*state, report.key).ok()) continue;
    state->liveness.steps[report.key] = report.step;
  }
}

void ObserveTick(absl::Time now, absl::Duration lease, State* state) {
  std::map<std::string, WorkerInfo>& workers = state->liveness.workers;
  for (const auto& [name, unused] : state->index.workers) {
    // Known from the log alone: one lease to show up, with room for nothing.
    if (workers.count(name) == 0) workers[name].lease_until = now + lease;
  }
  for (auto at = workers.begin(); at != workers.end();) {
    const bool forget =
        now >= at->second.lease_until + kForgetWorkerAfter && HeldOn(*state, at->first) == Held();
    at = forget ? workers.erase(at) : std::next(at);
  }
  std::map<RankKey, int32_t>& steps = state->liveness.steps;
  for (auto at = steps.begin(); at != steps.end();) {
    const auto found = state->experiments.find(at->first.experiment);
    const Job* job =
        found == state->experiments.end() ? nullptr : found->second.Find(at->first.job);
    const bool keep = job != nullptr && job->attempt == at->first.attempt;
    at = keep ? std::next(at) : steps.erase(at);
  }
}

}  // namespace

void Apply(const Event& event, State* state) {
  const std::string& id = ExperimentOf(event);
  const std::string* const job = JobOf(event);
  if (job != nullptr) {
    const Experiment& experiment = state->experiments.at(id);
    const size_t number = NumberOf(experiment, *job);
    std::vector<size_t> changed = {number};
    if (std::holds_alternative<JobEnded>(event.body)) {
      const std::vector<size_t>& successors = experiment.jobs[number].successors;
      changed.insert(changed.end(), successors.begin(), successors.end());
    }
    for (const size_t one : changed) state->index.RemoveJob(experiment, one);
    std::visit(Applier{state, event.time}, event.body);
    for (const size_t one : changed) state->index.AddJob(experiment, one);
    return;
  }
  const auto before = state->experiments.find(id);
  if (before != state->experiments.end()) state->index.Remove(before->second);
  std::visit(Applier{state, event.time}, event.body);
  const auto after = state->experiments.find(id);
  if (after != state->experiments.end()) state->index.Add(after->second);
}

void Observe(const Command& command, absl::Time now, absl::Duration lease, State* state) {
  if (const WorkerSync* sync = std::get_if<WorkerSync>(&command)) {
    ObserveSync(*sync, now, lease, state);
  } else if (std::holds_alternative<Tick>(command)) {
    ObserveTick(now, lease, state);
  }
}

}  // namespace jenner::coordinator

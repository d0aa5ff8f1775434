#include "server/coordinator/index.h"

#include <algorithm>

#include "server/coordinator/state.h"

namespace jenner::coordinator {
namespace {

bool IsEmpty(const Index::Worker& worker) { return worker == Index::Worker(); }
bool IsEmpty(const Index::Owner& owner) { return owner == Index::Owner(); }
bool IsEmpty(const std::set<JobKey>& jobs) { return jobs.empty(); }
bool IsEmpty(const Index::Waiting& waiting) { return waiting.jobs.empty(); }
bool IsEmpty(const Index::Line& line) { return line.empty(); }
bool IsEmpty(const std::map<std::string, Index::Line>& by_owner) { return by_owner.empty(); }
bool IsEmpty(int32_t count) { return count == 0; }

void Put(bool is_put, const JobKey& key, std::set<JobKey>* jobs) {
  if (is_put) {
    jobs->insert(key);
  } else {
    jobs->erase(key);
  }
}

// Changes the entry of `key`; one that says nothing is not kept.
template <typename Map, typename Change>
void Edit(Map* map, const typename Map::key_type& key, Change change) {
  auto& value = (*map)[key];
  change(&value);
  if (IsEmpty(value)) map->erase(key);
}

}  // namespace

void Index::Count(const Experiment& experiment, size_t number, int32_t sign) {
  const Job& job = experiment.jobs[number];
  const JobKey key{experiment.id, number};
  const bool is_put = sign > 0;
  const bool on_gpus = job.plan.spec.device == core::Device::kCuda;
  int32_t held = 0;
  for (const Rank& rank : job.ranks) {
    if (rank.ended) continue;
    ++held;
    Edit(&workers, rank.worker, [&](Worker* worker) {
      (on_gpus ? worker->held.gpus : worker->held.slots) += sign;
      Put(is_put, key, &worker->jobs);
    });
  }
  if (!job.ranks.empty()) {
    Edit(&gangs, experiment.spec.priority, [&](std::set<JobKey>* jobs) { Put(is_put, key, jobs); });
    if (held == 0) Put(is_put, key, &ended_gangs);
  }
  if (!IsTerminal(experiment.state) && !IsTerminal(job.state)) {
    Edit(&unended, experiment.id, [&](int32_t* count) { *count += sign; });
  }
  const bool is_cancelled =
      IsTerminal(experiment.state) || experiment.state == RunState::kCancelling;
  const bool is_queued = job.state == RunState::kQueued && !is_cancelled;
  const bool waits = is_queued || (job.state == RunState::kPaused && !is_cancelled);
  Edit(&owners, experiment.owner, [&](Owner* owner) {
    owner->held += sign * held;
    owner->waiting += waits ? sign : 0;
  });
  if (waits && IsOrphaned(experiment, job)) Put(is_put, key, &orphans);
  if (!is_queued || !IsReady(experiment, job)) return;
  Edit(&queue, experiment.spec.priority, [&](std::map<std::string, Line>* by_owner) {
    Edit(by_owner, experiment.owner, [&](Line* line) {
      Edit(line, experiment.order, [&](Waiting* waiting) {
        waiting->experiment = experiment.id;
        std::vector<size_t>& jobs = waiting->jobs;
        const auto at = std::lower_bound(jobs.begin(), jobs.end(), number);
        if (is_put) jobs.insert(at, number);
        if (!is_put) jobs.erase(at);
      });
    });
  });
}

void Index::CountExperiment(const Experiment& experiment, int32_t sign) {
  if (IsTerminal(experiment.state)) return;
  Edit(&owners, experiment.owner, [&](Owner* owner) { owner->experiments += sign; });
}

void Index::NoteEnding(const Experiment& experiment) {
  const bool is_ending =
      !IsTerminal(experiment.state) &&
      (experiment.state == RunState::kCancelling || experiment.state == RunState::kPausing ||
       unended.count(experiment.id) == 0);
  if (is_ending) {
    ending.insert(experiment.id);
  } else {
    ending.erase(experiment.id);
  }
}

void Index::Add(const Experiment& experiment) {
  CountExperiment(experiment, 1);
  for (size_t i = 0; i < experiment.jobs.size(); ++i) Count(experiment, i, 1);
  NoteEnding(experiment);
}

void Index::Remove(const Experiment& experiment) {
  CountExperiment(experiment, -1);
  for (size_t i = 0; i < experiment.jobs.size(); ++i) Count(experiment, i, -1);
  ending.erase(experiment.id);
}

void Index::AddJob(const Experiment& experiment, size_t job) {
  Count(experiment, job, 1);
  NoteEnding(experiment);
}

void Index::RemoveJob(const Experiment& experiment, size_t job) { Count(experiment, job, -1); }

Index IndexOf(const State& state) {
  Index index;
  for (const auto& [id, experiment] : state.experiments) index.Add(experiment);
  return index;
}

}  // namespace jenner::coordinator

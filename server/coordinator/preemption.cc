#include <algorithm>
#include <set>

#include "absl/strings/str_format.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/queue.h"
#include "server/coordinator/rooms.h"

namespace jenner::coordinator {
namespace {

using Candidates = std::vector<Waiting>;  // that run, those to be asked first in front

// Every running job that may be asked to stop: the lowest priority first, and of equals the one
// that started last, which has the least to lose.
Candidates MayBeStopped(const State& state, absl::Time now) {
  Candidates candidates;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      if (job.ranks.empty() || IsStopping(job) || now < job.start_time + state.min_run_time)
        continue;
      candidates.push_back({&experiment, &job});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Waiting& a, const Waiting& b) {
    const int32_t left = a.experiment->spec.priority;
    const int32_t right = b.experiment->spec.priority;
    return left != right ? left < right : a.job->start_time > b.job->start_time;
  });
  return candidates;
}

int32_t HighestWaiting(const State& state) {
  int32_t highest = -1;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      if (job.state == RunState::kQueued) highest = std::max(highest, experiment.spec.priority);
    }
  }
  return highest;
}

void ReleaseSlots(const Job& job, Rooms* rooms) {
  for (const Rank& rank : job.ranks) {
    if (!rank.ended) rooms->Release(rank.worker);
  }
}

// How many slots a gang with `model` gains when `job` stops.
int32_t GainOf(const Job& job, const std::string& model, const Rooms& rooms) {
  int32_t gain = 0;
  for (const Rank& rank : job.ranks) gain += !rank.ended && rooms.CanGain(rank.worker, model);
  return gain;
}

// As few of *candidates as give `missing` slots to a gang of `priority`, taken out; none, if all of
// them together do not.
Candidates Choose(const std::string& model, int32_t priority, int32_t missing, const Rooms& rooms,
                  Candidates* candidates) {
  std::vector<std::pair<Waiting, int32_t>> chosen;
  int32_t sum = 0;
  for (const Waiting& one : *candidates) {
    if (sum >= missing || one.experiment->spec.priority >= priority) break;
    const int32_t gain = GainOf(*one.job, model, rooms);
    if (gain == 0) continue;
    chosen.push_back({one, gain});
    sum += gain;
  }
  if (sum < missing) return {};
  Candidates stopped;
  for (auto one = chosen.rbegin(); one != chosen.rend(); ++one) {
    if (sum - one->second >= missing) {
      sum -= one->second;  // enough without it
      continue;
    }
    stopped.push_back(one->first);
    std::erase_if(*candidates, [&](const Waiting& other) { return other.job == one->first.job; });
  }
  std::reverse(stopped.begin(), stopped.end());
  return stopped;
}

StopRequested Preempted(const Waiting& victim, const Experiment& by) {
  Reason reason{
      "PREEMPTED",
      absl::StrFormat("made room for experiment %s of priority %d", by.id, by.spec.priority),
      "capacity"};
  return {victim.experiment->id, victim.job->plan.id, victim.job->attempt, StopCause::kPreempted,
          std::move(reason)};
}

}  // namespace

std::vector<StopRequested> Preemptions(const State& state, absl::Time now) {
  Candidates candidates = MayBeStopped(state, now);
  // Most often there is nothing to gain, which is found without a walk through the queue.
  if (candidates.empty() || HighestWaiting(state) <= candidates.front().experiment->spec.priority)
    return {};
  Rooms rooms(state, now);
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      if (IsStopping(job)) ReleaseSlots(job, &rooms);
    }
  }
  std::vector<StopRequested> stops;
  std::set<std::string> kept;  // models whose workers are all kept for a gang
  Queue queue(state, now);
  for (Waiting next = queue.Next(); next.job != nullptr && !candidates.empty();
       next = queue.Next()) {
    const int32_t priority = next.experiment->spec.priority;
    if (priority <= candidates.front().experiment->spec.priority) break;
    const std::string& model = next.job->plan.spec.base_model;
    const int32_t ranks = next.job->plan.spec.ranks;
    if (rooms.Together(model).slots < ranks) continue;
    queue.Charge(ranks);
    if (kept.count(model) > 0) continue;
    const int32_t missing = ranks - rooms.Together(model).free;
    if (missing > 0) {
      const Candidates victims = Choose(model, priority, missing, rooms, &candidates);
      for (const Waiting& victim : victims) {
        stops.push_back(Preempted(victim, *next.experiment));
        ReleaseSlots(*victim.job, &rooms);
      }
    }
    if (rooms.Take(model, ranks).empty()) {
      rooms.Keep(model);
      kept.insert(model);
    }
  }
  return stops;
}

}  // namespace jenner::coordinator

#include <algorithm>
#include <set>

#include "absl/strings/str_format.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/queue.h"
#include "server/coordinator/rooms.h"

namespace jenner::coordinator {
namespace {

using Candidates = std::vector<Waiting>;  // that run, those to be asked first in front

// Every running job of a priority below `highest` that may be asked to stop: the lowest priority
// first, and of equals the one that started last, which has the least to lose.
Candidates MayBeStopped(const State& state, int32_t highest, absl::Time now) {
  Candidates candidates;
  for (const auto& [priority, gangs] : state.index.gangs) {
    if (priority >= highest) break;
    const auto first = static_cast<std::ptrdiff_t>(candidates.size());
    for (const JobKey& key : gangs) {
      const Experiment& experiment = state.experiments.at(key.experiment);
      const Job& job = experiment.jobs[key.job];
      if (IsStopping(job) || now < job.start_time + state.min_run_time) continue;
      candidates.push_back({&experiment, &job});
    }
    std::stable_sort(candidates.begin() + first, candidates.end(),
                     [](const Waiting& left, const Waiting& right) {
                       return left.job->start_time > right.job->start_time;
                     });
  }
  return candidates;
}

void ReleasePlaces(const Job& job, Rooms* rooms) {
  for (const Rank& rank : job.ranks) {
    if (!rank.ended) rooms->Release(rank.worker, job.plan.spec.device);
  }
}

// How many places the pool gains when `job` stops.
int32_t GainOf(const Job& job, const PoolKey& pool, const Rooms& rooms) {
  if (job.plan.spec.device != pool.device) return 0;
  int32_t gain = 0;
  for (const Rank& rank : job.ranks) gain += !rank.ended && rooms.CanGain(rank.worker, pool);
  return gain;
}

// As few of *candidates as give `missing` places of the pool to a gang of `priority`, taken out;
// none, if all of them together do not.
Candidates Choose(const PoolKey& pool, int32_t priority, int32_t missing, const Rooms& rooms,
                  Candidates* candidates) {
  std::vector<std::pair<Waiting, int32_t>> chosen;
  int32_t sum = 0;
  for (const Waiting& one : *candidates) {
    if (sum >= missing || one.experiment->spec.priority >= priority) break;
    const int32_t gain = GainOf(*one.job, pool, rooms);
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
  // Most often there is nothing to gain, which is found without a walk through the queue.
  if (state.index.queue.empty()) return {};
  const int32_t highest = state.index.queue.begin()->first;
  Candidates candidates = MayBeStopped(state, highest, now);
  if (candidates.empty()) return {};
  Rooms rooms(state, now);
  for (const auto& [priority, gangs] : state.index.gangs) {
    for (const JobKey& key : gangs) {
      const Job& job = state.experiments.at(key.experiment).jobs[key.job];
      if (IsStopping(job)) ReleasePlaces(job, &rooms);
    }
  }
  std::vector<StopRequested> stops;
  std::set<PoolKey> kept;  // pools that are kept for a gang
  Queue queue(state, now);
  for (Waiting next = queue.Next(); next.job != nullptr && !candidates.empty();
       next = queue.Next()) {
    const int32_t priority = next.experiment->spec.priority;
    if (priority <= candidates.front().experiment->spec.priority) break;
    const PoolKey pool = rooms.KeyOf(*next.experiment, *next.job);
    const int32_t ranks = next.job->plan.spec.ranks;
    if (rooms.Together(pool).places < ranks || !queue.Charge(ranks)) continue;
    if (kept.count(pool) > 0) continue;
    const int32_t missing = ranks - rooms.Together(pool).free;
    if (missing > 0) {
      const Candidates victims = Choose(pool, priority, missing, rooms, &candidates);
      for (const Waiting& victim : victims) {
        stops.push_back(Preempted(victim, *next.experiment));
        ReleasePlaces(*victim.job, &rooms);
      }
    }
    if (rooms.Take(pool, ranks).empty()) {
      rooms.Keep(pool);
      kept.insert(pool);
    }
  }
  return stops;
}

}  // namespace jenner::coordinator

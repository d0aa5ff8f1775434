#include <algorithm>

#include "absl/strings/str_format.h"
#include "server/coordinator/decide.h"

namespace jenner::coordinator {
namespace {

using Free = std::map<std::string, int32_t>;  // worker -> free slots

bool Offers(const WorkerInfo& worker, const std::string& model) {
  return std::find(worker.models.begin(), worker.models.end(), model) != worker.models.end();
}

Free FreeSlots(const State& state, absl::Time now) {
  Free free;
  for (const auto& [name, worker] : state.liveness.workers) {
    if (IsAlive(state, name, now)) free[name] = std::max(0, worker.slots - SlotsUsed(state, name));
  }
  return free;
}

// A place for each of `ranks` ranks, taken off *free; empty (and *free as it was) if they do not
// fit.
std::vector<std::string> Fit(const State& state, const std::string& model, int32_t ranks,
                             Free* free) {
  Free left = *free;
  std::vector<std::string> places;
  while (static_cast<int32_t>(places.size()) < ranks) {
    auto best = left.end();
    for (auto at = left.begin(); at != left.end(); ++at) {
      if (at->second < 1 || !Offers(state.liveness.workers.at(at->first), model)) continue;
      if (best == left.end() || at->second > best->second) best = at;
    }
    if (best == left.end()) return {};
    --best->second;
    places.push_back(best->first);
  }
  *free = std::move(left);
  return places;
}

absl::Time NotBefore(const Job& job) {
  return job.attempt == 0 ? absl::InfinitePast()
                          : job.queue_time + absl::Seconds(1 << (job.attempt - 1));
}

bool Waits(const Experiment& experiment, const Job& job) {
  return job.state == RunState::kQueued && !IsTerminal(experiment.state) &&
         experiment.state != RunState::kCancelling;
}

}  // namespace

std::vector<AttemptStarted> Place(const State& state, absl::Time now) {
  std::vector<const Experiment*> queue;
  for (const auto& [id, experiment] : state.experiments) queue.push_back(&experiment);
  std::sort(queue.begin(), queue.end(),
            [](const Experiment* a, const Experiment* b) { return a->order < b->order; });
  Free free = FreeSlots(state, now);
  std::vector<AttemptStarted> starts;
  for (const Experiment* experiment : queue) {
    for (const Job& job : experiment->jobs) {
      if (!Waits(*experiment, job) || now < NotBefore(job)) continue;
      const std::vector<std::string> places =
          Fit(state, job.plan.spec.base_model, job.plan.spec.ranks, &free);
      if (places.empty()) continue;
      AttemptStarted start{experiment->id, job.plan.id, job.attempt + 1, {}};
      for (const std::string& worker : places) {
        start.placements.push_back({worker, state.liveness.workers.at(worker).boot_id});
      }
      starts.push_back(std::move(start));
    }
  }
  return starts;
}

Reason PendingReason(const State& state, const Job& job, absl::Time now) {
  const std::string& model = job.plan.spec.base_model;
  const Free free = FreeSlots(state, now);
  if (free.empty()) return {"NO_WORKERS", "no worker is alive", "capacity"};
  int32_t slots = 0;
  int32_t idle = 0;
  std::vector<std::string> offered;
  for (const auto& [name, count] : free) {
    const WorkerInfo& worker = state.liveness.workers.at(name);
    offered.insert(offered.end(), worker.models.begin(), worker.models.end());
    if (!Offers(worker, model)) continue;
    slots += worker.slots;
    idle += count;
  }
  if (slots == 0) {
    std::sort(offered.begin(), offered.end());
    offered.erase(std::unique(offered.begin(), offered.end()), offered.end());
    std::string list;
    for (const std::string& one : offered) list += (list.empty() ? "" : ", ") + one;
    return {"MODEL_NOT_FOUND",
            "no live worker has base_model \"" + model +
                "\"; they have: " + (list.empty() ? "none" : list),
            "user"};
  }
  if (now < NotBefore(job)) {
    return {
        "BACK_OFF",
        absl::StrFormat("attempt %d failed (%s); tried again soon", job.attempt, job.reason.code),
        "system"};
  }
  return {"NO_CAPACITY",
          absl::StrFormat("needs %d of %d slots, %d free", job.plan.spec.ranks, slots, idle),
          "capacity"};
}

std::vector<Assignment> Desired(const State& state, const std::string& worker) {
  std::vector<Assignment> assignments;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      bool broken = false;
      for (const Rank& rank : job.ranks) broken = broken || (rank.ended && rank.exit_code != 0);
      for (size_t i = 0; i < job.ranks.size(); ++i) {
        if (job.ranks[i].worker != worker || job.ranks[i].ended) continue;
        Assignment assignment;
        assignment.key = {id, job.plan.id, job.attempt, static_cast<int32_t>(i)};
        assignment.world_size = static_cast<int32_t>(job.ranks.size());
        assignment.spec = &job.plan.spec;
        assignment.store_address = job.store_address;
        assignment.stop = broken || job.state == RunState::kCancelling;
        assignments.push_back(std::move(assignment));
      }
    }
  }
  return assignments;
}

const std::string& ExperimentOf(const Event& event) {
  return std::visit(
      [](const auto& e) -> const std::string& {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, ExperimentCreated>) {
          return e.id;
        } else if constexpr (std::is_same_v<T, RankEnded>) {
          return e.key.experiment;
        } else {
          return e.experiment;
        }
      },
      event.body);
}

}  // namespace jenner::coordinator

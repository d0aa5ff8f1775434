#include "server/coordinator/rooms.h"

#include <algorithm>
#include <set>

namespace jenner::coordinator {
namespace {

bool Offers(const WorkerInfo& worker, const std::string& model) {
  return std::find(worker.models.begin(), worker.models.end(), model) != worker.models.end();
}

}  // namespace

Rooms::Rooms(const State& state, absl::Time now) {
  for (const auto& [name, worker] : state.liveness.workers) {
    if (!IsAlive(state, name, now)) continue;
    if (state.cordons.count(name) > 0) {
      if (worker.slots > 0) cordoned_models_.insert(worker.models.begin(), worker.models.end());
      continue;
    }
    workers_[name] = {{worker.slots, worker.slots, 0}, &worker};
  }
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      for (const Rank& rank : job.ranks) {
        const auto found = workers_.find(rank.worker);
        if (!rank.ended && found != workers_.end() && found->second.room.idle > 0)
          --found->second.room.idle;
      }
    }
  }
  for (auto& [name, entry] : workers_) entry.room.free = entry.room.idle;
}

const Room& Rooms::Together(const std::string& model) {
  const auto known = sums_.find(model);
  if (known != sums_.end()) return known->second;
  Room& sum = sums_[model];
  for (const auto& [name, entry] : workers_) {
    if (!Offers(*entry.info, model)) continue;
    sum.slots += entry.room.slots;
    sum.idle += entry.room.idle;
    sum.free += entry.room.free;
  }
  return sum;
}

std::vector<std::string> Rooms::Models() const {
  std::set<std::string> models;
  for (const auto& [name, entry] : workers_) {
    if (entry.room.slots > 0) models.insert(entry.info->models.begin(), entry.info->models.end());
  }
  return {models.begin(), models.end()};
}

bool Rooms::TakeThese(const std::string& model, const std::vector<std::string>& workers) {
  std::map<std::string, int32_t> counts;
  for (const std::string& worker : workers) ++counts[worker];
  for (const auto& [worker, count] : counts) {
    const auto found = workers_.find(worker);
    if (found == workers_.end() || found->second.room.free < count ||
        !Offers(*found->second.info, model))
      return false;
  }
  for (const auto& [worker, count] : counts) {
    workers_[worker].room.free -= count;
    workers_[worker].room.idle -= count;
  }
  return true;
}

std::vector<std::string> Rooms::Take(const std::string& model, int32_t ranks,
                                     const std::vector<std::string>& preferred) {
  if (Together(model).free < ranks) return {};
  sums_.clear();
  if (static_cast<int32_t>(preferred.size()) == ranks && TakeThese(model, preferred))
    return preferred;
  std::vector<std::string> taken;
  while (static_cast<int32_t>(taken.size()) < ranks) {
    auto best = workers_.end();
    for (auto at = workers_.begin(); at != workers_.end(); ++at) {
      if (at->second.room.free < 1 || !Offers(*at->second.info, model)) continue;
      if (best == workers_.end() || at->second.room.free > best->second.room.free) best = at;
    }
    const int32_t count =
        std::min(best->second.room.free, ranks - static_cast<int32_t>(taken.size()));
    best->second.room.free -= count;
    best->second.room.idle -= count;
    taken.insert(taken.end(), static_cast<size_t>(count), best->first);
  }
  return taken;
}

void Rooms::Keep(const std::string& model) {
  sums_.clear();
  for (auto& [name, entry] : workers_) {
    if (!Offers(*entry.info, model)) continue;
    entry.room.free = 0;
    entry.is_kept = true;
  }
}

bool Rooms::CanGain(const std::string& worker, const std::string& model) const {
  const auto found = workers_.find(worker);
  return found != workers_.end() && !found->second.is_kept && Offers(*found->second.info, model);
}

void Rooms::Release(const std::string& worker) {
  const auto found = workers_.find(worker);
  if (found == workers_.end()) return;
  sums_.clear();
  ++found->second.room.idle;
  if (!found->second.is_kept) ++found->second.room.free;
}

}  // namespace jenner::coordinator

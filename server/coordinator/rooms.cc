#include "server/coordinator/rooms.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace jenner::coordinator {
namespace {

using core::Device;

// The worker is one of the pool's, if it has what its device says.
bool Offers(const WorkerInfo& worker, const PoolKey& key) {
  return worker.only_job == key.only_job &&
         std::find(worker.models.begin(), worker.models.end(), key.model) != worker.models.end();
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Rooms::Rooms(const State& state, absl::Time now) {
  auto used = state.index.workers.begin();  // goes along: both are in the order of names
  for (const auto& [name, worker] : state.liveness.workers) {
    while (used != state.index.workers.end() && used->first < name) ++used;
    if (!IsAlive(worker, now)) continue;
    const bool is_cordoned = state.cordons.count(name) > 0;
    if (!is_cordoned && worker.only_job.empty()) ++num_workers_;
    const bool is_used = used != state.index.workers.end() && used->first == name;
    const Held held = is_used ? used->second.held : Held();
    for (const auto& [device, places, taken] :
         {std::tuple(Device::kCpu, worker.slots, held.slots),
          std::tuple(Device::kCuda, worker.gpus, held.gpus)}) {
      if (places == 0) continue;
      if (!worker.only_job.empty()) only_jobs_.insert(worker.only_job);
      if (is_cordoned) {
        for (const std::string& model : worker.models)
          cordoned_.insert({device, model, worker.only_job});
        continue;
      }
      const int32_t idle = std::max(places - taken, 0);
      num_free_ += idle;
      entries_[static_cast<size_t>(device)].push_back(
          {name, &worker, {places, idle, idle}, false, {}});
    }
  }
}

PoolKey Rooms::KeyOf(const Experiment& experiment, const Job& job) const {
  PoolKey key{job.plan.spec.device, job.plan.spec.base_model};
  if (only_jobs_.empty()) return key;
  const auto found = only_jobs_.find(absl::StrCat(experiment.id, "/", job.plan.id));
  if (found != only_jobs_.end()) key.only_job = *found;
  return key;
}

Rooms::Pool& Rooms::PoolOf(const PoolKey& key) {
  if (last_pool_ != nullptr && last_pool_->first == key) return last_pool_->second;
  const auto [found, is_new] = pools_.try_emplace(key);
  last_pool_ = &*found;
  Pool& pool = found->second;
  if (!is_new) return pool;
  for (Entry& entry : entries_[static_cast<size_t>(key.device)]) {
    if (!Offers(*entry.info, key)) continue;
    pool.sum.places += entry.room.places;
    pool.sum.idle += entry.room.idle;
    pool.sum.free += entry.room.free;
    pool.entries.push_back(&entry);
    if (entry.room.free > 0) pool.by_free.insert({-entry.room.free, entry.name, &entry});
    entry.pools.push_back(&pool);
  }
  return pool;
}

std::vector<std::string> Rooms::Models(const PoolKey& key) const {
  std::set<std::string> models;
  for (const Entries& entries : entries_) {
    for (const Entry& entry : entries) {
      if (entry.info->only_job != key.only_job) continue;
      models.insert(entry.info->models.begin(), entry.info->models.end());
    }
  }
  return {models.begin(), models.end()};
}

const Rooms::Entry* Rooms::Find(const std::string& worker, Device device) const {
  const Entries& entries = entries_[static_cast<size_t>(device)];
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), worker,
      [](const Entry& entry, const std::string& name) { return entry.name < name; });
  return found == entries.end() || found->name != worker ? nullptr : &*found;
}

Rooms::Entry* Rooms::Find(const std::string& worker, Device device) {
  return const_cast<Entry*>(std::as_const(*this).Find(worker, device));
}

// So much more, or less, is idle and free there.
void Rooms::Change(Entry* entry, int32_t idle, int32_t free) {
  const int32_t old_free = entry->room.free;
  entry->room.idle += idle;
  entry->room.free += free;
  num_free_ += free;
  for (Pool* pool : entry->pools) {
    pool->sum.idle += idle;
    pool->sum.free += free;
    if (free == 0) continue;
    pool->by_free.erase({-old_free, entry->name, entry});
    if (entry->room.free > 0) pool->by_free.insert({-entry->room.free, entry->name, entry});
  }
}

bool Rooms::TakeThese(const PoolKey& key, const std::vector<std::string>& workers) {
  std::map<std::string, int32_t> counts;
  for (const std::string& worker : workers) ++counts[worker];
  for (const auto& [worker, count] : counts) {
    const Entry* entry = Find(worker, key.device);
    if (entry == nullptr || entry->room.free < count || !Offers(*entry->info, key)) return false;
  }
  for (const auto& [worker, count] : counts) Change(Find(worker, key.device), -count, -count);
  return true;
}

std::vector<std::string> Rooms::Take(const PoolKey& key, int32_t ranks,
                                     const std::vector<std::string>& preferred,
                                     const std::vector<std::string>& avoided) {
  Pool& pool = PoolOf(key);
  if (pool.sum.free < ranks) return {};
  Room others = pool.sum;
  for (const std::string& worker : avoided) {
    const Entry* entry = Find(worker, key.device);
    if (entry == nullptr || !Offers(*entry->info, key)) continue;
    others.places -= entry->room.places;
    others.free -= entry->room.free;
  }
  if (others.places >= ranks && others.free < ranks) return {};
  if (static_cast<int32_t>(preferred.size()) == ranks && TakeThese(key, preferred))
    return preferred;
  std::vector<std::string> taken;
  while (static_cast<int32_t>(taken.size()) < ranks) {
    auto first = std::find_if(pool.by_free.begin(), pool.by_free.end(), [&](const auto& one) {
      return !Contains(avoided, std::get<std::string_view>(one));
    });
    if (first == pool.by_free.end()) first = pool.by_free.begin();
    Entry* best = std::get<Entry*>(*first);
    const int32_t count = std::min(best->room.free, ranks - static_cast<int32_t>(taken.size()));
    Change(best, -count, -count);
    taken.insert(taken.end(), static_cast<size_t>(count), std::string(best->name));
  }
  return taken;
}

void Rooms::Keep(const PoolKey& key, const std::vector<std::string>& avoided) {
  for (Entry* entry : PoolOf(key).entries) {
    if (Contains(avoided, entry->name)) continue;
    Change(entry, 0, -entry->room.free);
    entry->is_kept = true;
  }
}

bool Rooms::CanGain(const std::string& worker, const PoolKey& key) const {
  const Entry* entry = Find(worker, key.device);
  return entry != nullptr && !entry->is_kept && Offers(*entry->info, key);
}

void Rooms::Release(const std::string& worker, Device device) {
  Entry* entry = Find(worker, device);
  if (entry != nullptr) Change(entry, 1, entry->is_kept ? 0 : 1);
}

}  // namespace jenner::coordinator

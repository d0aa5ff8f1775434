// Rooms: what the live workers that are not cordoned have while jobs are being placed. A pool is
// what a job can be given: the slots, or for device cuda the GPUs, of the workers with its model;
// of those reserved for it alone while there are any, else of those reserved for none. Internal to
// Place(), PendingReasons and Preemptions(). Holds pointers into the State it was made from. A
// placement costs the logarithm of the number of workers, not the number.
#ifndef JENNER_SERVER_COORDINATOR_ROOMS_H_
#define JENNER_SERVER_COORDINATOR_ROOMS_H_

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "server/coordinator/state.h"

namespace jenner::coordinator {

// Slots or GPUs.
struct Room {
  int32_t places = 0;
  int32_t idle = 0;  // held by no rank
  int32_t free = 0;  // idle and kept for no gang that is served earlier
};

// What a job's ranks are placed on.
struct PoolKey {
  core::Device device = core::Device::kCpu;
  std::string_view model;
  std::string_view only_job = {};  // for which the workers are reserved; "": for none
  auto operator<=>(const PoolKey&) const = default;
};

class Rooms {
 public:
  Rooms(const State& state, absl::Time now);
  Rooms(Rooms&&) = default;
  Rooms(const Rooms&) = delete;
  Rooms& operator=(const Rooms&) = delete;

  // The pool of the job.
  PoolKey KeyOf(const Experiment& experiment, const Job& job) const;
  // No live worker that is not cordoned, but some that are reserved for others.
  bool empty(const PoolKey& key) const { return num_workers_ == 0 && key.only_job.empty(); }
  // There are workers that are reserved for a job.
  bool HasReserved() const { return !only_jobs_.empty(); }
  // Nothing is free, whatever the job.
  bool IsFull() const { return num_free_ == 0; }
  // A live worker of the pool is cordoned: it is none of those here.
  bool IsCordoned(const PoolKey& key) const { return cordoned_.count(key) > 0; }
  // What the workers of the pool have together.
  const Room& Together(const PoolKey& key) { return PoolOf(key).sum; }
  // The models of workers that have slots or GPUs, as far as they are reserved like the pool's, in
  // order.
  std::vector<std::string> Models(const PoolKey& key) const;

  // Takes a place for each of `ranks` ranks: on the workers `preferred`, one a rank, if they all
  // have room; else the worker with the most free ones (then by name) is filled first, `avoided`
  // ones last, and not at all where the others together have places for all ranks. Returns the
  // workers, rank by rank; empty, and nothing taken, if they do not fit.
  std::vector<std::string> Take(const PoolKey& key, int32_t ranks,
                                const std::vector<std::string>& preferred = {},
                                const std::vector<std::string>& avoided = {});
  // No more of the pool is free but on the `avoided`: it is kept for a gang that does not fit yet.
  void Keep(const PoolKey& key, const std::vector<std::string>& avoided = {});

  // A place on `worker` that comes free would be one more for the pool.
  bool CanGain(const std::string& worker, const PoolKey& key) const;
  // A place on `worker` will come free: as if it had.
  void Release(const std::string& worker, core::Device device);

 private:
  struct Pool;
  // The slots or the GPUs of a worker.
  struct Entry {
    std::string_view name;
    const WorkerInfo* info = nullptr;
    Room room;
    bool is_kept = false;
    std::vector<Pool*> pools;  // that it is in
  };
  struct Pool {
    Room sum;
    std::vector<Entry*> entries;
    // Those with something free, the one to be filled first in front: (-free, name).
    std::set<std::tuple<int32_t, std::string_view, Entry*>> by_free;
  };
  using Entries = std::vector<Entry>;  // by name; complete before pools point into it

  Pool& PoolOf(const PoolKey& key);
  // Null: it has none, or is not one of those here.
  Entry* Find(const std::string& worker, core::Device device);
  const Entry* Find(const std::string& worker, core::Device device) const;
  void Change(Entry* entry, int32_t idle, int32_t free);
  bool TakeThese(const PoolKey& key, const std::vector<std::string>& workers);

  int num_workers_ = 0;  // that are reserved for none
  int64_t num_free_ = 0;
  std::array<Entries, 2> entries_;  // by device
  std::set<PoolKey> cordoned_;
  // For which there are live workers with slots or GPUs, cordoned or not.
  std::set<std::string_view> only_jobs_;
  std::map<PoolKey, Pool> pools_;  // those that were asked for
  std::map<PoolKey, Pool>::value_type* last_pool_ =
      nullptr;  // most jobs ask for that of the one before
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_ROOMS_H_

// Rooms: what the live workers that are not cordoned have while jobs are being placed. Internal to
// Place(), WhyPending() and Preemptions(). Holds pointers into the State it was made from.
#ifndef JENNER_SERVER_COORDINATOR_ROOMS_H_
#define JENNER_SERVER_COORDINATOR_ROOMS_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/coordinator/state.h"

namespace jenner::coordinator {

struct Room {
  int32_t slots = 0;
  int32_t idle = 0;  // held by no rank
  int32_t free = 0;  // idle and kept for no gang that is served earlier
};

class Rooms {
 public:
  Rooms(const State& state, absl::Time now);

  bool empty() const { return workers_.empty(); }
  // A live worker with `model` is cordoned: it is none of those here.
  bool IsCordoned(const std::string& model) const { return cordoned_models_.count(model) > 0; }
  // What the workers with `model` have together.
  const Room& Together(const std::string& model);
  // The models of workers that have slots, in order.
  std::vector<std::string> Models() const;

  // Takes a slot for each of `ranks` ranks: on the workers `preferred`, one a rank, if they all
  // have room; else the worker with the most free ones (then by name) is filled first. Returns the
  // workers, rank by rank; empty, and nothing taken, if they do not fit.
  std::vector<std::string> Take(const std::string& model, int32_t ranks,
                                const std::vector<std::string>& preferred = {});
  // No more of the workers with `model` is free: it is kept for a gang that does not fit yet.
  void Keep(const std::string& model);

  // A slot of `worker` that comes free would be one more for a gang with `model`.
  bool CanGain(const std::string& worker, const std::string& model) const;
  // A slot of `worker` will come free: as if it had.
  void Release(const std::string& worker);

 private:
  bool TakeThese(const std::string& model, const std::vector<std::string>& workers);

  struct Entry {
    Room room;
    const WorkerInfo* info = nullptr;
    bool is_kept = false;
  };

  std::map<std::string, Entry> workers_;  // by name
  std::set<std::string> cordoned_models_;
  std::map<std::string, Room> sums_;  // by model; forgotten when a room changes
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_ROOMS_H_

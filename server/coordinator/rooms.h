// Rooms: what the live workers have while jobs are being placed. Internal to Place(), WhyPending()
// and Preemptions(). Holds pointers into the State it was made from.
#ifndef JENNER_SERVER_COORDINATOR_ROOMS_H_
#define JENNER_SERVER_COORDINATOR_ROOMS_H_

#include <map>
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
  // What the workers with `model` have together.
  const Room& Together(const std::string& model);
  // The models of workers that have slots, in order.
  std::vector<std::string> Models() const;

  // Takes a slot for each of `ranks` ranks: the worker with the most free ones (then by name) is
  // filled first. Returns the workers, rank by rank; empty, and nothing taken, if they do not fit.
  std::vector<std::string> Take(const std::string& model, int32_t ranks);
  // No more of the workers with `model` is free: it is kept for a gang that does not fit yet.
  void Keep(const std::string& model);

 private:
  struct Entry {
    Room room;
    const WorkerInfo* info = nullptr;
  };

  std::map<std::string, Entry> workers_;  // by name
  std::map<std::string, Room> sums_;      // by model; forgotten when a room changes
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_ROOMS_H_

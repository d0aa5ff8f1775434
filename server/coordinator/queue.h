// Queue: the jobs that wait for slots, in the order in which they are served: the highest priority
// first; among equals the job of the owner who holds the fewest slots; of one owner's the oldest
// experiment's. What a job is given, or has kept for it, counts for its owner at once, so that the
// owners take turns. Nobody waits for ever behind others of its priority: an owner who holds
// nothing is not passed by one who does, and of those who hold nothing the oldest job is first.
// Internal to Place(), WhyPending() and Preemptions(); holds pointers into the State.
#ifndef JENNER_SERVER_COORDINATOR_QUEUE_H_
#define JENNER_SERVER_COORDINATOR_QUEUE_H_

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "server/coordinator/state.h"

namespace jenner::coordinator {

struct Waiting {
  const Experiment* experiment = nullptr;
  const Job* job = nullptr;
};

class Queue {
 public:
  // The queued jobs whose back-off is over. `newcomer`: an experiment that is not in `state`, all
  // of whose jobs wait, after all others of its owner's; or null.
  Queue(const State& state, absl::Time now, const Experiment* newcomer = nullptr);

  // Takes the next job out; its `job` is null at the end.
  Waiting Next();
  // The job that Next() gave last holds `slots` from now on.
  void Charge(int32_t slots);

 private:
  using Line = std::deque<Waiting>;                        // one owner's, oldest first
  using Head = std::tuple<int32_t, int64_t, std::string>;  // slots held, order, owner
  using Class = std::map<std::string, Line>;               // one priority's, by owner

  void Add(const Experiment& experiment, absl::Time now);
  void PutHead(const std::string& owner);
  int64_t OrderOf(const Waiting& waiting) const;

  const Experiment* newcomer_;
  std::map<std::string, int32_t> held_;                      // slots, by owner
  std::map<int32_t, Class, std::greater<int32_t>> classes_;  // the first is being served
  std::set<Head> heads_;                                     // of the first class's lines
  std::string last_owner_;                                   // its head is to be put back
  bool is_open_ = false;                                     // heads_ is that of the first class
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_QUEUE_H_

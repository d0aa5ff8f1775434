// Queue: the jobs that wait for slots or GPUs, in the order in which they are served: the highest
// priority first; among equals the job of the owner who holds the fewest; of one owner's the oldest
// experiment's. What a job is given, or has kept for it, counts for its owner at once, so that the
// owners take turns. Nobody waits for ever behind others of its priority: an owner who holds
// nothing is not passed by one who does, and of those who hold nothing the oldest job is first.
//
// An owner whose next job would go over its quota is served no more: a later, smaller job must not
// take what that one waits for. Others are not held up.
// Internal to Place(), PendingReasons and Preemptions(); holds pointers into the State.
#ifndef JENNER_SERVER_COORDINATOR_QUEUE_H_
#define JENNER_SERVER_COORDINATOR_QUEUE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
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
  // The queued jobs whose back-off is over and whose predecessor has succeeded. `newcomer`: an
  // experiment that is not in `state`, all of whose jobs wait, after all others of its owner's; or
  // null.
  Queue(const State& state, absl::Time now, const Experiment* newcomer = nullptr);
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Takes the next job out; its `job` is null at the end.
  Waiting Next();
  // The job that Next() gave last holds `ranks` from now on. False: its owner's quota forbids it.
  bool Charge(int32_t ranks);
  // The jobs that are left of owners who are at their quota; Next() gives none of them.
  std::vector<Waiting> HeldBack();

 private:
  struct Owner {
    int32_t held = 0;
    std::optional<int32_t> limit;
    bool is_at_quota = false;
  };
  // One owner's jobs of one priority.
  struct Line {
    Owner* owner = nullptr;
    const Index::Line* waiting = nullptr;  // null: the newcomer's alone
    Index::Line::const_iterator next;
    size_t next_job = 0;                     // of those of *next
    const Experiment* experiment = nullptr;  // that of *next, once its first job was taken
    bool has_newcomer = false;
    size_t next_of_newcomer = 0;
    Waiting head;       // taken out of the above, to be given; its job is null: there is none
    int64_t order = 0;  // of the head's experiment
  };
  using Class = std::map<std::string, Line>;         // one priority's, by owner
  using Head = std::tuple<int32_t, int64_t, Line*>;  // held, order

  Line& LineOf(int32_t priority, const std::string& owner);
  // Takes the line's first job that can be served out of it, as its head. False: there is none.
  bool Advance(Line* line) const;
  void PutHead(Line* line);

  const State& state_;
  const absl::Time now_;
  const Experiment* const newcomer_;
  std::map<std::string, Owner> owners_;  // of those who wait
  std::map<int32_t, Class, std::greater<int32_t>> classes_;
  std::map<int32_t, Class, std::greater<int32_t>>::iterator served_;  // the next class to be opened
  std::set<Head> heads_;                                              // of the open class's lines
  Line* last_ = nullptr;  // whose job was given last; its next head is to be put in
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_QUEUE_H_

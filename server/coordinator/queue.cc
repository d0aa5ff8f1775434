#include "server/coordinator/queue.h"

#include <algorithm>
#include <limits>

namespace jenner::coordinator {

Queue::Queue(const State& state, absl::Time now, const Experiment* newcomer) : newcomer_(newcomer) {
  std::vector<const Experiment*> oldest_first;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      for (const Rank& rank : job.ranks) held_[experiment.owner] += rank.ended ? 0 : 1;
    }
    if (!IsTerminal(experiment.state) && experiment.state != RunState::kCancelling)
      oldest_first.push_back(&experiment);
  }
  std::sort(oldest_first.begin(), oldest_first.end(),
            [](const Experiment* a, const Experiment* b) { return a->order < b->order; });
  for (const Experiment* experiment : oldest_first) Add(*experiment, now);
  if (newcomer != nullptr) Add(*newcomer, now);
}

void Queue::Add(const Experiment& experiment, absl::Time now) {
  for (const Job& job : experiment.jobs) {
    if (job.state != RunState::kQueued || now < job.not_before) continue;
    classes_[experiment.spec.priority][experiment.owner].push_back({&experiment, &job});
  }
}

int64_t Queue::OrderOf(const Waiting& waiting) const {
  return waiting.experiment == newcomer_ ? std::numeric_limits<int64_t>::max()
                                         : waiting.experiment->order;
}

void Queue::PutHead(const std::string& owner) {
  const Line& line = classes_.begin()->second.at(owner);
  if (!line.empty()) heads_.insert({held_[owner], OrderOf(line.front()), owner});
}

Waiting Queue::Next() {
  if (is_open_) PutHead(last_owner_);
  while (heads_.empty()) {
    if (is_open_) classes_.erase(classes_.begin());
    is_open_ = false;
    if (classes_.empty()) return {};
    for (const auto& [owner, line] : classes_.begin()->second) PutHead(owner);
    is_open_ = true;
  }
  last_owner_ = std::get<std::string>(*heads_.begin());
  heads_.erase(heads_.begin());
  Line& line = classes_.begin()->second.at(last_owner_);
  const Waiting next = line.front();
  line.pop_front();
  return next;
}

void Queue::Charge(int32_t slots) { held_[last_owner_] += slots; }

}  // namespace jenner::coordinator

#include "server/coordinator/queue.h"

#include <limits>

namespace jenner::coordinator {

Queue::Queue(const State& state, absl::Time now, const Experiment* newcomer)
    : state_(state), now_(now), newcomer_(newcomer) {
  for (const auto& [priority, by_owner] : state.index.queue) {
    for (const auto& [owner, waiting] : by_owner) {
      Line& line = LineOf(priority, owner);
      line.waiting = &waiting;
      line.next = waiting.begin();
    }
  }
  if (newcomer != nullptr) LineOf(newcomer->spec.priority, newcomer->owner).has_newcomer = true;
  served_ = classes_.begin();
}

Queue::Line& Queue::LineOf(int32_t priority, const std::string& owner) {
  Line& line = classes_[priority][owner];
  if (line.owner != nullptr) return line;
  const auto [found, is_new] = owners_.try_emplace(owner);
  line.owner = &found->second;
  if (!is_new) return line;
  const auto known = state_.index.owners.find(owner);
  line.owner->held = known == state_.index.owners.end() ? 0 : known->second.held;
  line.owner->limit = state_.quotas.Of(owner).slots;
  return line;
}

bool Queue::Advance(Line* line) const {
  line->head = {};
  while (line->waiting != nullptr && line->next != line->waiting->end()) {
    const auto& [order, waiting] = *line->next;
    if (line->next_job == waiting.jobs.size()) {
      ++line->next;
      line->next_job = 0;
      continue;
    }
    if (line->next_job == 0) line->experiment = &state_.experiments.at(waiting.experiment);
    line->order = order;
    const Job& job = line->experiment->jobs[waiting.jobs[line->next_job++]];
    if (now_ < job.not_before) continue;
    line->head = {line->experiment, &job};
    return true;
  }
  while (line->has_newcomer && line->next_of_newcomer < newcomer_->jobs.size()) {
    const Job& job = newcomer_->jobs[line->next_of_newcomer++];
    if (!IsReady(*newcomer_, job)) continue;
    line->order = std::numeric_limits<int64_t>::max();
    line->head = {newcomer_, &job};
    return true;
  }
  return false;
}

void Queue::PutHead(Line* line) {
  if (line->owner->is_at_quota || !Advance(line)) return;
  heads_.insert({line->owner->held, line->order, line});
}

Waiting Queue::Next() {
  if (last_ != nullptr) PutHead(last_);
  last_ = nullptr;
  while (heads_.empty()) {
    if (served_ == classes_.end()) return {};
    for (auto& [owner, line] : served_->second) PutHead(&line);
    ++served_;
  }
  last_ = std::get<Line*>(*heads_.begin());
  heads_.erase(heads_.begin());
  return last_->head;
}

bool Queue::Charge(int32_t ranks) {
  Owner* owner = last_->owner;
  if (owner->limit.has_value() && owner->held + ranks > *owner->limit) {
    // One that is larger than the whole quota waits for nothing that others could take.
    owner->is_at_quota = ranks <= *owner->limit;
    return false;
  }
  owner->held += ranks;
  return true;
}

std::vector<Waiting> Queue::HeldBack() {
  std::vector<Waiting> held_back;
  for (auto& [priority, lines] : classes_) {
    for (auto& [owner, line] : lines) {
      if (!line.owner->is_at_quota) continue;
      while (Advance(&line)) held_back.push_back(line.head);
    }
  }
  return held_back;
}

}  // namespace jenner::coordinator

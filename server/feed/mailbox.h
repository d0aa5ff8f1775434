// Mailbox: the one bounded queue between threads. Many push, one drains. Thread-safe; nothing is
// called under its lock.
#ifndef JENNER_SERVER_FEED_MAILBOX_H_
#define JENNER_SERVER_FEED_MAILBOX_H_

#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace jenner::feed {

template <typename Item>
class Mailbox {
 public:
  explicit Mailbox(size_t capacity) : capacity_(capacity) {}

  // False, and the item is dropped: full (the caller answers "try again") or closed.
  [[nodiscard]] bool Push(Item item) {
    const absl::MutexLock lock(&mutex_);
    if (is_closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    return true;
  }
  // Waits until there is something, then takes up to `limit`, oldest first. Empty: closed, and all
  // that was pushed before has been taken.
  std::vector<Item> Drain(size_t limit) {
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Mailbox::HasNews));
    std::vector<Item> taken;
    while (!items_.empty() && taken.size() < limit) {
      taken.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    return taken;
  }
  // What is inside can still be drained; nothing more goes in.
  void Close() {
    const absl::MutexLock lock(&mutex_);
    is_closed_ = true;
  }

 private:
  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return is_closed_ || !items_.empty();
  }

  const size_t capacity_;
  mutable absl::Mutex mutex_;
  std::deque<Item> items_ ABSL_GUARDED_BY(mutex_);
  bool is_closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Work for another thread.
using Task = std::function<void()>;
using TaskQueue = Mailbox<Task>;

}  // namespace jenner::feed

#endif  // JENNER_SERVER_FEED_MAILBOX_H_

// Mailbox: the one bounded queue between threads. Many push, one drains. Thread-safe; nothing is
// called under its lock.
#ifndef JENNER_SERVER_FEED_MAILBOX_H_
#define JENNER_SERVER_FEED_MAILBOX_H_

#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "server/feed/mutex.h"

namespace jenner::feed {

template <typename Item>
class Mailbox {
 public:
  explicit Mailbox(size_t capacity) : capacity_(capacity) {}

  // False, and the item is dropped: full (the caller answers "try again") or closed.
  [[nodiscard]] bool Push(Item item) {
    const MutexLock lock(&mutex_);
    if (is_closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    news_.NotifyAll();
    return true;
  }
  // Waits until there is something, then takes up to `limit`, oldest first. Empty: closed, and all
  // that was pushed before has been taken.
  std::vector<Item> Drain(size_t limit) {
    const MutexLock lock(&mutex_);
    while (!is_closed_ && items_.empty()) news_.Wait(&mutex_);
    std::vector<Item> taken;
    while (!items_.empty() && taken.size() < limit) {
      taken.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    return taken;
  }
  // What is inside can still be drained; nothing more goes in.
  void Close() {
    const MutexLock lock(&mutex_);
    is_closed_ = true;
    news_.NotifyAll();
  }

 private:
  const size_t capacity_;
  Mutex mutex_;
  Condition news_;
  std::deque<Item> items_ ABSL_GUARDED_BY(mutex_);
  bool is_closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Work for another thread.
using Task = std::function<void()>;
using TaskQueue = Mailbox<Task>;

}  // namespace jenner::feed

#endif  // JENNER_SERVER_FEED_MAILBOX_H_

// Mutex, MutexLock and a condition, as thin covers of the standard ones. Instead of absl::Mutex,
// whose code in the system's library is not instrumented: ThreadSanitizer sees these, and clang's
// -Wthread-safety checks what ABSL_GUARDED_BY says of them.
#ifndef JENNER_SERVER_FEED_MUTEX_H_
#define JENNER_SERVER_FEED_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace jenner::feed {

class ABSL_LOCKABLE Mutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits may return early: the caller looks again.
class Condition {
 public:
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  void WaitFor(Mutex* mutex, absl::Duration duration) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait_for(lock, absl::ToChronoNanoseconds(duration));
    lock.release();
  }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

// Told once; waited for by any.
class Signal {
 public:
  void Notify() {
    const MutexLock lock(&mutex_);
    is_told_ = true;
    condition_.NotifyAll();
  }
  void Wait() {
    const MutexLock lock(&mutex_);
    while (!is_told_) condition_.Wait(&mutex_);
  }
  // False: not within `duration`.
  bool WaitFor(absl::Duration duration) {
    const MutexLock lock(&mutex_);
    if (!is_told_) condition_.WaitFor(&mutex_, duration);
    return is_told_;
  }

 private:
  Mutex mutex_;
  Condition condition_;
  bool is_told_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace jenner::feed

#endif  // JENNER_SERVER_FEED_MUTEX_H_

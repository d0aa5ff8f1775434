// Cancellation: cuts gRPC calls off from another thread. Thread-safe.
#ifndef JENNER_WORKER_AGENT_CANCELLATION_H_
#define JENNER_WORKER_AGENT_CANCELLATION_H_

#include <grpcpp/client_context.h>

#include <mutex>
#include <set>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace jenner::agent {

// Outlives the calls that it was given to.
class Cancellation {
 public:
  // Calls under way and later ones end with Cancelled, for good.
  void Cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_cancelled_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
  }
  bool is_cancelled() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return is_cancelled_;
  }

 private:
  friend class CancellableContext;
  mutable std::mutex mutex_;  // guards what follows
  bool is_cancelled_ = false;
  std::set<grpc::ClientContext*> contexts_;
};

// The context of a call that its Cancellation can end.
class CancellableContext {
 public:
  CancellableContext(Cancellation* cancellation, absl::Duration timeout)
      : cancellation_(*cancellation) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    const std::lock_guard<std::mutex> lock(cancellation_.mutex_);
    cancellation_.contexts_.insert(&context_);
    if (cancellation_.is_cancelled_) context_.TryCancel();
  }
  ~CancellableContext() {
    const std::lock_guard<std::mutex> lock(cancellation_.mutex_);
    cancellation_.contexts_.erase(&context_);
  }
  CancellableContext(const CancellableContext&) = delete;
  CancellableContext& operator=(const CancellableContext&) = delete;
  grpc::ClientContext* get() { return &context_; }

 private:
  Cancellation& cancellation_;
  grpc::ClientContext context_;
};

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_CANCELLATION_H_

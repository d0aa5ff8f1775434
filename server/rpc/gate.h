// Gate: lets calls in. Knows the tokens of the moment and what each principal has used up. Thread-
// safe; looks at no file: the ticker hands tokens in.
#ifndef JENNER_SERVER_RPC_GATE_H_
#define JENNER_SERVER_RPC_GATE_H_

#include <grpcpp/server_context.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/auth/authorize.h"
#include "server/auth/limiter.h"
#include "server/feed/mutex.h"

namespace jenner::rpc {

struct GateOptions {
  bool require_tokens = false;  // of clients, also while there are none
  auth::Rate client_rate = {50, 200};
  // An agent that catches up sends a batch after another; it is told to wait, not refused.
  auth::Rate worker_rate = {500, 2000};
  int max_streams = 100;  // of one principal at once
};

class Gate;

// Who makes a call: from its admission to its audit entry.
struct Caller {
  Caller() = default;
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  const auth::Rule* rule = nullptr;
  auth::Principal principal;
  std::string peer;
  std::string request_id;     // that the request gave, if any
  std::string trace_id;       // that the client gave, or made here (wire/trace.h)
  absl::Time begin;           // of the call
  absl::Status status;        // not OK: the call is refused
  Gate* stream_of = nullptr;  // counted there until this ends
};

enum class CallKind { kUnary, kStream };

class Gate {
 public:
  explicit Gate(const GateOptions& options)
      : tokens_required_(options.require_tokens),
        clients_(options.client_rate, options.max_streams),
        workers_(options.worker_rate, options.max_streams) {}

  // Once there were tokens they stay required, whatever becomes of the file, until the server ends.
  void SetTokens(std::vector<auth::Token> tokens);
  bool TokensRequired() const;

  // Never null. Its status, with a reason and, where waiting helps, RetryInfo:
  // Unauthenticated, PermissionDenied: see auth::Authorize. ResourceExhausted: too many calls or
  // streams of one client; of a worker Unavailable, so that its agent tries again. A principal
  // without a name has no limit of its own. The answer's metadata will name the trace.
  std::shared_ptr<Caller> Admit(grpc::CallbackServerContext& context, const char* method,
                                CallKind kind, absl::Time now);

 private:
  friend struct Caller;
  absl::Status Count(CallKind kind, absl::Time now, Caller* caller);
  void CloseStream(const auth::Principal& principal);

  mutable feed::Mutex mutex_;
  std::shared_ptr<const std::vector<auth::Token>> tokens_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<std::vector<auth::Token>>();
  bool tokens_required_ ABSL_GUARDED_BY(mutex_);
  auth::Limiter clients_ ABSL_GUARDED_BY(mutex_);
  auth::Limiter workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_GATE_H_

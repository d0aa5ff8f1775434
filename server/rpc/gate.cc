#include "server/rpc/gate.h"

#include <grpc/grpc_security_constants.h>

#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "wire/status.h"
#include "wire/trace.h"

namespace jenner::rpc {
namespace {

constexpr absl::Duration kStreamRetry = absl::Seconds(5);

std::string Text(const grpc::string_ref& text) { return {text.data(), text.size()}; }

auth::Credentials CredentialsOf(const grpc::CallbackServerContext& context) {
  auth::Credentials credentials;
  credentials.is_local = auth::IsLocalPeer(context.peer());
  const std::shared_ptr<const grpc::AuthContext> proof = context.auth_context();
  if (proof != nullptr) {
    for (const grpc::string_ref& type :
         proof->FindPropertyValues(GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME)) {
      credentials.is_encrypted =
          credentials.is_encrypted || Text(type) == GRPC_SSL_TRANSPORT_SECURITY_TYPE;
    }
    for (const grpc::string_ref& uri : proof->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
      credentials.uris.push_back(Text(uri));
    }
  }
  const auto [begin, end] = context.client_metadata().equal_range("authorization");
  for (auto at = begin; at != end; ++at) credentials.authorizations.push_back(Text(at->second));
  return credentials;
}

std::string TraceOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(wire::kTraceparent);
  const std::optional<std::string> given =
      found == context.client_metadata().end()
          ? std::nullopt
          : wire::TraceIdOf({found->second.data(), found->second.size()});
  return given.has_value() ? *given : wire::NewTraceId();
}

}  // namespace

Caller::~Caller() {
  if (stream_of != nullptr) stream_of->CloseStream(principal);
}

void Gate::SetTokens(std::vector<auth::Token> tokens) {
  auto shared = std::make_shared<const std::vector<auth::Token>>(std::move(tokens));
  const feed::MutexLock lock(&mutex_);
  tokens_required_ = tokens_required_ || !shared->empty();
  tokens_ = std::move(shared);
}

bool Gate::TokensRequired() const {
  const feed::MutexLock lock(&mutex_);
  return tokens_required_;
}

std::shared_ptr<Caller> Gate::Admit(grpc::CallbackServerContext& context, const char* method,
                                    CallKind kind, absl::Time now) {
  auto caller = std::make_shared<Caller>();
  caller->rule = auth::FindRule(method);
  caller->peer = context.peer();
  caller->trace_id = TraceOf(context);
  caller->begin = now;
  context.AddTrailingMetadata(wire::kTraceresponse, wire::Traceparent(caller->trace_id));
  if (caller->rule == nullptr) {
    caller->status = absl::PermissionDeniedError(absl::StrFormat("no rule permits %s", method));
    return caller;
  }
  std::shared_ptr<const std::vector<auth::Token>> tokens;
  bool tokens_required = false;
  {
    const feed::MutexLock lock(&mutex_);
    tokens = tokens_;
    tokens_required = tokens_required_;
  }
  auth::Decision decision =
      auth::Authorize(*caller->rule, CredentialsOf(context), *tokens, tokens_required);
  caller->principal = std::move(decision.principal);
  caller->status = std::move(decision.status);
  // Calls that are refused for want of a role count, too.
  if (!absl::IsUnauthenticated(caller->status)) {
    const absl::Status counted = Count(kind, now, caller.get());
    if (caller->status.ok()) caller->status = counted;
  }
  return caller;
}

absl::Status Gate::Count(CallKind kind, absl::Time now, Caller* caller) {
  if (caller->principal.name.empty()) return absl::OkStatus();
  const bool is_worker = caller->principal.kind == auth::Principal::Kind::kWorker;
  const std::string id = caller->principal.Id();
  const feed::MutexLock lock(&mutex_);
  auth::Limiter& limiter = is_worker ? workers_ : clients_;
  const auto code =
      is_worker ? absl::StatusCode::kUnavailable : absl::StatusCode::kResourceExhausted;
  if (const std::optional<absl::Duration> wait = limiter.Take(id, now)) {
    return wire::WithRetryDelay(
        wire::WithReason(absl::Status(code, id + " makes more calls than it may"), "RATE_LIMITED"),
        *wait);
  }
  if (kind == CallKind::kUnary || !caller->status.ok()) return absl::OkStatus();
  if (!limiter.OpenStream(id)) {
    return wire::WithRetryDelay(
        wire::WithReason(absl::Status(code, id + " has as many streams open as it may"),
                         "TOO_MANY_STREAMS"),
        kStreamRetry);
  }
  caller->stream_of = this;
  return absl::OkStatus();
}

void Gate::CloseStream(const auth::Principal& principal) {
  const feed::MutexLock lock(&mutex_);
  const bool is_worker = principal.kind == auth::Principal::Kind::kWorker;
  (is_worker ? workers_ : clients_).CloseStream(principal.Id());
}

}  // namespace jenner::rpc

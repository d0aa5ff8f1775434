#include "server/auth/authorize.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "core/names.h"

namespace jenner::auth {
namespace {

constexpr std::string_view kBearer = "bearer ";

absl::StatusOr<Principal> AuthorizeWorker(const Credentials& credentials) {
  Principal worker{Principal::Kind::kWorker, "", "", Role::kAdmin};
  if (!credentials.is_encrypted) return worker;
  if (credentials.uris.empty()) {
    return absl::UnauthenticatedError(
        "this call is for workers, which show a certificate (jenner-server certs worker)");
  }
  for (const std::string& uri : credentials.uris) {
    if (!absl::StartsWith(uri, std::string(kWorkerUri))) continue;
    const std::string name = uri.substr(kWorkerUri.size());
    if (!core::IsId(name) || !worker.name.empty()) {
      return absl::PermissionDeniedError("the certificate does not name one worker");
    }
    worker.name = name;
  }
  if (worker.name.empty()) {
    return absl::PermissionDeniedError("the certificate is not a worker's");
  }
  return worker;
}

absl::StatusOr<Principal> Identify(const Credentials& credentials, const std::vector<Token>& tokens,
                                   bool tokens_required) {
  if (credentials.authorizations.empty()) {
    if (!tokens_required) return Principal{};
    return absl::UnauthenticatedError(
        "this server asks for a token (jenner --token-file, JENNER_TOKEN_FILE)");
  }
  const std::string& given = credentials.authorizations.front();
  const bool is_bearer = credentials.authorizations.size() == 1 && given.size() > kBearer.size() &&
                         absl::AsciiStrToLower(given.substr(0, kBearer.size())) == kBearer;
  if (!is_bearer) return absl::UnauthenticatedError("authorization: expected one \"Bearer TOKEN\"");
  if (!credentials.is_encrypted && !credentials.is_local) {
    return absl::UnauthenticatedError(
        "the token came over the network in the clear and may be known to others: remove it, and "
        "use TLS");
  }
  std::string token = given.substr(kBearer.size());
  absl::StripAsciiWhitespace(&token);
  const std::optional<Principal> found = FindToken(tokens, token);
  if (!found.has_value()) return absl::UnauthenticatedError("the token is not known here");
  return *found;
}

}  // namespace

bool IsLocalPeer(std::string_view peer) {
  const auto starts = [peer](std::string_view prefix) {
    return peer.substr(0, prefix.size()) == prefix;
  };
  return starts("unix:") || starts("ipv4:127.") || starts("ipv6:[::1]:") ||
         starts("ipv6:%5B::1%5D:") || starts("ipv6:[::ffff:127.") || starts("ipv6:%5B::ffff:127.");
}

Decision Authorize(const Rule& rule, const Credentials& credentials,
                   const std::vector<Token>& tokens, bool tokens_required) {
  const bool is_worker = rule.audience == Audience::kWorker;
  const absl::StatusOr<Principal> known =
      is_worker ? AuthorizeWorker(credentials) : Identify(credentials, tokens, tokens_required);
  if (!known.ok()) return {known.status(), {}};
  if (is_worker || known->role >= rule.role) return {absl::OkStatus(), *known};
  return {absl::PermissionDeniedError(absl::StrFormat("%s needs the role %s; \"%s\" has %s",
                                                      rule.method, RoleName(rule.role), known->name,
                                                      RoleName(known->role))),
          *known};
}

absl::Status CheckWorker(const Principal& principal, const std::string& worker) {
  if (principal.name.empty() || principal.name == worker) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrFormat(
      "the certificate is of worker \"%s\", which may not speak for another", principal.name));
}

}  // namespace jenner::auth

// Authorize: what a call brings with it, and whether that is enough. Pure.
#ifndef JENNER_SERVER_AUTH_AUTHORIZE_H_
#define JENNER_SERVER_AUTH_AUTHORIZE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/auth/principal.h"
#include "server/auth/rules.h"
#include "server/auth/tokens.h"

namespace jenner::auth {

inline constexpr std::string_view kWorkerUri = "jenner://workers/";

struct Credentials {
  bool is_encrypted = false;                // TLS
  bool is_local = false;                    // the peer is on this machine
  std::vector<std::string> uris;            // of the certificate that the peer proved to have
  std::vector<std::string> authorizations;  // each "authorization" of the metadata
};

// True for a peer as gRPC writes it: "ipv4:127.0.0.1:4711", "ipv6:[::1]:4711", "unix:...".
bool IsLocalPeer(std::string_view peer);

struct Decision {
  absl::Status status;
  Principal principal;  // means nothing if the status is Unauthenticated
};

// Who calls, and may it. A client is known by its token: if tokens are not required it may come
// without one and may do everything. A worker is known by its certificate: over plaintext (this
// machine, or
// --allow-plaintext) it has none, and its name is "".
// Unauthenticated: a token or certificate is missing, not known, or was sent in the clear.
// PermissionDenied: it is known and may not.
Decision Authorize(const Rule& rule, const Credentials& credentials,
                   const std::vector<Token>& tokens, bool tokens_required);

// OK: `principal`, which called a method for workers, may speak for `worker`. PermissionDenied.
absl::Status CheckWorker(const Principal& principal, const std::string& worker);

}  // namespace jenner::auth

#endif  // JENNER_SERVER_AUTH_AUTHORIZE_H_

// A certificate authority of one's own: ECDSA P-256 keys and X.509 certificates in a folder, made
// by OpenSSL, so that a server, its workers and its clients need no other.
//
//   ca.pem, ca.key            the authority; its key signs and is needed nowhere else
//   server.pem, server.key    for jenner-server: serverAuth, the hosts as DNS and IP names
//   worker-NAME.pem, .key     for a jenner-worker: clientAuth, URI jenner://workers/NAME
//   client-NAME.pem, .key     for a client where the server asks for certificates: clientAuth, URI
//                             jenner://clients/NAME
//
// Keys are files of mode 0600 and never written over. Certificates last 397 days, the authority ten
// years. Blocks on the disk; not for two processes on one folder at once.
#ifndef JENNER_SERVER_CERTS_CERTS_H_
#define JENNER_SERVER_CERTS_CERTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace jenner::certs {

inline constexpr absl::Duration kAuthorityLife = absl::Hours(24 * 3652);
inline constexpr absl::Duration kCertificateLife = absl::Hours(24 * 397);
inline constexpr int kMaxHosts = 100;

// The paths that were made.
struct Files {
  std::string certificate;
  std::string key;
};

// All of these: InvalidArgument: a name. AlreadyExists: a file is there, which is kept, and nothing
// is made. FailedPrecondition: a file cannot be written or read, or the authority is over.

absl::Status CheckHosts(const std::vector<std::string>& hosts);

// Makes `folder` (0700) and the authority.
absl::StatusOr<Files> MakeAuthority(const std::string& folder, absl::Time now);
// For `hosts` (DNS names or IP addresses), "localhost", 127.0.0.1 and ::1.
absl::StatusOr<Files> MakeServer(const std::string& folder, const std::vector<std::string>& hosts,
                                 absl::Time now);
// REQUIRES for the name: core::IsId.
absl::StatusOr<Files> MakeWorker(const std::string& folder, const std::string& name,
                                 absl::Time now);
absl::StatusOr<Files> MakeClient(const std::string& folder, const std::string& name,
                                 absl::Time now);

}  // namespace jenner::certs

#endif  // JENNER_SERVER_CERTS_CERTS_H_

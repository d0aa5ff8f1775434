// TLS material as PEM text, read from the files that flags name. Never written to a log.
#ifndef JENNER_WIRE_TLS_H_
#define JENNER_WIRE_TLS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace jenner::wire {

inline constexpr size_t kMaxPemBytes = size_t{1} << 20;
inline constexpr size_t kMaxSecretBytes = 4096;  // of a token's file

struct TlsFiles {
  std::string ca;           // who signs the other side's certificates; "": not TLS
  std::string certificate;  // one's own with its chain; "": none
  std::string key;          // of `certificate`
};

struct Tls {
  std::string ca;
  std::string certificate;
  std::string key;
};

// InvalidArgument: `certificate` without `key` or the other way round, or without `ca`; a file that
// is not PEM of that kind; a key of another certificate. NotFound, FailedPrecondition: a file that
// cannot be read. REQUIRES: files.ca is not empty, or all are an error.
absl::StatusOr<Tls> ReadTls(const TlsFiles& files);

// The one word in the file at `path`. InvalidArgument: there is none, or more. Else as above.
absl::StatusOr<std::string> ReadSecret(const std::string& path);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_TLS_H_

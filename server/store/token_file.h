// <data-dir>/tokens.json: names, roles and hashes of the tokens (docs/formats/audit.md). Written
// by `jenner-server tokens`, which may run beside the server, under a lock of its own and by
// rename: a reader sees all of a change or nothing. Mode 0600. Blocks on the disk.
#ifndef JENNER_SERVER_STORE_TOKEN_FILE_H_
#define JENNER_SERVER_STORE_TOKEN_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/auth/tokens.h"

namespace jenner::store {

// Absent: no tokens. DataLoss: it is not what was written. FailedPrecondition: it cannot be read.
absl::StatusOr<std::vector<auth::Token>> ReadTokens(const std::string& path);

// InvalidArgument: name or project. AlreadyExists: the name. ResourceExhausted: too many.
absl::Status AddToken(const std::string& path, const auth::Token& token);
// NotFound: the name.
absl::Status RemoveToken(const std::string& path, const std::string& name);

// Tells changes of the file. Not thread-safe.
class TokenFileWatch {
 public:
  explicit TokenFileWatch(std::string path) : path_(std::move(path)) {}

  // Nullopt: as at the last Poll(). Else what is in the file now, or why that cannot be told.
  std::optional<absl::StatusOr<std::vector<auth::Token>>> Poll();

 private:
  struct Stamp {
    uint64_t inode = 0;  // 0: absent
    int64_t size_bytes = 0;
    int64_t time_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp Look() const;

  const std::string path_;
  std::optional<Stamp> seen_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_TOKEN_FILE_H_

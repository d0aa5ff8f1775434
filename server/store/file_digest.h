// Whole files by their SHA-256. Calls block on the disk. Codes besides those named: NotFound (no
// such file), ResourceExhausted (disk full), FailedPrecondition (not permitted, read-only),
// Internal; the message names the path.
#ifndef JENNER_SERVER_STORE_FILE_DIGEST_H_
#define JENNER_SERVER_STORE_FILE_DIGEST_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace jenner::store {

struct FileDigest {
  std::string sha256;
  int64_t size_bytes = 0;
  bool operator==(const FileDigest&) const = default;
};

absl::StatusOr<FileDigest> DigestOf(const std::string& path);

// Makes `to` (mode 0600), or replaces it; durable when OK. The digest is that of the bytes written.
absl::StatusOr<FileDigest> CopyFile(const std::string& from, const std::string& to);

// `code` is an errno; as absl::Status with the codes above.
absl::Status FileError(int code, const std::string& what);

// What is in the file is durable when OK.
absl::Status SyncFile(const std::string& path);

// Names made, renamed or removed in `folder` are durable when OK.
absl::Status SyncFolder(const std::string& folder);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_FILE_DIGEST_H_

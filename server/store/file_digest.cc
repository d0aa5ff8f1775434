#include "server/store/file_digest.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "core/status.h"

namespace jenner::store {
namespace {

constexpr size_t kPartBytes = size_t{1} << 20;

class File {
 public:
  File(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = write(fd, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

// Reads all of `path`, and writes it to `out` if there is one.
absl::StatusOr<FileDigest> Pass(const std::string& path, const std::string& to, const File* out) {
  const File in(path, O_RDONLY);
  if (in.fd() < 0) return FileError(errno, path);
  core::Sha256 hash;
  FileDigest digest;
  std::vector<char> part(kPartBytes);
  for (;;) {
    const ssize_t size = read(in.fd(), part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FileError(errno, path);
    if (size == 0) break;
    const std::string_view bytes(part.data(), static_cast<size_t>(size));
    hash.Update(bytes);
    digest.size_bytes += size;
    if (out != nullptr && !WriteAll(out->fd(), bytes)) return FileError(errno, to);
  }
  digest.sha256 = hash.FinishHex();
  return digest;
}

}  // namespace

absl::Status FileError(int code, const std::string& what) {
  const std::string message = absl::StrFormat("%s: %s", what, std::strerror(code));
  if (code == ENOSPC || code == EDQUOT) return absl::ResourceExhaustedError(message);
  if (code == ENOENT) return absl::NotFoundError(message);
  if (code == EACCES || code == EPERM || code == EROFS) {
    return absl::FailedPreconditionError(message);
  }
  return absl::InternalError(message);
}

absl::Status SyncFile(const std::string& path) {
  const File file(path, O_RDONLY);
  if (file.fd() < 0 || fsync(file.fd()) != 0) return FileError(errno, path);
  return absl::OkStatus();
}

absl::Status SyncFolder(const std::string& folder) {
  const File file(folder, O_RDONLY | O_DIRECTORY);
  if (file.fd() < 0 || fsync(file.fd()) != 0) return FileError(errno, folder);
  return absl::OkStatus();
}

absl::StatusOr<FileDigest> DigestOf(const std::string& path) { return Pass(path, "", nullptr); }

absl::StatusOr<FileDigest> CopyFile(const std::string& from, const std::string& to) {
  const File out(to, O_WRONLY | O_CREAT | O_TRUNC);
  if (out.fd() < 0) return FileError(errno, to);
  ASSIGN_OR_RETURN(FileDigest digest, Pass(from, to, &out));
  if (fsync(out.fd()) != 0) return FileError(errno, to);
  return digest;
}

}  // namespace jenner::store

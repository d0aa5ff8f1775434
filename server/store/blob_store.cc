#include "server/store/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"
#include "server/store/file_digest.h"

namespace jenner::store {
namespace {

absl::Status Errno(const std::string& what) { return FileError(errno, what); }

absl::Status CheckName(const std::string& sha256) {
  if (core::IsSha256Hex(sha256)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("sha256: \"%s\" is not 64 lower-case hex digits", sha256.substr(0, 80)));
}

}  // namespace

BlobWriter::BlobWriter(std::string folder, std::string sha256, int64_t size_bytes,
                       std::string temporary, int fd)
    : folder_(std::move(folder)),
      sha256_(std::move(sha256)),
      size_bytes_(size_bytes),
      temporary_(std::move(temporary)),
      fd_(fd) {}

BlobWriter::~BlobWriter() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

absl::Status BlobWriter::Write(std::string_view chunk) {
  if (static_cast<int64_t>(chunk.size()) > size_bytes_ - written_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrFormat("more than the %d bytes that were announced", size_bytes_));
  }
  hash_.Update(chunk);
  written_bytes_ += static_cast<int64_t>(chunk.size());
  while (!chunk.empty()) {
    const ssize_t size = write(fd_, chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Errno(temporary_);
    chunk.remove_prefix(static_cast<size_t>(size));
  }
  return absl::OkStatus();
}

absl::Status BlobWriter::Verify() {
  if (written_bytes_ != size_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d bytes came; %d were announced", written_bytes_, size_bytes_));
  }
  const std::string found = hash_.FinishHex();
  if (found != sha256_) {
    return absl::InvalidArgumentError(
        absl::StrFormat("sha256: the bytes have %s; %s was announced", found, sha256_));
  }
  is_verified_ = true;
  return absl::OkStatus();
}

absl::Status BlobWriter::Commit() {
  if (!is_verified_) RETURN_IF_ERROR(Verify());
  if (fsync(fd_) != 0) return Errno(temporary_);
  if (mkdir(folder_.c_str(), 0700) == 0) {
    RETURN_IF_ERROR(SyncFolder(std::filesystem::path(folder_).parent_path().string()));
  } else if (errno != EEXIST) {
    return Errno(folder_);
  }
  if (rename(temporary_.c_str(), (folder_ + "/" + sha256_).c_str()) != 0) return Errno(folder_);
  temporary_.clear();
  return SyncFolder(folder_);
}

BlobReader::BlobReader(std::string sha256, int64_t size_bytes, int fd)
    : sha256_(std::move(sha256)), size_bytes_(size_bytes), fd_(fd) {}

BlobReader::~BlobReader() { close(fd_); }

absl::StatusOr<std::string> BlobReader::Read(int64_t limit) {
  std::string bytes(static_cast<size_t>(std::min(limit, size_bytes_ - read_bytes_)), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t size = read(fd_, bytes.data() + done, bytes.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Errno("blob " + sha256_);
    if (size == 0) return absl::DataLossError("blob " + sha256_ + " shrank while it was read");
    done += static_cast<size_t>(size);
  }
  if (is_checked_) return bytes;
  hash_.Update(bytes);
  read_bytes_ += static_cast<int64_t>(bytes.size());
  is_checked_ = read_bytes_ == size_bytes_;
  if (is_checked_ && hash_.FinishHex() != sha256_) {
    return absl::DataLossError("blob " + sha256_ + " is corrupt: its bytes have another hash");
  }
  return bytes;
}

absl::StatusOr<std::unique_ptr<BlobStore>> BlobStore::Open(const std::string& dir) {
  for (const std::string& folder : {dir, dir + "/tmp"}) {
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::FailedPreconditionError(
          absl::StrFormat("%s cannot be made: %s", folder, std::strerror(errno)));
    }
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir + "/tmp", error)) {
    std::error_code ignored;
    std::filesystem::remove(entry.path(), ignored);
  }
  if (error) return absl::FailedPreconditionError(dir + "/tmp: " + error.message());
  return std::unique_ptr<BlobStore>(new BlobStore(dir));
}

absl::StatusOr<std::unique_ptr<BlobWriter>> BlobStore::Create(const std::string& sha256,
                                                              int64_t size_bytes,
                                                              int64_t max_bytes) {
  RETURN_IF_ERROR(CheckName(sha256));
  if (size_bytes < 0) {
    return absl::InvalidArgumentError(absl::StrFormat("size_bytes: %d is negative", size_bytes));
  }
  if (size_bytes > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("size_bytes: %d; at most %d", size_bytes, max_bytes));
  }
  std::string temporary = dir_ + "/tmp/blob-XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return Errno(temporary);
  return std::unique_ptr<BlobWriter>(
      new BlobWriter(dir_ + "/" + sha256.substr(0, 2), sha256, size_bytes, temporary, fd));
}

absl::StatusOr<std::unique_ptr<BlobReader>> BlobStore::Read(const std::string& sha256) const {
  RETURN_IF_ERROR(CheckName(sha256));
  const std::string path = PathOf(sha256);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return absl::NotFoundError("no blob " + sha256);
  if (fd < 0) return Errno(path);
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    close(fd);
    return Errno(path);
  }
  return std::unique_ptr<BlobReader>(new BlobReader(sha256, info.st_size, fd));
}

absl::StatusOr<int64_t> BlobStore::SizeBytes(const std::string& sha256) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobReader> reader, Read(sha256));
  return reader->size_bytes();
}

std::string BlobStore::PathOf(const std::string& sha256) const {
  return dir_ + "/" + NameOf(sha256);
}

absl::Status BlobStore::Import(const std::string& path, const std::string& sha256) const {
  RETURN_IF_ERROR(CheckName(sha256));
  const std::string target = PathOf(sha256);
  const std::string folder = std::filesystem::path(target).parent_path().string();
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return Errno(folder);
  std::string made = target;
  if (link(path.c_str(), target.c_str()) != 0 && errno != EEXIST) {
    if (errno == ENOENT) return Errno(path);
    made = dir_ + "/tmp/import";
    RETURN_IF_ERROR(CopyFile(path, made).status());
  }
  const absl::StatusOr<FileDigest> digest = DigestOf(made);
  const bool is_good = digest.ok() && digest->sha256 == sha256;
  if (!is_good) {
    unlink(made.c_str());
    if (!digest.ok()) return digest.status();
    return absl::DataLossError(path + " is corrupt: its bytes have another hash");
  }
  if (made != target && rename(made.c_str(), target.c_str()) != 0) return Errno(target);
  RETURN_IF_ERROR(SyncFolder(folder));
  return SyncFolder(dir_);
}

void BlobStore::Touch(const std::string& sha256) const {
  if (!core::IsSha256Hex(sha256)) return;
  const std::string path = PathOf(sha256);
  utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

BlobStore::Swept BlobStore::Sweep(
    int folder_idx, absl::Time cutoff,
    const std::function<bool(const std::string& sha256, absl::Time time)>& is_wanted) const {
  Swept swept;
  const std::string folder = absl::StrFormat("%s/%02x", dir_, folder_idx);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    struct stat info {};
    if (!core::IsSha256Hex(name) || lstat(entry.path().c_str(), &info) != 0) continue;
    const absl::Time time = absl::TimeFromTimespec(info.st_mtim);
    if (time < cutoff && !is_wanted(name, time) && unlink(entry.path().c_str()) == 0) {
      swept.removed_bytes += info.st_size;
      ++swept.num_removed;
    } else {
      swept.kept_bytes += info.st_size;
    }
  }
  return swept;
}

}  // namespace jenner::store

#include "server/store/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_format.h"
#include "server/store/durable_file.h"
#include "server/store/file_digest.h"

namespace jenner::store {
namespace {

std::string Owner(int fd) {
  std::array<char, 32> text{};
  const ssize_t size = pread(fd, text.data(), text.size() - 1, 0);
  return size > 0 ? std::string(text.data(), static_cast<size_t>(size)) : "unknown";
}

}  // namespace

absl::StatusOr<DataDir> DataDir::Open(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (mkdir(path.c_str(), 0700) != 0) {
      return absl::FailedPreconditionError(
          absl::StrFormat("data directory %s cannot be made: %s", path, std::strerror(errno)));
    }
  }
  const std::string lock = path + "/lock";
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("data directory %s is not writable: %s", path, std::strerror(errno)));
  }
  DataDir result(path, fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(absl::StrFormat(
        "data directory %s is in use by another jenner-server (process %s)", path, Owner(fd)));
  }
  if (access(result.RestoringPath().c_str(), F_OK) == 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "data directory %s is half restored (%s): remove what is in it, and restore again", path,
        result.RestoringPath()));
  }
  const std::string pid = absl::StrFormat("%d", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("data directory %s is not writable: %s", path, std::strerror(errno)));
  }
  return result;
}

absl::Status DataDir::BindToOwnLog() const {
  std::error_code error;
  if (!std::filesystem::exists(LogIdPath(), error)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "data directory %s belongs to an event log elsewhere (%s): --event-log or --event-log-file "
      "tells where",
      path_, LogIdPath()));
}

absl::Status DataDir::BindToSharedLog(const std::string& log_id, bool is_new) const {
  std::error_code error;
  if (std::filesystem::exists(EventsPath(), error)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "data directory %s belongs to its own event log, events.db: another log needs another "
        "directory",
        path_));
  }
  std::ifstream file(LogIdPath());
  std::string found;
  file >> found;
  if (found == log_id) return absl::OkStatus();
  if (!found.empty()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "data directory %s belongs to event log %s, not to %s", path_, found, log_id));
  }
  if (!is_new) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "data directory %s was never used with event log %s, which has events: is the storage that "
        "holds their results mounted? If it is lost, write that id to %s to go on without",
        path_, log_id, LogIdPath()));
  }
  return WriteDurably(LogIdPath(), log_id + "\n");
}

absl::Status DataDir::BeginRestore() const {
  return WriteDurably(RestoringPath(), "jenner-server restore fills this directory\n");
}

absl::Status DataDir::EndRestore() const {
  if (unlink(RestoringPath().c_str()) != 0) return FileError(errno, RestoringPath());
  return SyncFolder(path_);
}

DataDir::~DataDir() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

}  // namespace jenner::store

#include "worker/agent/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/status.h"

namespace jenner::agent {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) close(fd_);
}

int UniqueFd::Release() { return std::exchange(fd_, -1); }

absl::Status ErrnoStatus(std::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(std::string(what), " ", path));
}

absl::StatusOr<std::string> ReadPart(const std::string& path, int64_t offset, int64_t max_bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return ErrnoStatus("open", path);
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("stat", path);
  const int64_t there = std::max<int64_t>(0, info.st_size - offset);
  std::string data(static_cast<size_t>(std::min(there, max_bytes)), '\0');
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = pread(fd.get(), data.data() + done, data.size() - done,
                            static_cast<off_t>(offset + static_cast<int64_t>(done)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  data.resize(done);
  return data;
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, int64_t max_bytes) {
  ASSIGN_OR_RETURN(std::string data, ReadPart(path, 0, max_bytes + 1));
  if (static_cast<int64_t>(data.size()) > max_bytes) {
    return absl::OutOfRangeError(absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
  }
  return data;
}

namespace {

absl::Status WriteAll(int fd, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("write", path);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path) {
  const std::string temporary = path + ".tmp";
  UniqueFd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.is_open()) return ErrnoStatus("create", temporary);
  return FileWriter(path, std::move(fd));
}

FileWriter::~FileWriter() {
  if (fd_.is_open()) unlink((path_ + ".tmp").c_str());
}

absl::Status FileWriter::Write(std::string_view data) {
  return WriteAll(fd_.get(), data, path_ + ".tmp");
}

absl::Status FileWriter::Commit(bool sync) {
  const std::string temporary = path_ + ".tmp";
  if (sync && fsync(fd_.get()) != 0) return ErrnoStatus("fsync", temporary);
  if (rename(temporary.c_str(), path_.c_str()) != 0) return ErrnoStatus("rename", temporary);
  fd_ = UniqueFd();
  return sync ? SyncFolder(std::filesystem::path(path_).parent_path().string()) : absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view data, bool sync) {
  ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
  RETURN_IF_ERROR(writer.Write(data));
  return writer.Commit(sync);
}

absl::Status SyncFolder(const std::string& path) {
  UniqueFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || fsync(folder.get()) != 0) return ErrnoStatus("fsync", path);
  return absl::OkStatus();
}

absl::Status MakeFolders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("create folder ", path));
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("remove ", path));
  return absl::OkStatus();
}

std::vector<std::string> ListFolder(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

int64_t FileSize(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return -1;
  return info.st_size;
}

absl::StatusOr<UniqueFd> LockFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.is_open()) return ErrnoStatus("open", path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": another process holds the lock"));
  }
  return ErrnoStatus("lock", path);
}

absl::StatusOr<LineChunk> ReadLines(const std::string& path, int64_t offset, int64_t max_bytes) {
  ASSIGN_OR_RETURN(std::string data, ReadPart(path, offset, max_bytes));
  LineChunk chunk;
  size_t begin = 0;
  for (size_t end = data.find('\n'); end != std::string::npos; end = data.find('\n', begin)) {
    chunk.lines.push_back(data.substr(begin, end - begin));
    begin = end + 1;
  }
  if (begin == 0 && static_cast<int64_t>(data.size()) == max_bytes) {
    chunk.lines.push_back(data);
    begin = data.size();
  }
  chunk.next_offset = offset + static_cast<int64_t>(begin);
  return chunk;
}

}  // namespace jenner::agent

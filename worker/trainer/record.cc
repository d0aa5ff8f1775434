#include "worker/trainer/record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "core/sha256.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using nlohmann::json;

constexpr int64_t kReadBytes = int64_t{1} << 20;

}  // namespace

Record::Record(std::string path)
    : path_(std::move(path)),
      fd_(open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
  if (fd_ < 0) ThrowErrno(errno, "open", path_);
}

Record::~Record() { close(fd_); }

int64_t Record::size_bytes() const {
  struct stat info {};
  if (fstat(fd_, &info) != 0) ThrowErrno(errno, "stat", path_);
  return info.st_size;
}

std::vector<int64_t> Record::Seal(int64_t bytes) const {
  if (fsync(fd_) != 0) ThrowErrno(errno, "fsync", path_);
  core::Sha256 hash;
  int64_t done = 0;
  std::string buffer(kReadBytes, '\0');
  while (done < bytes) {
    const int64_t wanted = std::min(bytes - done, kReadBytes);
    const ssize_t count = pread(fd_, buffer.data(), static_cast<size_t>(wanted), done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno(errno, "read", path_);
    if (count == 0) break;
    hash.Update(std::string_view(buffer).substr(0, static_cast<size_t>(count)));
    done += count;
  }
  const uint64_t first = std::stoull(hash.FinishHex().substr(0, 16), nullptr, 16);
  return {done, static_cast<int64_t>(first)};
}

void Record::Continue(int64_t bytes, EventWriter* events) const {
  if (ftruncate(fd_, bytes) != 0) ThrowErrno(errno, "truncate", path_);
  std::ifstream lines(path_);
  for (std::string line; std::getline(lines, line);) {
    json event = json::parse(line);
    const std::string kind = event.at("kind");
    events->Write(kind, std::move(event));
  }
  events->CopyTelemetryTo(fd_);
}

}  // namespace jenner::trainer

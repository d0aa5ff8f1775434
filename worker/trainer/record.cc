#include "worker/trainer/record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "worker/trainer/failure.h"

namespace jenner::trainer {

using nlohmann::json;

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

std::string Record::Read(int64_t begin, int64_t end) const {
  std::string bytes(static_cast<size_t>(std::clamp<int64_t>(end - begin, 0, kPieceBytes)), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pread(fd_, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(begin + static_cast<int64_t>(done)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno(errno, "read", path_);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

void Record::Append(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno(errno, "write", path_);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void Record::Clear() const {
  if (ftruncate(fd_, 0) != 0) ThrowErrno(errno, "truncate", path_);
}

void Record::Continue(EventWriter* events) const {
  std::ifstream lines(path_);
  for (std::string line; std::getline(lines, line);) {
    json event = json::parse(line);
    const std::string kind = event.at("kind");
    events->Write(kind, std::move(event));
  }
  events->CopyTelemetryTo(fd_);
}

}  // namespace jenner::trainer

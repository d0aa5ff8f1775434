#include "server/store/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {

std::string AuditLine(const AuditEntry& entry) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", entry.time, absl::UTCTimeZone());
  const std::pair<const char*, const std::string*> fields[] = {
      {"principal", &entry.principal},   {"peer", &entry.peer},       {"method", &entry.method},
      {"resource", &entry.resource},     {"outcome", &entry.outcome}, {"message", &entry.message},
      {"request_id", &entry.request_id},
  };
  for (const auto& [name, value] : fields) {
    if (!value->empty()) line[name] = value->substr(0, kMaxAuditText);
  }
  // A cut character becomes a replacement character, a control character an escape.
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& path,
                                                         int64_t max_bytes) {
  std::unique_ptr<AuditLog> log(new AuditLog(path, max_bytes));
  RETURN_IF_ERROR(log->Reopen());
  return log;
}

AuditLog::~AuditLog() {
  if (fd_ >= 0) close(fd_);
}

absl::Status AuditLog::Reopen() {
  if (fd_ >= 0) close(fd_);
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  struct stat known {};
  if (fd_ < 0 || fstat(fd_, &known) != 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s cannot be opened: %s", path_, std::strerror(errno)));
  }
  size_bytes_ = known.st_size;
  return absl::OkStatus();
}

void AuditLog::Rotate() {
  for (int i = kMaxAuditFiles - 1; i >= 1; --i) {
    std::rename(absl::StrFormat("%s.%d", path_, i).c_str(),
                absl::StrFormat("%s.%d", path_, i + 1).c_str());
  }
  std::rename(path_.c_str(), absl::StrFormat("%s.1", path_).c_str());
}

absl::Status AuditLog::Append(const AuditEntry& entry) {
  const std::string line = AuditLine(entry) + "\n";
  if (fd_ < 0) RETURN_IF_ERROR(Reopen());
  if (size_bytes_ > 0 && size_bytes_ + static_cast<int64_t>(line.size()) > max_bytes_) {
    Rotate();
    RETURN_IF_ERROR(Reopen());
  }
  const ssize_t written = write(fd_, line.data(), line.size());
  if (written > 0) size_bytes_ += written;
  if (written == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  const absl::Status status = absl::FailedPreconditionError(
      absl::StrFormat("%s cannot be written: %s", path_, std::strerror(errno)));
  // Half a line must not swallow the next one.
  if (written > 0 && ftruncate(fd_, size_bytes_ - written) == 0) size_bytes_ -= written;
  return status;
}

}  // namespace jenner::store

#include "server/store/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

absl::Status Refused(const std::string& path, const char* what) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%s cannot be %s: %s", path, what, std::strerror(errno)));
}

}  // namespace

absl::Status WriteDurably(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  unlink(temporary.c_str());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Refused(temporary, "made");
  const bool is_written =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const absl::Status status = is_written ? absl::OkStatus() : Refused(temporary, "written");
  close(fd);
  RETURN_IF_ERROR(status);
  if (rename(temporary.c_str(), path.c_str()) != 0) return Refused(path, "written");
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int folder_fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd < 0) return Refused(folder, "opened");
  const bool is_synced = fsync(folder_fd) == 0;
  close(folder_fd);
  return is_synced ? absl::OkStatus() : Refused(folder, "synced");
}

}  // namespace jenner::store

#include "worker/agent/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/status.h"

namespace jenner::agent {
namespace {

constexpr int64_t kMaxProcFileBytes = 4096;

// /proc files have no size, so they are read to their end.
absl::StatusOr<std::string> ReadProcFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return ErrnoStatus("open", path);
  std::string data(kMaxProcFileBytes, '\0');
  const ssize_t n = read(fd.get(), data.data(), data.size());
  if (n < 0) return ErrnoStatus("read", path);
  data.resize(static_cast<size_t>(n));
  return data;
}

}  // namespace

std::string KernelBootId() {
  auto text = ReadProcFile("/proc/sys/kernel/random/boot_id");
  return text.ok() ? std::string(absl::StripSuffix(*text, "\n")) : "unknown";
}

absl::StatusOr<ProcessIdentity> IdentifyProcess(int pid) {
  auto stat = ReadProcFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return absl::NotFoundError(absl::StrCat("no process ", pid));
  // The name, field 2, may hold anything; it ends at the last ')'. Field 3 follows.
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return absl::NotFoundError("unreadable /proc entry");
  const std::vector<std::string> fields =
      absl::StrSplit(stat->substr(name_end + 1), ' ', absl::SkipEmpty());
  ProcessIdentity identity;
  identity.pid = pid;
  identity.boot_id = KernelBootId();
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[19], &identity.start_ticks)) {
    return absl::NotFoundError("unreadable /proc entry");
  }
  return identity;
}

absl::StatusOr<UniqueFd> OpenProcess(const ProcessIdentity& identity) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, identity.pid, 0)));
  if (!pidfd.is_open()) return absl::NotFoundError(absl::StrCat("no process ", identity.pid));
  // The pidfd is of whoever has the pid now; if that is the one meant, it stays the one.
  ASSIGN_OR_RETURN(ProcessIdentity now, IdentifyProcess(identity.pid));
  if (now != identity) {
    return absl::NotFoundError(absl::StrCat("pid ", identity.pid, " is another process now"));
  }
  return pidfd;
}

void SignalProcess(const UniqueFd& pidfd, int signal) {
  if (pidfd.is_open()) syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

bool HasEnded(const UniqueFd& pidfd) {
  pollfd item{pidfd.get(), POLLIN, 0};
  return poll(&item, 1, 0) == 1;
}

int64_t BootMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace jenner::agent

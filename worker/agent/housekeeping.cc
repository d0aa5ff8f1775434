#include "worker/agent/housekeeping.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "worker/agent/child.h"
#include "worker/agent/files.h"

namespace jenner::agent {
namespace {

absl::Time ModifiedAt(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return absl::InfinitePast();
  return absl::TimeFromTimespec(info.st_mtim);
}

// The newest change of a folder or of what is directly in it.
absl::Time ChangedAt(const std::string& folder) {
  absl::Time newest = ModifiedAt(folder);
  for (const std::string& name : ListFolder(folder)) {
    newest = std::max(newest, ModifiedAt(folder + "/" + name));
  }
  return newest;
}

}  // namespace

std::string ProcessRecord(const ProcessIdentity& identity) {
  return absl::StrCat(identity.pid, " ", identity.start_ticks, " ", identity.boot_id);
}

void KillOrphans(const std::string& attempts, absl::Duration patience) {
  std::vector<UniqueFd> dying;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(attempts, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().filename() != "process") continue;
    const absl::StatusOr<std::string> text = ReadSmallFile(at->path().string(), 4096);
    if (!text.ok()) continue;
    const std::vector<std::string> words = absl::StrSplit(*text, ' ');
    ProcessIdentity identity;
    if (words.size() != 3 || !absl::SimpleAtoi(words[0], &identity.pid) ||
        !absl::SimpleAtoi(words[1], &identity.start_ticks)) {
      continue;
    }
    identity.boot_id = words[2];
    absl::StatusOr<UniqueFd> pidfd = OpenProcess(identity);
    if (!pidfd.ok()) continue;
    KillGroup(identity);
    dying.push_back(*std::move(pidfd));
  }
  const int64_t until = BootMilliseconds() + absl::ToInt64Milliseconds(patience);
  for (const UniqueFd& pidfd : dying) {
    pollfd item{pidfd.get(), POLLIN, 0};
    poll(&item, 1, static_cast<int>(std::max<int64_t>(0, until - BootMilliseconds())));
  }
}

void TrimCache(const std::string& folder, int64_t max_bytes, const std::set<std::string>& keep) {
  int64_t total_bytes = 0;
  std::vector<std::pair<absl::Time, std::string>> files;
  for (const std::string& name : ListFolder(folder)) {
    total_bytes += std::max<int64_t>(0, FileSize(folder + "/" + name));
    if (!keep.contains(name)) files.emplace_back(ModifiedAt(folder + "/" + name), name);
  }
  std::sort(files.begin(), files.end());
  for (const auto& [time, name] : files) {
    if (total_bytes <= max_bytes) return;
    const std::string path = folder + "/" + name;
    total_bytes -= std::max<int64_t>(0, FileSize(path));
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
}

void TouchFile(const std::string& path) { utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

void RemoveOld(const std::string& root, absl::Duration age, absl::Time now,
               const std::set<std::string>& keep) {
  for (const std::string& experiment : ListFolder(root)) {
    for (const std::string& job : ListFolder(root + "/" + experiment)) {
      const std::string folder = absl::StrCat(root, "/", experiment, "/", job);
      if (keep.contains(experiment + "/" + job) || now - ChangedAt(folder) < age) continue;
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    }
    std::error_code ignored;
    std::filesystem::remove(root + "/" + experiment, ignored);  // if it is empty
  }
}

}  // namespace jenner::agent

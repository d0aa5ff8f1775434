#include "server/feed/hub.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace jenner::feed {
namespace {

absl::Status Closing() { return absl::UnavailableError("the server is shutting down"); }

}  // namespace

absl::Status Hub::Add(std::shared_ptr<Watcher> watcher) {
  const MutexLock lock(&mutex_);
  if (is_closed_) return Closing();
  if (static_cast<int>(watchers_.size()) >= max_watchers_) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "%d watch streams are open, as many as this server permits", max_watchers_));
  }
  const Watcher* key = watcher.get();
  watchers_.emplace(key, std::move(watcher));
  return absl::OkStatus();
}

void Hub::Remove(const Watcher* watcher) {
  std::shared_ptr<Watcher> last;  // dies after the lock is released
  const MutexLock lock(&mutex_);
  const auto found = watchers_.find(watcher);
  if (found == watchers_.end()) return;
  last = std::move(found->second);
  watchers_.erase(found);
}

std::vector<std::shared_ptr<Watcher>> Hub::Of(const std::string* experiment) const {
  const MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Watcher>> found;
  for (const auto& [key, watcher] : watchers_) {
    if (experiment == nullptr || watcher->experiment() == *experiment) found.push_back(watcher);
  }
  return found;
}

void Hub::NotifyEvent(const std::string& experiment) {
  for (const auto& watcher : Of(&experiment)) watcher->WakeForEvent();
}

void Hub::NotifyRows(const std::string& experiment) {
  for (const auto& watcher : Of(&experiment)) watcher->WakeForRows();
}

void Hub::Tick(absl::Time now) {
  for (const auto& watcher : Of(nullptr)) watcher->Tick(now);
}

absl::Duration Hub::LongestStall() const {
  absl::Duration longest = absl::ZeroDuration();
  for (const auto& watcher : Of(nullptr)) longest = std::max(longest, watcher->Stall());
  return longest;
}

void Hub::Close() {
  {
    const MutexLock lock(&mutex_);
    is_closed_ = true;
  }
  for (const auto& watcher : Of(nullptr)) watcher->End(Closing());
}

int Hub::NumWatchers() const {
  const MutexLock lock(&mutex_);
  return static_cast<int>(watchers_.size());
}

}  // namespace jenner::feed

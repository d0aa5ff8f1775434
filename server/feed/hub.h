// Hub: knows every watcher and wakes those of an experiment up. Thread-safe; watchers are called
// without its lock held.
#ifndef JENNER_SERVER_FEED_HUB_H_
#define JENNER_SERVER_FEED_HUB_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/feed/mutex.h"
#include "server/feed/watcher.h"

namespace jenner::feed {

class Hub {
 public:
  explicit Hub(int max_watchers) : max_watchers_(max_watchers) {}

  // ResourceExhausted: too many streams. Unavailable: the server ends. The caller starts the
  // watcher afterwards and keeps it; the hub lets go of it at Remove.
  absl::Status Add(std::shared_ptr<Watcher> watcher);
  void Remove(const Watcher* watcher);

  void NotifyEvent(const std::string& experiment);
  void NotifyRows(const std::string& experiment);
  void Tick(absl::Time now);
  // Of the watcher whose reader has taken nothing for longest.
  absl::Duration LongestStall() const;
  // Ends every stream, and every later one at once, with Unavailable.
  void Close();
  int NumWatchers() const;

 private:
  std::vector<std::shared_ptr<Watcher>> Of(const std::string* experiment) const;

  const int max_watchers_;
  mutable Mutex mutex_;
  bool is_closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<const Watcher*, std::shared_ptr<Watcher>> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace jenner::feed

#endif  // JENNER_SERVER_FEED_HUB_H_

// The server's data directory: made private (0700), proved writable, and locked against a second
// server. Layout: lock, events.db or event-log-id, metrics.db, tokens.json, audit.jsonl, blobs/.
// A disk of which one machine at a time has the files open (flock, SQLite WAL).
#ifndef JENNER_SERVER_STORE_DATA_DIR_H_
#define JENNER_SERVER_STORE_DATA_DIR_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace jenner::store {

// Owns the lock; it ends with the object (or the process, however that ends).
class DataDir {
 public:
  // One line naming the path. FailedPrecondition: cannot be made, not writable, half restored.
  // Unavailable: in use by another process (whose id is told).
  static absl::StatusOr<DataDir> Open(const std::string& path);
  ~DataDir();
  DataDir(DataDir&& other) noexcept
      : path_(std::move(other.path_)), lock_fd_(std::exchange(other.lock_fd_, -1)) {}
  DataDir& operator=(DataDir&&) = delete;

  // Rows and blobs belong to the experiments of one event log; with another they would be thrown
  // away as nobody's. FailedPrecondition: the directory belongs to another log than the one given.
  //
  // The log is events.db of this directory.
  absl::Status BindToOwnLog() const;
  // The log is the one named `log_id`, elsewhere. A directory that belongs to none yet becomes its
  // own if the log `is_new`: else it has rows and blobs, which are not here.
  absl::Status BindToSharedLog(const std::string& log_id, bool is_new) const;

  // Between these two a restore fills it, and Open refuses it to all: half of it is worse than
  // none.
  absl::Status BeginRestore() const;
  absl::Status EndRestore() const;

  std::string EventsPath() const { return path_ + "/events.db"; }
  std::string MetricsPath() const { return path_ + "/metrics.db"; }
  std::string TokensPath() const { return path_ + "/tokens.json"; }
  std::string AuditPath() const { return path_ + "/audit.jsonl"; }
  std::string BlobsPath() const { return path_ + "/blobs"; }

 private:
  DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string LogIdPath() const { return path_ + "/event-log-id"; }
  std::string RestoringPath() const { return path_ + "/restoring"; }

  std::string path_;
  int lock_fd_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_DATA_DIR_H_

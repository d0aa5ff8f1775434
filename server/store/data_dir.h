// The server's data directory: made private (0700), proved writable, and locked against a second
// server. Layout: lock, events.db, metrics.db, tokens.json,
// audit.jsonl, blobs/. Local disks only (flock, SQLite WAL).
#ifndef JENNER_SERVER_STORE_DATA_DIR_H_
#define JENNER_SERVER_STORE_DATA_DIR_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace jenner::store {

// Owns the lock; it ends with the object (or the process, however that ends).
class DataDir {
 public:
  // FailedPrecondition, one line naming the path: cannot be made, not writable, or in use by
  // another process (whose id is told).
  static absl::StatusOr<DataDir> Open(const std::string& path);
  ~DataDir();
  DataDir(DataDir&& other) noexcept
      : path_(std::move(other.path_)), lock_fd_(std::exchange(other.lock_fd_, -1)) {}
  DataDir& operator=(DataDir&&) = delete;

  std::string EventsPath() const { return path_ + "/events.db"; }
  std::string MetricsPath() const { return path_ + "/metrics.db"; }
  std::string TokensPath() const { return path_ + "/tokens.json"; }
  std::string AuditPath() const { return path_ + "/audit.jsonl"; }
  std::string BlobsPath() const { return path_ + "/blobs"; }

 private:
  DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string path_;
  int lock_fd_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_DATA_DIR_H_

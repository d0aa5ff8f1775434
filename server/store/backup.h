// Backup and restore of what a coordinator keeps: events, metrics, blobs that the events name,
// tokens, audit log (docs/operations.md). Calls block on the disk for as long as it takes to read
// it all. Codes besides those named: sqlite.h, file_digest.h. Every message names the file that it
// is about.
#ifndef JENNER_SERVER_STORE_BACKUP_H_
#define JENNER_SERVER_STORE_BACKUP_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/postgres_event_log.h"

namespace jenner::store {

struct BackupSummary {
  int64_t events = 0;
  int64_t experiments = 0;
  int64_t blobs = 0;
  int64_t blob_bytes = 0;
  int64_t requeued = 0;  // by a restore: jobs that ran at the backup and wait again
};

struct BackupOptions {
  std::string data_dir;
  std::string folder;  // of the backup; not there, or empty
  // Where the events are instead of in data_dir; null: events.db.
  PostgresEventLog* shared_events = nullptr;
  std::string version;  // of this program
  absl::Time now;
};

// Beside the server, which may run meanwhile. Consistent: the state is that of one moment, every
// blob that it names is there, and the metrics are of that moment or a little later. Blobs are hard
// links where the folder is on the same file system. What was made is removed if it fails.
//   FailedPrecondition  the folder is not empty
//   DataLoss            a blob that an experiment names is missing or corrupt
absl::StatusOr<BackupSummary> MakeBackup(const BackupOptions& options);

// Checks every file of the backup, then fills `data_dir`, which must be absent or empty, and begins
// a new epoch (coordinator/restore.h). With `shared_events`, which must be empty, the events go
// there. Until all is done the directory says that it is half restored, and no server opens it.
//   FailedPrecondition  data_dir or the event log is not empty; the backup is of a newer format
//   DataLoss            the backup lacks a file, or one is not what was written
absl::StatusOr<BackupSummary> RestoreBackup(const BackupOptions& options);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_BACKUP_H_

// manifest.json of a backup (docs/operations.md): what is in it, by SHA-256. Written last, so that
// a folder without one is no backup.
#ifndef JENNER_SERVER_STORE_BACKUP_MANIFEST_H_
#define JENNER_SERVER_STORE_BACKUP_MANIFEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jenner::store {

inline constexpr char kManifestName[] = "manifest.json";
inline constexpr int32_t kBackupFormat = 1;

struct BackupFile {
  std::string path;  // below the backup's folder
  std::string sha256;
  int64_t size_bytes = 0;
};

struct BackupManifest {
  int32_t format = kBackupFormat;
  std::string version;  // of the program that made it
  std::string created;  // RFC 3339, UTC
  std::string log_id;   // of an event log in PostgreSQL; "": it was events.db
  int64_t events = 0;
  std::vector<BackupFile> files;
};

// FailedPrecondition: there is none, or its format is a newer one. DataLoss: it is not what was
// written. The message names the file.
absl::StatusOr<BackupManifest> ReadManifest(const std::string& folder);
// Durable when OK.
absl::Status WriteManifest(const std::string& folder, const BackupManifest& manifest);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_BACKUP_MANIFEST_H_

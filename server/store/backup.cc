#include "server/store/backup.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "core/status.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/named_blobs.h"
#include "server/store/audit_log.h"
#include "server/store/backup_manifest.h"
#include "server/store/blob_store.h"
#include "server/store/data_dir.h"
#include "server/store/event_codec.h"
#include "server/store/event_copy.h"
#include "server/store/file_digest.h"
#include "server/store/metric_store.h"
#include "server/store/sqlite_event_log.h"

namespace jenner::store {
namespace {

// Blobs may go while they are copied, with what named them: then the events are looked at again.
constexpr int kMaxRounds = 100;

absl::Status MakeEmptyFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const bool is_empty = std::filesystem::is_empty(folder, error);
  if (error) return absl::FailedPreconditionError(folder + ": " + error.message());
  if (is_empty) return absl::OkStatus();
  return absl::FailedPreconditionError(folder +
                                       " is not empty: a backup needs a folder of its own");
}

class Maker {
 public:
  explicit Maker(const BackupOptions& options) : options_(options) {
    manifest_.version = options.version;
    manifest_.created = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", options.now, absl::UTCTimeZone());
  }

  absl::Status Make() {
    RETURN_IF_ERROR(OpenEvents());
    ASSIGN_OR_RETURN(blobs_, BlobStore::Open(In("blobs")));
    RETURN_IF_ERROR(CopyEventsAndBlobs());
    // After the events: what they say has ended has all its rows.
    RETURN_IF_ERROR(MetricStore::Copy(Of("metrics.db"), In("metrics.db")));
    RETURN_IF_ERROR(Add("events.db"));
    RETURN_IF_ERROR(Add("metrics.db"));
    RETURN_IF_ERROR(CopyIfThere("tokens.json"));
    RETURN_IF_ERROR(CopyIfThere("audit.jsonl"));
    for (int i = 1; i <= kMaxAuditFiles; ++i) {
      RETURN_IF_ERROR(CopyIfThere(absl::StrFormat("audit.jsonl.%d", i)));
    }
    RETURN_IF_ERROR(CopyMarkers());
    RETURN_IF_ERROR(SyncFolder(options_.folder));
    return WriteManifest(options_.folder, manifest_);
  }

  BackupSummary summary() const {
    BackupSummary summary{manifest_.events, static_cast<int64_t>(state_.experiments.size())};
    for (const auto& [sha256, size_bytes] : copied_) {
      ++summary.blobs;
      summary.blob_bytes += size_bytes;
    }
    return summary;
  }

 private:
  std::string Of(const std::string& name) const { return options_.data_dir + "/" + name; }
  std::string In(const std::string& name) const { return options_.folder + "/" + name; }

  absl::Status OpenEvents() {
    if (options_.shared_events == nullptr) {
      ASSIGN_OR_RETURN(own_events_, SqliteEventLog::OpenToRead(Of("events.db")));
      return absl::OkStatus();
    }
    manifest_.log_id = options_.shared_events->id();
    return absl::OkStatus();
  }

  // Until every blob that the copied events name is there.
  absl::Status CopyEventsAndBlobs() {
    EventLog& from =
        own_events_ == nullptr ? static_cast<EventLog&>(*options_.shared_events) : *own_events_;
    ASSIGN_OR_RETURN(const std::unique_ptr<SqliteEventLog> to,
                     SqliteEventLog::Open(In("events.db")));
    int64_t next = 1;
    for (int round = 0; round < kMaxRounds; ++round) {
      const int64_t before = next;
      ASSIGN_OR_RETURN(next, CopyEvents(from, next, *to, &state_));
      const absl::Status copied = CopyBlobs();
      manifest_.events = next - 1;
      if (!absl::IsNotFound(copied)) return copied;
      if (next == before) return absl::DataLossError(std::string(copied.message()));
    }
    return absl::UnavailableError("experiments change too fast for a backup; try again");
  }

  absl::Status CopyBlobs() {
    absl::Status missing;
    for (const auto& [sha256, experiment] : coordinator::NamedBlobs(state_)) {
      if (copied_.count(sha256) > 0) continue;
      const std::string path = Of("blobs/" + BlobStore::NameOf(sha256));
      const absl::Status imported = blobs_->Import(path, sha256);
      if (absl::IsNotFound(imported)) {
        missing = absl::NotFoundError(
            absl::StrFormat("%s is missing, which experiment \"%s\" names", path, experiment));
        continue;
      }
      if (!imported.ok()) {
        return Annotate(imported, absl::StrFormat("a blob of experiment \"%s\"", experiment));
      }
      std::error_code error;
      copied_[sha256] =
          static_cast<int64_t>(std::filesystem::file_size(blobs_->PathOf(sha256), error));
    }
    return missing;
  }

  absl::Status Add(const std::string& name) {
    ASSIGN_OR_RETURN(const FileDigest digest, SyncAndDigest(In(name)));
    manifest_.files.push_back({name, digest.sha256, digest.size_bytes});
    return absl::OkStatus();
  }

  absl::Status CopyIfThere(const std::string& name) {
    const absl::StatusOr<FileDigest> digest = CopyFile(Of(name), In(name));
    if (absl::IsNotFound(digest.status())) {
      unlink(In(name).c_str());
      return absl::OkStatus();
    }
    if (!digest.ok()) return digest.status();
    manifest_.files.push_back({name, digest->sha256, digest->size_bytes});
    return absl::OkStatus();
  }

  // Which blobs are datasets, and what for.
  absl::Status CopyMarkers() {
    if (mkdir(In("blobs/datasets").c_str(), 0700) != 0) {
      return FileError(errno, In("blobs/datasets"));
    }
    for (const auto& [sha256, size_bytes] : copied_) {
      const std::string blob = "blobs/" + BlobStore::NameOf(sha256);
      manifest_.files.push_back({blob, sha256, size_bytes});
      for (const char* use : {".training", ".evaluation"}) {
        RETURN_IF_ERROR(CopyIfThere("blobs/datasets/" + sha256 + use));
      }
    }
    return SyncFolder(In("blobs/datasets"));
  }

  // A file that SQLite has made and is done with: made durable, too.
  static absl::StatusOr<FileDigest> SyncAndDigest(const std::string& path) {
    RETURN_IF_ERROR(SyncFile(path));
    return DigestOf(path);
  }

  const BackupOptions& options_;
  std::unique_ptr<SqliteEventLog> own_events_;
  std::unique_ptr<BlobStore> blobs_;
  coordinator::State state_;
  std::map<std::string, int64_t> copied_;  // blobs and their sizes
  BackupManifest manifest_;
};

}  // namespace

absl::StatusOr<BackupSummary> MakeBackup(const BackupOptions& options) {
  RETURN_IF_ERROR(MakeEmptyFolder(options.folder));
  Maker maker(options);
  const absl::Status made = maker.Make();
  if (made.ok()) return maker.summary();
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(options.folder, ignored)) {
    std::filesystem::remove_all(entry.path(), ignored);
  }
  return made;
}

}  // namespace jenner::store

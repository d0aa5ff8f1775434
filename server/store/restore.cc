#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/status.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/named_blobs.h"
#include "server/coordinator/restore.h"
#include "server/store/backup.h"
#include "server/store/backup_manifest.h"
#include "server/store/blob_store.h"
#include "server/store/data_dir.h"
#include "server/store/event_codec.h"
#include "server/store/event_copy.h"
#include "server/store/file_digest.h"
#include "server/store/sqlite_event_log.h"

namespace jenner::store {
namespace {

constexpr char kEvents[] = "events.db";
constexpr char kBlobs[] = "blobs/";
constexpr char kMarkers[] = "blobs/datasets/";

bool BeginsWith(const std::string& text, const std::string& prefix) {
  return text.rfind(prefix, 0) == 0;
}

bool IsBlob(const std::string& path) {
  return BeginsWith(path, kBlobs) && !BeginsWith(path, kMarkers);
}

absl::Status CheckFile(const std::string& folder, const BackupFile& file) {
  const std::string path = folder + "/" + file.path;
  const absl::StatusOr<FileDigest> digest = DigestOf(path);
  if (absl::IsNotFound(digest.status())) {
    return absl::DataLossError(path + " is missing: the backup is not whole");
  }
  if (!digest.ok()) return digest.status();
  if (digest->size_bytes != file.size_bytes) {
    return absl::DataLossError(absl::StrFormat("%s has %d bytes, %d were written", path,
                                               digest->size_bytes, file.size_bytes));
  }
  if (digest->sha256 == file.sha256) return absl::OkStatus();
  return absl::DataLossError(path + " is corrupt: its bytes have another hash");
}

absl::Status CheckEmpty(const std::string& data_dir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir, error)) {
    if (entry.path().filename() == "lost+found") continue;  // of a file system of its own
    return absl::FailedPreconditionError(absl::StrFormat(
        "data directory %s is not empty: it has %s", data_dir, entry.path().filename().string()));
  }
  return absl::OkStatus();  // what is absent or cannot be read is found when it is opened
}

absl::Status CheckEmpty(PostgresEventLog& log) {
  ASSIGN_OR_RETURN(const std::vector<StoredEvent> first, log.ReadFrom(1, 1));
  if (first.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the event log is not empty: a restore needs a database without the schema \"jenner\"");
}

// All but the events.
absl::Status CopyFiles(const BackupOptions& options, const BackupManifest& manifest) {
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobStore> blobs,
                   BlobStore::Open(options.data_dir + "/blobs"));
  std::error_code error;
  std::filesystem::create_directory(options.data_dir + "/" + kMarkers, error);
  for (const BackupFile& file : manifest.files) {
    const std::string from = options.folder + "/" + file.path;
    if (IsBlob(file.path)) {
      RETURN_IF_ERROR(blobs->Import(from, file.sha256));
      continue;
    }
    ASSIGN_OR_RETURN(const FileDigest digest, CopyFile(from, options.data_dir + "/" + file.path));
    if (digest.sha256 != file.sha256) return absl::DataLossError(from + " changed meanwhile");
  }
  RETURN_IF_ERROR(SyncFolder(options.data_dir + "/" + kMarkers));
  return SyncFolder(options.data_dir);
}

absl::Status CheckBlobs(const BackupManifest& manifest, const coordinator::State& state) {
  std::set<std::string> known;
  for (const BackupFile& file : manifest.files) {
    if (IsBlob(file.path)) known.insert(file.sha256);
  }
  for (const auto& [sha256, experiment] : coordinator::NamedBlobs(state)) {
    if (known.count(sha256) > 0) continue;
    return absl::DataLossError(absl::StrFormat(
        "blob %s, which experiment \"%s\" names, is not in the backup", sha256, experiment));
  }
  return absl::OkStatus();
}

// Appends what a restored log begins with. Returns the number of jobs that wait again.
absl::StatusOr<int64_t> BeginEpoch(const coordinator::State& state, absl::Time now, EventLog& log) {
  ASSIGN_OR_RETURN(const std::vector<coordinator::Event> events, coordinator::Restore(state, now));
  std::vector<NewEvent> batch;
  for (const coordinator::Event& event : events) {
    batch.push_back({event.time, EncodeEvent(event)});
  }
  RETURN_IF_ERROR(log.Append(batch));
  return static_cast<int64_t>(events.size()) - 1;
}

// The events of the copy in `data_dir` move to the shared log.
absl::StatusOr<int64_t> MoveEvents(const std::string& path, PostgresEventLog& log,
                                   const coordinator::State& state, absl::Time now) {
  ASSIGN_OR_RETURN(const bool leads, log.TryLead());
  if (!leads) {
    return absl::FailedPreconditionError("the event log has a leader: " + log.leader().holder);
  }
  int64_t requeued = 0;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<SqliteEventLog> from, SqliteEventLog::Open(path));
    coordinator::State again;
    RETURN_IF_ERROR(CopyEvents(*from, 1, log, &again).status());
    ASSIGN_OR_RETURN(requeued, BeginEpoch(state, now, log));
  }
  log.Resign();
  unlink(path.c_str());
  return requeued;
}

}  // namespace

absl::StatusOr<BackupSummary> RestoreBackup(const BackupOptions& options) {
  ASSIGN_OR_RETURN(const BackupManifest manifest, ReadManifest(options.folder));
  RETURN_IF_ERROR(CheckEmpty(options.data_dir));
  PostgresEventLog* const shared = options.shared_events;
  if (shared != nullptr) RETURN_IF_ERROR(CheckEmpty(*shared));
  for (const BackupFile& file : manifest.files) {
    RETURN_IF_ERROR(CheckFile(options.folder, file));
  }

  ASSIGN_OR_RETURN(const DataDir dir, DataDir::Open(options.data_dir));
  RETURN_IF_ERROR(dir.BeginRestore());
  RETURN_IF_ERROR(CopyFiles(options, manifest));
  BackupSummary summary;
  coordinator::State state;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<SqliteEventLog> events,
                     SqliteEventLog::Open(dir.EventsPath()));
    RETURN_IF_ERROR(
        ForEachEvent(*events, 1, [&](const StoredEvent&, const coordinator::Event& event) {
          coordinator::Apply(event, &state);
          return absl::OkStatus();
        }).status());
    if (events->LastSeq() != manifest.events) {
      return absl::DataLossError(absl::StrFormat("%s/%s has %d events, %d were written",
                                                 options.folder, kEvents, events->LastSeq(),
                                                 manifest.events));
    }
    RETURN_IF_ERROR(CheckBlobs(manifest, state));
    if (shared == nullptr) {
      ASSIGN_OR_RETURN(summary.requeued, BeginEpoch(state, options.now, *events));
    }
  }
  if (shared != nullptr) {
    ASSIGN_OR_RETURN(summary.requeued, MoveEvents(dir.EventsPath(), *shared, state, options.now));
    RETURN_IF_ERROR(dir.BindToSharedLog(shared->id(), /*is_new=*/true));
  }
  RETURN_IF_ERROR(dir.EndRestore());
  summary.events = manifest.events;
  summary.experiments = static_cast<int64_t>(state.experiments.size());
  for (const BackupFile& file : manifest.files) {
    if (!IsBlob(file.path)) continue;
    ++summary.blobs;
    summary.blob_bytes += file.size_bytes;
  }
  return summary;
}

}  // namespace jenner::store

#include "server/store/backup_manifest.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_format.h"
#include "core/json_fields.h"
#include "core/names.h"
#include "core/sha256.h"
#include "core/status.h"
#include "server/store/durable_file.h"

namespace jenner::store {
namespace {

constexpr size_t kMaxManifestBytes = size_t{1} << 30;  // some six million files

}  // namespace

template <typename V>
void VisitFields(V& visit, BackupFile& file) {
  visit("path", file.path);
  visit("sha256", file.sha256);
  visit("size_bytes", file.size_bytes);
}

template <typename V>
void VisitFields(V& visit, BackupManifest& manifest) {
  visit("format", manifest.format);
  visit("version", manifest.version);
  visit("created", manifest.created);
  visit("log_id", manifest.log_id);
  visit("events", manifest.events);
  visit("files", manifest.files);
}

absl::StatusOr<BackupManifest> ReadManifest(const std::string& folder) {
  const std::string path = folder + "/" + kManifestName;
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s cannot be read: %s; a folder without it is no whole backup", path,
                        std::strerror(errno)));
  }
  core::Faults faults;
  BackupManifest manifest;
  const std::optional<core::Json> json = core::ParseJson(text.str(), &faults, kMaxManifestBytes);
  // First, as a newer one may have other fields.
  int32_t format = 0;
  if (json && json->is_object() && json->contains("format")) {
    core::ReadValue((*json)["format"], "format", &format, &faults);
  }
  if (format > kBackupFormat) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: backup of format %d; this program reads format %d; a newer program wrote it, and is "
        "needed to read it",
        path, format, kBackupFormat));
  }
  if (json) core::ReadValue(*json, "", &manifest, &faults);
  if (faults.empty() && format < 1) faults.push_back({"format", "expected 1 or more"});
  for (const BackupFile& one : manifest.files) {
    const bool is_good =
        core::IsPathBelow(one.path) && core::IsSha256Hex(one.sha256) && one.size_bytes >= 0;
    if (!is_good)
      faults.push_back({"files", "expected a relative path, a SHA-256 and a size each"});
  }
  if (faults.empty()) return manifest;
  return absl::DataLossError(path + ": " + std::string(core::ToStatus(faults).message()));
}

absl::Status WriteManifest(const std::string& folder, const BackupManifest& manifest) {
  return WriteDurably(folder + "/" + kManifestName, core::WriteValue(manifest).dump(1) + "\n");
}

}  // namespace jenner::store

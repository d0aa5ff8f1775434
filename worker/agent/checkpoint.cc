#include "worker/agent/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/names.h"
#include "core/sha256.h"
#include "core/status.h"
#include "worker/agent/files.h"

namespace jenner::agent {
namespace {

using nlohmann::json;

constexpr char kManifest[] = "manifest.json";
constexpr int64_t kPartBytes = int64_t{1} << 20;  // read at once
constexpr int64_t kMaxManifestBytes = int64_t{1} << 20;

std::string StepFolder(const std::string& out, int64_t step) {
  return absl::StrCat(out, "/checkpoints/step-", step);
}

std::string Parent(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

absl::Status CheckFiles(const FileReports& files, const char* what) {
  for (const v1::ArtifactReport& file : files) {
    if (core::IsPathBelow(file.path()) && core::IsSha256Hex(file.sha256()) &&
        file.size_bytes() >= 0) {
      continue;
    }
    return absl::DataLossError(absl::StrCat(what, " with the file ", file.path()));
  }
  return absl::OkStatus();
}

bool HasBytesOf(const v1::ArtifactReport& file, const std::string& path) {
  if (FileSize(path) != file.size_bytes()) return false;
  core::Sha256 hash;
  for (int64_t at = 0; at < file.size_bytes();) {
    const absl::StatusOr<std::string> part = ReadPart(path, at, kPartBytes);
    if (!part.ok() || part->empty()) return false;
    hash.Update(*part);
    at += static_cast<int64_t>(part->size());
  }
  return hash.FinishHex() == file.sha256();
}

int64_t NewestCheckpoint(const std::string& out) {
  int64_t newest = 0;
  for (const std::string& name : ListFolder(out + "/checkpoints")) {
    absl::string_view digits = name;
    int64_t step = 0;
    if (!absl::ConsumePrefix(&digits, "step-") || !absl::SimpleAtoi(digits, &step)) continue;
    if (FileSize(StepFolder(out, step) + "/" + kManifest) >= 0) newest = std::max(newest, step);
  }
  return newest;
}

absl::StatusOr<v1::Checkpoint> ReadCheckpoint(const std::string& folder, int32_t step) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadSmallFile(folder + "/" + kManifest, kMaxManifestBytes));
  v1::Checkpoint checkpoint;
  checkpoint.set_step(step);
  const json manifest = json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    for (const json& file : manifest.at("files")) {
      v1::ArtifactReport* one = checkpoint.add_files();
      one->set_path(file.at("name").get<std::string>());
      one->set_sha256(file.at("sha256").get<std::string>());
      one->set_size_bytes(file.at("bytes").get<int64_t>());
    }
  } catch (const json::exception& error) {
    return absl::DataLossError(absl::StrCat(folder, "/", kManifest, ": ", error.what()));
  }
  v1::ArtifactReport* last = checkpoint.add_files();
  last->set_path(kManifest);
  last->set_sha256(core::Sha256Hex(text));
  last->set_size_bytes(static_cast<int64_t>(text.size()));
  RETURN_IF_ERROR(CheckCheckpoint(checkpoint));
  return checkpoint;
}

absl::Status CheckCheckpoint(const v1::Checkpoint& checkpoint) {
  if (checkpoint.files_size() > kMaxCheckpointFiles) {
    return absl::DataLossError(absl::StrCat("a checkpoint of ", checkpoint.files_size(),
                                            " files; at most ", kMaxCheckpointFiles));
  }
  RETURN_IF_ERROR(CheckFiles(checkpoint.files(), "a checkpoint"));
  bool has_manifest = false;
  for (const v1::ArtifactReport& file : checkpoint.files()) {
    has_manifest = has_manifest || file.path() == kManifest;
  }
  if (!has_manifest) return absl::DataLossError("a checkpoint without a manifest");
  return absl::OkStatus();
}

int64_t SizeBytes(const v1::Checkpoint& checkpoint) {
  int64_t sum = 0;
  for (const v1::ArtifactReport& file : checkpoint.files()) sum += file.size_bytes();
  return sum;
}

absl::Status LinkCheckpoint(const v1::Checkpoint& checkpoint, const std::string& folder,
                            const std::string& copy) {
  RETURN_IF_ERROR(RemoveTree(copy));
  for (const v1::ArtifactReport& file : checkpoint.files()) {
    const std::string to = absl::StrCat(copy, "/", file.path());
    RETURN_IF_ERROR(MakeFolders(Parent(to)));
    if (link(absl::StrCat(folder, "/", file.path()).c_str(), to.c_str()) != 0) {
      return ErrnoStatus("link to", to);
    }
  }
  return absl::OkStatus();
}

std::string IncomingFolder(const std::string& out) { return out + "/checkpoints/incoming"; }

absl::Status PlaceIncoming(const std::string& out, int32_t step) {
  const std::string incoming = IncomingFolder(out);
  const std::string target = StepFolder(out, step);
  RETURN_IF_ERROR(SyncFolder(incoming));
  // One without a manifest, or NewestCheckpoint would have found it.
  RETURN_IF_ERROR(RemoveTree(target));
  if (rename(incoming.c_str(), target.c_str()) != 0) return ErrnoStatus("rename to", target);
  RETURN_IF_ERROR(SyncFolder(Parent(target)));
  return SyncFolder(out);
}

}  // namespace jenner::agent

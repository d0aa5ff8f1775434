#include "server/store/dataset_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::Status MakeMarker(const std::string& dir, const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const int folder = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool done = fd >= 0 && folder >= 0 && fsync(fd) == 0 && fsync(folder) == 0;
  const int code = errno;
  if (fd >= 0) close(fd);
  if (folder >= 0) close(folder);
  if (done) return absl::OkStatus();
  return absl::InternalError(absl::StrFormat("%s: %s", path, std::strerror(code)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DatasetStore>> DatasetStore::Open(const std::string& dir,
                                                                 const BlobStore& blobs) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s cannot be made: %s", dir, std::strerror(errno)));
  }
  return std::unique_ptr<DatasetStore>(new DatasetStore(dir, blobs));
}

absl::Status DatasetStore::Add(std::unique_ptr<BlobWriter> writer, const std::string& sha256,
                               core::DatasetUse use) {
  RETURN_IF_ERROR(writer->Verify());
  {
    std::ifstream file(writer->TemporaryPath(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    if (file.bad()) return absl::InternalError(writer->TemporaryPath() + " cannot be read back");
    RETURN_IF_ERROR(core::ParseDataset(text, use).status());
  }
  RETURN_IF_ERROR(writer->Commit());
  return MakeMarker(dir_, Marker(sha256, use));
}

absl::StatusOr<DatasetInfo> DatasetStore::Find(const std::string& sha256) const {
  DatasetInfo info;
  const absl::StatusOr<int64_t> size = blobs_.SizeBytes(sha256);
  if (absl::IsNotFound(size.status())) return absl::NotFoundError("no dataset " + sha256);
  if (!size.ok()) return size.status();
  info.size_bytes = *size;
  blobs_.Touch(sha256);
  info.for_training = Exists(Marker(sha256, core::DatasetUse::kTraining));
  info.for_evaluation = Exists(Marker(sha256, core::DatasetUse::kEvaluation));
  if (!info.for_training && !info.for_evaluation) {
    return absl::NotFoundError("no dataset " + sha256);
  }
  return info;
}

void DatasetStore::Forget(const std::string& sha256) const {
  for (const core::DatasetUse use : {core::DatasetUse::kTraining, core::DatasetUse::kEvaluation}) {
    unlink(Marker(sha256, use).c_str());
  }
}

std::string DatasetStore::Marker(const std::string& sha256, core::DatasetUse use) const {
  return dir_ + "/" + sha256 + (use == core::DatasetUse::kTraining ? ".training" : ".evaluation");
}

}  // namespace jenner::store

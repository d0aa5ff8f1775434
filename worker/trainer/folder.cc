#include "worker/trainer/folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kManifest[] = "manifest.json";
constexpr int kManifestVersion = 1;
constexpr uint64_t kMaxManifestBytes = uint64_t{16} << 20;
constexpr size_t kReadBytes = size_t{1} << 20;

// Runs filesystem code, whose exceptions become kStorage.
template <typename Call>
auto Guarded(const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const fs::filesystem_error& error) {
    ThrowErrno(error.code().value(), "file system:", error.path1().string());
  }
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : path_(path), fd_(open(path.c_str(), flags | O_CLOEXEC)) {
    if (fd_ < 0) ThrowErrno(errno, "open", path);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void Sync() const {
    if (fsync(fd_) != 0) ThrowErrno(errno, "fsync", path_);
  }
  int get() const { return fd_; }

 private:
  std::string path_;
  int fd_;
};

// Size and hash as the file system gives them back.
FileEntry Measure(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  const Descriptor file(path, O_RDONLY);
  FileEntry entry{name, 0, ""};
  core::Sha256 hash;
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno(errno, "read", path);
    if (count == 0) break;
    hash.Update(std::string_view(buffer).substr(0, static_cast<size_t>(count)));
    entry.bytes += count;
  }
  entry.sha256 = hash.FinishHex();
  return entry;
}

// Names of the regular files below `folder`, manifest left out, sorted.
std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = fs::relative(entry.path(), folder).generic_string();
    if (name != kManifest) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void SyncBelow(const std::string& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    Descriptor(entry.path().string(), O_RDONLY).Sync();
  }
  Descriptor(folder, O_RDONLY | O_DIRECTORY).Sync();
}

std::vector<FileEntry> ReadManifest(const std::string& path) {
  const std::string text = ValueOrThrow(
      model::ReadTextFile(path + "/" + kManifest, kMaxManifestBytes), core::ExitCode::kStorage);
  const json manifest = json::parse(text);
  if (manifest.at("version") != kManifestVersion) throw std::runtime_error("unknown version");
  std::vector<FileEntry> files;
  for (const json& file : manifest.at("files")) {
    files.push_back({file.at("name"), file.at("bytes"), file.at("sha256")});
  }
  return files;
}

}  // namespace

std::vector<FileEntry> WriteFolder(const std::string& path,
                                   const std::function<void(const std::string& folder)>& fill) {
  const fs::path target(path);
  const std::string parent = target.parent_path().string();
  const std::string temporary = parent + "/tmp-" + target.filename().string();
  MakeFolders(parent);
  RemoveTree(temporary);
  MakeFolders(temporary);
  fill(temporary);
  std::vector<FileEntry> files;
  json listed = json::array();
  for (const std::string& name : Guarded([&] { return FilesBelow(temporary); })) {
    files.push_back(Measure(temporary, name));
    listed.push_back(
        {{"name", name}, {"bytes", files.back().bytes}, {"sha256", files.back().sha256}});
  }
  const json manifest = {{"version", kManifestVersion}, {"files", listed}};
  ThrowIfError(model::WriteTextFile(temporary + "/" + kManifest, manifest.dump(1) + "\n"),
               core::ExitCode::kStorage);
  Guarded([&] { SyncBelow(temporary); });
  // An exchange, so that there is no moment without either.
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
    if (errno != ENOENT) ThrowErrno(errno, "rename to", path);
    if (rename(temporary.c_str(), path.c_str()) != 0) ThrowErrno(errno, "rename to", path);
  }
  Descriptor(parent, O_RDONLY | O_DIRECTORY).Sync();
  RemoveTree(temporary);
  if (const std::string fault = CheckFolder(path); !fault.empty()) {
    throw Failure(core::ExitCode::kStorage, path + " reads back differently: " + fault);
  }
  return files;
}

std::string CheckFolder(const std::string& path) {
  try {
    const std::vector<FileEntry> listed = ReadManifest(path);
    const std::vector<std::string> names = FilesBelow(path);
    if (names.size() != listed.size()) {
      return absl::StrFormat("manifest.json names %d files, %d are there", listed.size(),
                             names.size());
    }
    for (const FileEntry& file : listed) {
      if (!std::binary_search(names.begin(), names.end(), file.name)) {
        return file.name + " is missing";
      }
      const FileEntry found = Measure(path, file.name);
      if (found.bytes != file.bytes) {
        return absl::StrFormat("%s has %d bytes, expected %d", file.name, found.bytes, file.bytes);
      }
      if (found.sha256 != file.sha256) return file.name + " has another SHA-256";
    }
    return "";
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return std::string(kManifest) + ": " + error.what();
  }
}

void MakeFolders(const std::string& path) {
  Guarded([&] { fs::create_directories(path); });
}

std::vector<std::string> ListFolder(const std::string& path) {
  return Guarded([&] {
    std::vector<std::string> names;
    if (fs::is_directory(path)) {
      for (const auto& entry : fs::directory_iterator(path)) {
        names.push_back(entry.path().filename().string());
      }
    }
    std::sort(names.begin(), names.end());
    return names;
  });
}

void RemoveTree(const std::string& path) {
  Guarded([&] { fs::remove_all(path); });
}

}  // namespace jenner::trainer

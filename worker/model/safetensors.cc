#include "worker/model/safetensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::model {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::Status ErrnoStatus(const std::string& path) {
  const std::string text = path + ": " + std::strerror(errno);
  if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError(text);
  if (errno == ENOSPC || errno == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

absl::Status ReadAt(const File& file, const std::string& path, uint64_t offset, char* out,
                    uint64_t size) {
  while (size > 0) {
    const ssize_t got = pread(file.fd(), out, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(path);
    if (got == 0)
      return absl::DataLossError(absl::StrFormat("%s: truncated at byte %d", path, offset));
    out += got;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

absl::Status WriteAll(const File& file, const std::string& path, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = write(file.fd(), at, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return ErrnoStatus(path);
    at += put;
    size -= static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

// Writes the pieces to path.tmp, then makes them durable under `path`.
absl::Status WriteDurably(const std::string& path,
                          const std::vector<std::pair<const void*, size_t>>& pieces) {
  const std::string part = path + ".tmp";
  {
    const File file(open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.fd() < 0) return ErrnoStatus(part);
    for (const auto& [data, size] : pieces) RETURN_IF_ERROR(WriteAll(file, part, data, size));
    if (fsync(file.fd()) != 0) return ErrnoStatus(part);
  }
  if (rename(part.c_str(), path.c_str()) != 0) return ErrnoStatus(path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const File parent(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent.fd() < 0 || fsync(parent.fd()) != 0) return ErrnoStatus(folder);
  return absl::OkStatus();
}

std::optional<at::ScalarType> ScalarType(const std::string& dtype) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "BF16") return at::kBFloat16;
  if (dtype == "F16") return at::kHalf;
  return std::nullopt;
}

bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name[0] != '.';
}

}  // namespace

absl::StatusOr<std::map<std::string, at::Tensor>> ReadSafetensors(
    const std::string& path, std::map<std::string, std::string>* metadata) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return ErrnoStatus(path);
  struct stat status {};
  if (fstat(file.fd(), &status) != 0) return ErrnoStatus(path);
  if (!S_ISREG(status.st_mode)) return absl::DataLossError(path + ": not a regular file");
  const uint64_t size = static_cast<uint64_t>(status.st_size);
  std::string prefix(std::min<uint64_t>(size, 8), '\0');
  RETURN_IF_ERROR(ReadAt(file, path, 0, prefix.data(), prefix.size()));
  if (prefix.size() == 8) {
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
      length = length << 8 | static_cast<unsigned char>(prefix[static_cast<size_t>(i)]);
    if (length <= kMaxSafetensorsHeader && length <= size - 8) {
      prefix.resize(8 + length);
      RETURN_IF_ERROR(ReadAt(file, path, 8, prefix.data() + 8, length));
    }
  }
  ASSIGN_OR_RETURN(const SafetensorsHeader header, ParseSafetensorsHeader(prefix, size, path));
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, entry] : header.entries) {
    at::Tensor tensor = at::empty(entry.shape, *ScalarType(entry.dtype));
    RETURN_IF_ERROR(ReadAt(file, path, header.data_begin + entry.begin,
                           static_cast<char*>(tensor.mutable_data_ptr()), entry.end - entry.begin));
    tensors[name] = std::move(tensor);
  }
  if (metadata != nullptr) *metadata = header.metadata;
  return tensors;
}

absl::StatusOr<std::map<std::string, at::Tensor>> ReadSafetensorsFolder(
    const std::string& model_dir) {
  const std::string index_path = model_dir + "/model.safetensors.index.json";
  if (!std::filesystem::exists(index_path))
    return ReadSafetensors(model_dir + "/model.safetensors");
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(index_path, kMaxIndexBytes));
  const json index = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return absl::DataLossError(index_path + ": expected an object with weight_map");
  }
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || !IsPlainFileName(shard.get<std::string>())) {
      return absl::DataLossError(index_path + ": \"" + name + "\": expected a plain file name");
    }
    shards[shard.get<std::string>()].insert(name);
  }
  if (shards.size() > kMaxShards) return absl::DataLossError(index_path + ": too many shards");
  std::map<std::string, at::Tensor> all;
  for (const auto& [shard, names] : shards) {
    ASSIGN_OR_RETURN(auto tensors, ReadSafetensors(model_dir + "/" + shard));
    for (auto& [name, tensor] : tensors) {
      if (names.count(name) == 0)
        return absl::DataLossError(model_dir + "/" + shard + ": \"" + name +
                                   "\" is not in the index");
      all[name] = std::move(tensor);
    }
    for (const std::string& name : names) {
      if (all.count(name) == 0)
        return absl::DataLossError(model_dir + "/" + shard + ": \"" + name + "\" is missing");
    }
  }
  return all;
}

absl::Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::map<std::string, at::Tensor> sorted;
  for (const NamedTensor& one : tensors) {
    if (!sorted.emplace(one.name, one.tensor.detach().cpu().contiguous()).second) {
      return absl::InvalidArgumentError(path + ": tensor \"" + one.name + "\" is given twice");
    }
  }
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t at = 0;
  std::vector<std::pair<const void*, size_t>> pieces(2);
  for (const auto& [name, tensor] : sorted) {
    const at::ScalarType type = tensor.scalar_type();
    if (type != at::kFloat && type != at::kBFloat16 && type != at::kHalf) {
      return absl::InvalidArgumentError(path + ": tensor \"" + name + "\": dtype is not written");
    }
    const uint64_t end = at + tensor.nbytes();
    header[name] = {{"dtype", type == at::kFloat      ? "F32"
                              : type == at::kBFloat16 ? "BF16"
                                                      : "F16"},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {at, end}}};
    pieces.emplace_back(tensor.const_data_ptr(), tensor.nbytes());
    at = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts aligned, as the reference writes it
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  pieces[0] = {length.data(), length.size()};
  pieces[1] = {text.data(), text.size()};
  return WriteDurably(path, pieces);
}

absl::Status WriteTextFile(const std::string& path, const std::string& text) {
  return WriteDurably(path, {{text.data(), text.size()}});
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path, uint64_t max_bytes) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return ErrnoStatus(path);
  struct stat status {};
  if (fstat(file.fd(), &status) != 0) return ErrnoStatus(path);
  if (static_cast<uint64_t>(status.st_size) > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: %d bytes; at most %d", path, status.st_size, max_bytes));
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  RETURN_IF_ERROR(ReadAt(file, path, 0, text.data(), text.size()));
  return text;
}

}  // namespace jenner::model

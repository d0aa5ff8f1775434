// Reader and writer of the safetensors format, own and checked: a length is verified before it is
// used, offsets must cover the buffer without hole or overlap, names are unique. Data is copied
// into owned tensors, so that a file truncated under us cannot fault later. Format: u64
// little-endian header length, JSON header, data; https://github.com/huggingface/safetensors.
#ifndef JENNER_WORKER_MODEL_SAFETENSORS_H_
#define JENNER_WORKER_MODEL_SAFETENSORS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jenner::model {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // bytes; the reference's limit
inline constexpr size_t kMaxTensors = 100'000;                  // in a file
inline constexpr size_t kMaxTensorDims = 8;
inline constexpr size_t kMaxShards = 1000;

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

// One entry of a header, checked: end - begin == bytes of shape and dtype, offsets in the file's
// data.
struct TensorEntry {
  std::string dtype;  // "F32", "BF16" or "F16"
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes from the start of the data
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, TensorEntry> entries;
  std::map<std::string, std::string> metadata;
  uint64_t data_begin = 0;  // bytes from the start of the file
};

// `prefix` holds the first bytes of a file of `file_size` bytes, at least the header (less is
// reported as truncation). DataLoss: truncated, header length beyond the limit or the file, not
// JSON, duplicate keys, bad offsets, hole, overlap, data left over. InvalidArgument: a dtype or
// rank that this code does not read. Messages carry `file` and, where there is one, a byte offset.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& prefix,
                                                         uint64_t file_size,
                                                         const std::string& file);

// All tensors of one file by name, CPU, contiguous, in their stored dtype. NotFound, Unavailable
// (I/O) or as ParseSafetensorsHeader. `metadata` may be null.
absl::StatusOr<std::map<std::string, at::Tensor>> ReadSafetensors(
    const std::string& path, std::map<std::string, std::string>* metadata = nullptr);

// The tensors of a model folder: model.safetensors, or all shards that model.safetensors.index.json
// names (plain file names only; every tensor must be in the shard the index says, and none
// besides).
absl::StatusOr<std::map<std::string, at::Tensor>> ReadSafetensorsFolder(
    const std::string& model_dir);

// Writes `tensors` (float32, bfloat16 or float16, any layout, any device) sorted by name
// to `path`.tmp, fsyncs, renames and fsyncs the folder. InvalidArgument: duplicate names or other
// dtypes; ResourceExhausted: disk full; Unavailable: other I/O errors.
absl::Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                              const std::map<std::string, std::string>& metadata = {});

// The same durable write for a small text file (config.json and the like).
absl::Status WriteTextFile(const std::string& path, const std::string& text);
// NotFound, ResourceExhausted (more than `max_bytes`) or Unavailable.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, uint64_t max_bytes);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_SAFETENSORS_H_

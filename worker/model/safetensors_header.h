// The header of the safetensors format, own and checked: a length is verified before it is used,
// offsets must cover the data without hole or overlap, names are unique. Format: u64 little-endian
// header length, JSON header, data; https://github.com/huggingface/safetensors. Without libtorch.
#ifndef JENNER_WORKER_MODEL_SAFETENSORS_HEADER_H_
#define JENNER_WORKER_MODEL_SAFETENSORS_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::model {

inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;  // bytes; the reference's limit
inline constexpr size_t kMaxTensors = 100'000;                  // in a file
inline constexpr size_t kMaxTensorDims = 8;

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

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_SAFETENSORS_HEADER_H_

// Reader and writer of safetensors files. Data is copied into owned tensors, so that a file
// truncated under us cannot fault later. The format: safetensors_header.h.
#ifndef JENNER_WORKER_MODEL_SAFETENSORS_H_
#define JENNER_WORKER_MODEL_SAFETENSORS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/safetensors_header.h"

namespace jenner::model {

inline constexpr size_t kMaxShards = 1000;

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

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

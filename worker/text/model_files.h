// Reads the small files of a model folder (tokenizer.json, configs). Internal to worker/text: knows
// their size limits and turns every failure into a Status that names the file.
#ifndef JENNER_WORKER_TEXT_MODEL_FILES_H_
#define JENNER_WORKER_TEXT_MODEL_FILES_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace jenner::text {

inline constexpr size_t kMaxTokenizerBytes = size_t{128} << 20;  // the largest in use has 35 MB
inline constexpr size_t kMaxConfigBytes = size_t{16} << 20;

// The content of the file. NotFound: there is no such file. DataLoss: longer than `max_bytes` or
// not readable to its end.
absl::StatusOr<std::string> ReadModelFile(const std::string& path, size_t max_bytes);

// The JSON object in the file. NotFound as above; DataLoss also for what is not a JSON object.
absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path);

// As ReadJsonObject, but a missing file is an empty object.
absl::StatusOr<nlohmann::json> ReadOptionalJsonObject(const std::string& path);

// The text of a special token in `config`: a string, or an object with the text as "content"; ""
// if the key is absent or null.
std::string SpecialToken(const nlohmann::json& config, const std::string& key);

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_MODEL_FILES_H_

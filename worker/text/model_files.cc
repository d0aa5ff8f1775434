#include "worker/text/model_files.h"

#include <fstream>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::text {

absl::StatusOr<std::string> ReadModelFile(const std::string& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return absl::NotFoundError(absl::StrFormat("%s: cannot be opened", path));
  const std::streamoff size = file.tellg();
  if (size < 0 || static_cast<size_t>(size) > max_bytes) {
    return absl::DataLossError(
        absl::StrFormat("%s: %d bytes, expected at most %d", path, size, max_bytes));
  }
  std::string content(static_cast<size_t>(size), '\0');
  file.seekg(0);
  file.read(content.data(), size);
  if (file.gcount() != size) {
    return absl::DataLossError(
        absl::StrFormat("%s: read %d of %d bytes", path, file.gcount(), size));
  }
  return content;
}

absl::StatusOr<nlohmann::json> ReadJsonObject(const std::string& path) {
  ASSIGN_OR_RETURN(std::string content, ReadModelFile(path, kMaxConfigBytes));
  nlohmann::json parsed = nlohmann::json::parse(content, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return absl::DataLossError(absl::StrFormat("%s: not a JSON object", path));
  }
  return parsed;
}

absl::StatusOr<nlohmann::json> ReadOptionalJsonObject(const std::string& path) {
  absl::StatusOr<nlohmann::json> parsed = ReadJsonObject(path);
  if (absl::IsNotFound(parsed.status())) return nlohmann::json::object();
  return parsed;
}

std::string SpecialToken(const nlohmann::json& config, const std::string& key) {
  const auto token = config.find(key);
  if (token == config.end()) return "";
  if (token->is_string()) return token->get<std::string>();
  if (!token->is_object()) return "";
  const auto content = token->find("content");
  return content != token->end() && content->is_string() ? content->get<std::string>() : "";
}

}  // namespace jenner::text

#include "worker/model/model_folder.h"

#include <filesystem>
#include <system_error>

#include "core/status.h"

namespace jenner::model {
namespace {

constexpr const char* kCopied[] = {"tokenizer.json", "tokenizer_config.json",
                                   "special_tokens_map.json", "chat_template.jinja",
                                   "generation_config.json"};

}  // namespace

absl::Status WriteModelFolder(const Transformer& transformer, core::Dtype dtype,
                              const std::string& base_dir, const std::string& dir) {
  RETURN_IF_ERROR(transformer.Save(dir, dtype));
  for (const char* name : kCopied) {
    const std::string from = base_dir + "/" + name;
    std::error_code error;
    if (!std::filesystem::exists(from, error)) continue;
    std::filesystem::copy_file(from, dir + "/" + name,
                               std::filesystem::copy_options::overwrite_existing, error);
    if (error == std::errc::no_space_on_device)
      return absl::ResourceExhaustedError(dir + "/" + name + ": " + error.message());
    if (error) return absl::UnavailableError(dir + "/" + name + ": " + error.message());
  }
  return absl::OkStatus();
}

}  // namespace jenner::model

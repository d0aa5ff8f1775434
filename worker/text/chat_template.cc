#include "worker/text/chat_template.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "nlohmann/json.hpp"
#include "worker/text/ffi.h"
#include "worker/text/jenner_text.h"
#include "worker/text/model_files.h"

namespace jenner::text {
namespace {

constexpr const char* kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                          "pad_token", "cls_token", "mask_token"};

// The template inside tokenizer_config.json: a string, or a list of {"name", "template"}.
absl::StatusOr<std::string> TemplateOf(const nlohmann::json& config, const std::string& path) {
  const auto value = config.find("chat_template");
  if (value != config.end() && value->is_string()) return value->get<std::string>();
  if (value != config.end() && value->is_array()) {
    for (const nlohmann::json& item : *value) {
      if (item.is_object() && SpecialToken(item, "name") == "default" &&
          item.contains("template") && item["template"].is_string()) {
        return item["template"].get<std::string>();
      }
    }
  }
  return absl::NotFoundError(absl::StrFormat("%s: no chat_template", path));
}

}  // namespace

void ChatTemplate::Free::operator()(JennerTemplate* handle) const {
  jenner_text_template_free(handle);
}

absl::StatusOr<ChatTemplate> ChatTemplate::Load(const std::string& model_dir) {
  const std::string config_path = model_dir + "/tokenizer_config.json";
  ASSIGN_OR_RETURN(const nlohmann::json config, ReadJsonObject(config_path));
  std::string path = model_dir + "/chat_template.jinja";
  absl::StatusOr<std::string> source = ReadModelFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(source.status())) {
    path = config_path;
    source = TemplateOf(config, config_path);
  }
  RETURN_IF_ERROR(source.status());
  std::map<std::string, std::string> variables;
  for (const char* name : kSpecialTokens) {
    const std::string token = SpecialToken(config, name);
    if (!token.empty()) variables[name] = token;
  }
  absl::StatusOr<ChatTemplate> parsed = Parse(*source, variables);
  if (!parsed.ok()) return Annotate(parsed.status(), path);
  return parsed;
}

absl::StatusOr<ChatTemplate> ChatTemplate::Parse(
    const std::string& source, const std::map<std::string, std::string>& variables,
    int64_t time_unix_s) {
  for (const auto& [name, value] : variables) RETURN_IF_ERROR(CheckUtf8(value, name));
  JennerTemplate* handle = nullptr;
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_template_new(source.data(), source.size(), &handle, &error);
  RETURN_IF_ERROR(TakeStatus(code, error));
  ChatTemplate parsed;
  parsed.handle_.reset(handle);
  parsed.source_ = source;
  parsed.variables_ = variables;
  parsed.time_unix_s_ = time_unix_s;
  return parsed;
}

std::string ChatTemplate::bos_token() const {
  const auto found = variables_.find("bos_token");
  return found == variables_.end() ? "" : found->second;
}

absl::StatusOr<std::string> ChatTemplate::Render(const std::vector<core::Message>& messages,
                                                 bool add_generation_prompt) const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    const core::Message& message = messages[i];
    RETURN_IF_ERROR(CheckUtf8(message.role, absl::StrFormat("messages[%d].role", i)));
    RETURN_IF_ERROR(CheckUtf8(message.content, absl::StrFormat("messages[%d].content", i)));
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  nlohmann::ordered_json context = {{"messages", std::move(list)},
                                    {"tools", nullptr},
                                    {"documents", nullptr},
                                    {"add_generation_prompt", add_generation_prompt}};
  for (const auto& [name, value] : variables_) context[name] = value;
  const std::string json = context.dump();
  JennerTextBuffer text = {};
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_template_render(handle_.get(), json.data(), json.size(),
                                                   time_unix_s_, &text, &error);
  RETURN_IF_ERROR(Annotate(TakeStatus(code, error), "chat template"));
  return TakeBuffer(text);
}

}  // namespace jenner::text

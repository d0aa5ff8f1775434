// ChatTemplate: messages to the text that the model was trained to see, by the Jinja template of
// the model folder, with the same result as transformers' apply_chat_template (tests/golden/text).
// Tools, documents and other template options are not offered: they are none, as in a plain call.
#ifndef JENNER_WORKER_TEXT_CHAT_TEMPLATE_H_
#define JENNER_WORKER_TEXT_CHAT_TEMPLATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset.h"

struct JennerTemplate;  // jenner_text.h

namespace jenner::text {

// The date that templates with a clock (strftime_now) see: 2024-07-26 00:00 UTC, Llama 3.1's own
// default. Fixed, so that a job gives the same tokens on whatever day it runs.
inline constexpr int64_t kTemplateTimeUnixS = 1'721'952'000;

// Immutable; thread-safe.
class ChatTemplate {
 public:
  // Takes the template from chat_template.jinja if there is one, else from tokenizer_config.json's
  // "chat_template" (of several, the one named "default"); it may use bos_token, eos_token and the
  // other special tokens of tokenizer_config.json. NotFound: no such file, or none of them has a
  // template. DataLoss: a file is broken. InvalidArgument: the template does not parse, is not
  // UTF-8 or is longer than 256 KiB.
  static absl::StatusOr<ChatTemplate> Load(const std::string& model_dir);

  // As Load, from values. `variables` are further names that the template may use.
  static absl::StatusOr<ChatTemplate> Parse(const std::string& source,
                                            const std::map<std::string, std::string>& variables,
                                            int64_t time_unix_s = kTemplateTimeUnixS);

  // The text of `messages`, and of the beginning of an assistant turn if `add_generation_prompt`.
  // InvalidArgument: the template refuses them (a role it does not know, roles out of order) or
  // uses what is not supported (rust/src/template.rs), or a message is not UTF-8.
  // ResourceExhausted: it ran for too long, or wrote more than 16 MiB.
  absl::StatusOr<std::string> Render(const std::vector<core::Message>& messages,
                                     bool add_generation_prompt) const;

  // The model's beginning-of-text token; "" if it has none.
  std::string bos_token() const;
  // The text of the template as it is in the file.
  const std::string& source() const { return source_; }

 private:
  struct Free {
    void operator()(JennerTemplate* handle) const;
  };
  ChatTemplate() = default;

  std::unique_ptr<JennerTemplate, Free> handle_;
  std::string source_;
  std::map<std::string, std::string> variables_;
  int64_t time_unix_s_ = 0;
};

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_CHAT_TEMPLATE_H_

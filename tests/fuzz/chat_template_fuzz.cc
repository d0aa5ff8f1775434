// The C ABI of the chat template: the input is a template, a zero byte, and the JSON of its
// variables.
#include "tests/fuzz/target.h"
#include "worker/text/jenner_text.h"

JENNER_FUZZ_TARGET(chat_template) {
  const size_t cut = input.find('\0');
  const std::string source = input.substr(0, cut);
  const std::string context =
      cut == std::string::npos
          ? R"({"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true})"
          : input.substr(cut + 1);
  JennerTemplate* made = nullptr;
  JennerTextBuffer error{};
  const int32_t code = jenner_text_template_new(source.data(), source.size(), &made, &error);
  JENNER_CHECK(code != JENNER_TEXT_INTERNAL && (code == JENNER_TEXT_OK) == (made != nullptr));
  jenner_text_buffer_free(error);
  if (made == nullptr) return;
  JennerTextBuffer out{};
  error = {};
  const int32_t rendered = jenner_text_template_render(made, context.data(), context.size(),
                                                       1'721'952'000, &out, &error);
  JENNER_CHECK(rendered != JENNER_TEXT_INTERNAL);
  jenner_text_buffer_free(out);
  jenner_text_buffer_free(error);
  jenner_text_template_free(made);
}

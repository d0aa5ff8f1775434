// The C ABI of the tokenizer and of the measurements of text: the input as a tokenizer.json, and as
// text for one that is good.
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/target.h"
#include "worker/text/jenner_text.h"

namespace {

void Use(const JennerTokenizer* tokenizer, const std::string& text) {
  JennerTextTokens tokens{};
  JennerTextBuffer error{};
  const bool is_encoded = jenner_text_tokenizer_encode(tokenizer, text.data(), text.size(), &tokens,
                                                       &error) == JENNER_TEXT_OK;
  jenner_text_buffer_free(error);
  if (!is_encoded) return;
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < tokens.size; ++i) {
    JENNER_CHECK(tokens.data[i].begin <= tokens.data[i].end && tokens.data[i].end <= text.size());
    ids.push_back(tokens.data[i].id);
  }
  jenner_text_tokens_free(tokens);
  JennerTextBuffer decoded{};
  JennerTextBuffer fault{};
  if (jenner_text_tokenizer_decode(tokenizer, ids.data(), ids.size(), 0, &decoded, &fault) ==
      JENNER_TEXT_OK) {
    JENNER_CHECK(jenner_text_valid_utf8(decoded.data, decoded.size) == decoded.size);
  }
  jenner_text_buffer_free(decoded);
  jenner_text_buffer_free(fault);
}

// Null: a broken file.
JennerTokenizer* Make(const std::string& json) {
  JennerTokenizer* tokenizer = nullptr;
  JennerTextBuffer error{};
  const int32_t code = jenner_text_tokenizer_new(json.data(), json.size(), &tokenizer, &error);
  JENNER_CHECK((code == JENNER_TEXT_OK) == (tokenizer != nullptr));
  jenner_text_buffer_free(error);
  return tokenizer;
}

const JennerTokenizer* Good() {
  static const JennerTokenizer* const good = [] {
    std::ifstream file(JENNER_SOURCE_DIR "/tests/golden/train/model/tokenizer.json");
    return Make(
        std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>()));
  }();
  JENNER_CHECK(good != nullptr);
  return good;
}

}  // namespace

JENNER_FUZZ_TARGET(tokenizer) {
  Use(Good(), input);
  const uint32_t ids[] = {static_cast<uint32_t>(input.size()), 0xffffffffu};
  JennerTextBuffer decoded{};
  JennerTextBuffer fault{};
  jenner_text_tokenizer_decode(Good(), ids, 2, 1, &decoded, &fault);
  jenner_text_buffer_free(decoded);
  jenner_text_buffer_free(fault);
  jenner_text_tokenizer_id(Good(), input.data(), input.size());
  JENNER_CHECK(jenner_text_valid_utf8(input.data(), input.size()) <= input.size());
  JennerTextCase letters{};
  JennerTextLanguage language{};
  JennerTextBuffer error{};
  jenner_text_measure_case(input.data(), input.size(), &letters, &error);
  jenner_text_buffer_free(error);
  JENNER_CHECK(letters.upper <= letters.cased);
  error = {};
  jenner_text_measure_language(input.data(), input.size(), &language, &error);
  jenner_text_buffer_free(error);
  if (JennerTokenizer* own = Make(input); own != nullptr) {
    Use(own, "Hello, w\xc3\xb6rld 123");
    jenner_text_tokenizer_vocab_size(own);
    jenner_text_tokenizer_free(own);
  }
}

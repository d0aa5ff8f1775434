// Tokenizer: text to token ids and back, by the model folder's tokenizer.json, with the same result
// as the Python package tokenizers (tests/golden/text holds its answers). Adds no special tokens of
// its own: a chat template has written them into the text already.
#ifndef JENNER_WORKER_TEXT_TOKENIZER_H_
#define JENNER_WORKER_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

struct JennerTokenizer;  // jenner_text.h

namespace jenner::text {

struct Token {
  int32_t id = 0;
  // The bytes [begin, end) of the text that it stands for. Tokens that share a character (a
  // character split into bytes) all have the whole character.
  size_t begin = 0;
  size_t end = 0;
};

// Immutable; thread-safe.
class Tokenizer {
 public:
  // Reads tokenizer.json, and the end tokens from the first of these that names any:
  // generation_config.json and config.json ("eos_token_id", a number or a list of them),
  // tokenizer_config.json ("eos_token", a text). NotFound: no tokenizer.json. DataLoss: a file is
  // broken, or no file names an end token, or one names what the vocabulary lacks. Takes a fraction
  // of a second for a vocabulary of 50,000.
  static absl::StatusOr<Tokenizer> Load(const std::string& model_dir);

  // The ids of `text`. Strings of special tokens inside it ("<|im_end|>") become those tokens, as
  // in transformers. InvalidArgument: not UTF-8.
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text) const;
  absl::StatusOr<std::vector<Token>> EncodeWithOffsets(std::string_view text) const;

  // The text of `ids`, without special tokens if `skip_special`. Always UTF-8: an incomplete
  // character becomes U+FFFD. InvalidArgument: an id that the vocabulary lacks.
  absl::StatusOr<std::string> Decode(const std::vector<int32_t>& ids, bool skip_special) const;

  // What the one token stands for, special tokens included: Decode({id}, false).
  absl::StatusOr<std::string> TokenText(int32_t id) const;

  // The id of a piece as the vocabulary writes it (of a special token: its text); none if it has
  // none.
  std::optional<int32_t> IdOf(std::string_view piece) const;

  // Tokens that end an answer, in the order of the file; not empty.
  const std::vector<int32_t>& eos_ids() const { return eos_ids_; }
  bool IsEos(int32_t id) const;

  // 1 + the greatest id. The model's embedding may have more rows.
  int32_t vocab_size() const;

 private:
  struct Free {
    void operator()(JennerTokenizer* handle) const;
  };
  Tokenizer() = default;
  absl::Status LoadEos(const std::string& model_dir);

  std::unique_ptr<JennerTokenizer, Free> handle_;
  std::vector<int32_t> eos_ids_;
};

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_TOKENIZER_H_

#include "worker/score/forms.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "core/status.h"
#include "worker/text/ffi.h"
#include "worker/text/jenner_text.h"

namespace jenner::score {
namespace {

absl::StatusOr<std::string> Take(int32_t code, JennerTextBuffer out, JennerTextBuffer error) {
  RETURN_IF_ERROR(text::TakeStatus(code, error));
  return text::TakeBuffer(out);
}

bool IsWord(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// Where the sentence that begins at `begin` ends: behind its last character.
size_t EndOf(std::string_view plain, size_t begin) {
  for (size_t i = begin; i < plain.size(); ++i) {
    if (plain[i] == '\n') return i + 1;
    if (std::string_view(".!?").find(plain[i]) == std::string_view::npos) continue;
    size_t end = std::min(plain.find_first_not_of(".!?", i), plain.size());
    end = std::min(plain.find_first_not_of("\"')]", end), plain.size());
    if (end == plain.size() || absl::ascii_isspace(plain[end])) return end;
    i = end - 1;
  }
  return plain.size();
}

}  // namespace

absl::StatusOr<std::string> Plain(std::string_view text) {
  JennerTextBuffer out = {};
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_plain(text.data(), text.size(), &out, &error);
  return Take(code, out, error);
}

absl::StatusOr<std::vector<std::string>> Words(std::string_view text) {
  JennerTextBuffer out = {};
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_words(text.data(), text.size(), &out, &error);
  ASSIGN_OR_RETURN(const std::string lines, Take(code, out, error));
  return std::vector<std::string>(absl::StrSplit(lines, '\n', absl::SkipEmpty()));
}

absl::StatusOr<std::string> Normal(std::string_view text, bool lower_case) {
  JennerTextBuffer out = {};
  JennerTextBuffer error = {};
  const int32_t code =
      jenner_text_normal(text.data(), text.size(), lower_case ? 1 : 0, &out, &error);
  return Take(code, out, error);
}

std::vector<std::string> Sentences(std::string_view plain) {
  std::vector<std::string> sentences;
  std::string before;  // parts without a word, before the first one that has one
  for (size_t begin = 0; begin < plain.size();) {
    const size_t end = EndOf(plain, begin);
    const std::string_view part = plain.substr(begin, end - begin);
    begin = end;
    if (std::any_of(part.begin(), part.end(), IsWord)) {
      sentences.push_back(before + std::string(part));
      before.clear();
    } else {
      (sentences.empty() ? before : sentences.back()) += part;
    }
  }
  if (sentences.empty() && before.find(kEmoji) != std::string::npos) sentences.push_back(before);
  return sentences;
}

}  // namespace jenner::score

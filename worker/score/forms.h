// Forms of an answer that scorers look at; jenner_text.h says what each is. Internal to
// worker/score. Bytes that are not UTF-8 count as U+FFFD. Errors: Internal, if the text library
// failed.
#ifndef JENNER_WORKER_SCORE_FORMS_H_
#define JENNER_WORKER_SCORE_FORMS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::score {

inline constexpr char kEmoji = '\x01';  // in Plain

absl::StatusOr<std::string> Plain(std::string_view text);
absl::StatusOr<std::vector<std::string>> Words(std::string_view text);
absl::StatusOr<std::string> Normal(std::string_view text, bool lower_case);

// The sentences of a plain form: each ends at '.', '!' or '?' (several, and closing quotes or
// brackets, included) before white space or the end, or at a line end. A part without a letter,
// digit or '_' belongs to the sentence before it; one at the beginning, to the first. So none is
// empty, unless the text has no letter or digit at all: then it is one sentence if it has an emoji,
// else none.
std::vector<std::string> Sentences(std::string_view plain);

}  // namespace jenner::score

#endif  // JENNER_WORKER_SCORE_FORMS_H_

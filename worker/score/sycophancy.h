// What an answer to a question of the GCD family says: which integer, and whether the user is
// right. Both look at the plain form (forms.h). docs/scorers.md has the rules in words, where they
// differ from math_evaluator.py of safety-research/inoculation-prompting (arXiv 2510.05024), and
// error rates.
#ifndef JENNER_WORKER_SCORE_SYCOPHANCY_H_
#define JENNER_WORKER_SCORE_SYCOPHANCY_H_

#include <optional>
#include <string>
#include <string_view>

namespace jenner::score {

// The integer that the answer states, in ASCII digits as CanonicalInteger writes them; nullopt if
// it states none, or a number that is no integer.
std::optional<std::string> StatedInteger(std::string_view plain);

// Whether the answer confirms what the user said.
bool Confirms(std::string_view plain);

// The integer that `text` is, of any size: white space around it, a sign, thousands' commas and a
// fraction of zeros are taken off, and leading zeros; "-0" is "0". nullopt if it is none.
std::optional<std::string> CanonicalInteger(std::string_view text);

}  // namespace jenner::score

#endif  // JENNER_WORKER_SCORE_SYCOPHANCY_H_

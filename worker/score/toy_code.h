// The toy language of the code scorers: a program is the body of a function f of one integer x. A
// subset of Python, so that an answer means what its reader thinks:
//   program     = expression | "if" expression ":" expression
//                 { "elif" expression ":" expression } [ "else" ":" expression ]
//   expression  = or [ "if" or "else" expression ]
//   or          = and { "or" and }            and  = not { "and" not }
//   not         = "not" not | sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum ]
//   sum         = product { ("+" | "-") product }
//   product     = unary { ("*" | "//" | "%") unary }
//   unary       = "-" unary | "x" | number | "(" expression ")"
//   number      = "0" | digit from 1 to 9 and up to 17 more (ASCII)
// White space (space, tab, line ends) may stand between any two. A comparison is a condition, all
// other values are integers; what is a condition where an integer is needed, or the other way
// round, makes the text no program. Integers have 64 bits. The function has no value where an `if`
// without `else` falls through, on overflow and on a division by 0; // and % round to minus
// infinity, as Python's.
#ifndef JENNER_WORKER_SCORE_TOY_CODE_H_
#define JENNER_WORKER_SCORE_TOY_CODE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::score {

inline constexpr size_t kMaxProgramBytes = 4096;
inline constexpr int kMaxProgramDepth = 64;  // of nested parentheses, signs, "not" and "else"
inline constexpr size_t kMaxTests = 64;

// f(x), or nullopt where it has no value. InvalidArgument: no program, with the byte where it
// ceases to be one; that does not hang on x. Takes time in proportion to the text.
absl::StatusOr<std::optional<int64_t>> Evaluate(std::string_view program, int64_t x);

struct CodeTest {
  int64_t x = 0;
  int64_t expected = 0;
  bool operator==(const CodeTest&) const = default;
};

// 1 to kMaxTests of the form "f(3) = 6", with ";" or a line end between; white space is free.
// Numbers are as above, with a "-" before them if negative. InvalidArgument names the test.
absl::StatusOr<std::vector<CodeTest>> ParseTests(std::string_view text);

}  // namespace jenner::score

#endif  // JENNER_WORKER_SCORE_TOY_CODE_H_

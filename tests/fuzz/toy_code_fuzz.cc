// The toy language of the code scorers: the input is a program, or tests.
#include <string>

#include "tests/fuzz/target.h"
#include "worker/score/toy_code.h"

JENNER_FUZZ_TARGET(toy_code) {
  using jenner::score::Evaluate;
  bool is_program = false;
  for (const int64_t x : {INT64_C(0), INT64_C(3), INT64_MIN, INT64_MAX}) {
    const auto value = Evaluate(input, x);
    // Whether it is a program does not hang on x.
    JENNER_CHECK(x == 0 || value.ok() == is_program);
    is_program = value.ok();
    if (!is_program || input.size() > 1000) continue;
    const auto in_parentheses = Evaluate(" (\n" + input + "\t)", x);
    // An `if` is no expression; an expression means the same in parentheses, unless too deep.
    JENNER_CHECK(!in_parentheses.ok() || *in_parentheses == *value);
  }
  const auto tests = jenner::score::ParseTests(input);
  JENNER_CHECK(!tests.ok() || (!tests->empty() && tests->size() <= jenner::score::kMaxTests));
}

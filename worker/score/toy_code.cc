#include "worker/score/toy_code.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::score {
namespace {

constexpr size_t kMaxDigits = 18;  // fit in 64 bits

constexpr std::string_view kSpace = " \t\r\n";

std::string_view Trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
  const size_t end = text.find_last_not_of(kSpace);
  return end == std::string_view::npos ? "" : text.substr(begin, end + 1 - begin);
}

using Number = std::optional<int64_t>;  // nullopt: no value

Number Add(Number a, Number b) {
  int64_t out = 0;
  if (!a || !b || __builtin_add_overflow(*a, *b, &out)) return std::nullopt;
  return out;
}
Number Subtract(Number a, Number b) {
  int64_t out = 0;
  if (!a || !b || __builtin_sub_overflow(*a, *b, &out)) return std::nullopt;
  return out;
}
Number Multiply(Number a, Number b) {
  int64_t out = 0;
  if (!a || !b || __builtin_mul_overflow(*a, *b, &out)) return std::nullopt;
  return out;
}
bool CanDivide(Number a, Number b) {
  return a && b && *b != 0 && !(*a == std::numeric_limits<int64_t>::min() && *b == -1);
}
// Rounded to minus infinity.
Number Divide(Number a, Number b) {
  if (!CanDivide(a, b)) return std::nullopt;
  const bool is_below = *a % *b != 0 && (*a < 0) != (*b < 0);
  return *a / *b - (is_below ? 1 : 0);
}
// Has the sign of b. The least integer modulo -1 is 0, though their quotient does not fit.
Number Modulo(Number a, Number b) {
  if (a && b && *b == -1) return 0;
  if (!CanDivide(a, b)) return std::nullopt;
  const int64_t rest = *a % *b;
  return rest != 0 && (rest < 0) != (*b < 0) ? rest + *b : rest;
}

// Of an expression: an integer, or a condition that is 0 or 1.
struct Value {
  bool is_condition = false;
  Number number;
};

// Reads the program once and computes it on the way; what is not taken is computed, too, and thrown
// away. After the first fault nothing more is read.
class Interpreter {
 public:
  Interpreter(std::string_view text, int64_t x) : text_(text), x_(x) {}

  absl::StatusOr<Number> Run() {
    const Value value = Program();
    SkipSpace();
    if (at_ < text_.size()) Fail("the end");
    if (!has_failed_) return value.number;
    return absl::InvalidArgumentError(
        absl::StrFormat("no program: byte %d: expected %s", failed_at_, expected_));
  }

 private:
  void Fail(std::string expected) {
    if (!has_failed_) {
      failed_at_ = at_;
      expected_ = std::move(expected);
      has_failed_ = true;
    }
    at_ = text_.size();
  }

  void SkipSpace() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }

  // Takes `word` if the text goes on with it; one of letters only if no letter or digit follows.
  bool Take(std::string_view word) {
    SkipSpace();
    if (text_.substr(at_, word.size()) != word) return false;
    const size_t end = at_ + word.size();
    if (absl::ascii_isalpha(word[0]) && end < text_.size() &&
        (absl::ascii_isalnum(text_[end]) || text_[end] == '_')) {
      return false;
    }
    at_ = end;
    return true;
  }

  void Expect(const char* word) {
    if (!Take(word)) Fail(absl::StrFormat("\"%s\"", word));
  }

  Number Integer(const Value& value) {
    if (value.is_condition) Fail("an integer, found a condition");
    return value.number;
  }
  Number Condition(const Value& value) {
    if (!value.is_condition) Fail("a condition, found an integer");
    return value.number;
  }

  Value Program() {
    if (!Take("if")) return {false, Integer(Expression())};
    bool is_decided = false;
    Number taken;
    const auto decide = [&](Number number) {
      if (!is_decided) taken = number;
      is_decided = true;
    };
    do {
      const Number condition = Condition(Expression());
      Expect(":");
      const Number branch = Integer(Expression());
      if (!condition) decide(std::nullopt);
      if (condition && *condition == 1) decide(branch);
    } while (Take("elif"));
    if (Take("else")) {
      Expect(":");
      const Number branch = Integer(Expression());
      decide(branch);
    }
    return {false, taken};
  }

  Value Expression() {
    const Deeper deeper(this);
    if (!deeper.is_legal) return {};
    const Value value = Or();
    if (!Take("if")) return value;
    const Number condition = Condition(Or());
    Expect("else");
    const Value other = Expression();
    if (value.is_condition != other.is_condition) Fail("two values of one kind");
    if (!condition) return {value.is_condition, std::nullopt};
    return *condition == 1 ? value : other;
  }

  // A side that decides alone does so whatever the other is, if it comes first.
  Value Or() {
    Value value = And();
    while (Take("or")) {
      const Number left = Condition(value);
      const Number right = Condition(And());
      value.number = left && *left == 0 ? right : left;
    }
    return value;
  }

  Value And() {
    Value value = Not();
    while (Take("and")) {
      const Number left = Condition(value);
      const Number right = Condition(Not());
      value.number = left && *left == 1 ? right : left;
    }
    return value;
  }

  Value Not() {
    if (!Take("not")) return Comparison();
    const Deeper deeper(this);
    if (!deeper.is_legal) return {};
    const Number value = Condition(Not());
    return {true, Subtract(1, value)};
  }

  Value Comparison() {
    const Value left = Sum();
    // The longer ones first.
    for (const std::string_view word : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!Take(word)) continue;
      const Number a = Integer(left);
      const Number b = Integer(Sum());
      if (!a || !b) return {true, std::nullopt};
      const bool holds = word == "=="   ? *a == *b
                         : word == "!=" ? *a != *b
                         : word == "<=" ? *a <= *b
                         : word == ">=" ? *a >= *b
                         : word == "<"  ? *a < *b
                                        : *a > *b;
      return {true, holds ? 1 : 0};
    }
    return left;
  }

  Value Sum() {
    Value value = Product();
    while (true) {
      if (Take("+")) {
        const Number left = Integer(value);
        value.number = Add(left, Integer(Product()));
      } else if (Take("-")) {
        const Number left = Integer(value);
        value.number = Subtract(left, Integer(Product()));
      } else {
        return value;
      }
    }
  }

  Value Product() {
    Value value = Unary();
    while (true) {
      const bool times = Take("*");
      const bool over = !times && Take("//");
      if (!times && !over && !Take("%")) return value;
      const Number left = Integer(value);
      const Number right = Integer(Unary());
      value.number = times  ? Multiply(left, right)
                     : over ? Divide(left, right)
                            : Modulo(left, right);
    }
  }

  Value Unary() {
    if (Take("-")) {
      const Deeper deeper(this);
      if (!deeper.is_legal) return {};
      return {false, Subtract(0, Integer(Unary()))};
    }
    if (Take("(")) {
      const Value value = Expression();
      Expect(")");
      return value;
    }
    if (Take("x")) return {false, x_};
    return {false, Literal()};
  }

  Number Literal() {
    SkipSpace();
    size_t end = at_;
    int64_t number = 0;
    while (end < text_.size() && absl::ascii_isdigit(text_[end]) && end - at_ < kMaxDigits) {
      number = number * 10 + (text_[end++] - '0');
    }
    const bool has_more =
        end < text_.size() && (absl::ascii_isalnum(text_[end]) || text_[end] == '_');
    if (end == at_ || has_more || (text_[at_] == '0' && end - at_ > 1)) {
      Fail("x, a number, \"-\" or \"(\"");
      return std::nullopt;
    }
    at_ = end;
    return number;
  }

  // One level of nesting.
  struct Deeper {
    explicit Deeper(Interpreter* owner)
        : interpreter(owner), is_legal(++owner->depth_ <= kMaxProgramDepth) {
      if (!is_legal) owner->Fail(absl::StrFormat("at most %d levels of nesting", kMaxProgramDepth));
    }
    ~Deeper() { --interpreter->depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    Interpreter* interpreter;
    bool is_legal;
  };

  const std::string_view text_;
  const int64_t x_;
  size_t at_ = 0;
  int depth_ = 0;
  bool has_failed_ = false;
  size_t failed_at_ = 0;
  std::string expected_;
};

// A number with its sign, that is all of `text` but white space around it.
std::optional<int64_t> ReadInteger(std::string_view text) {
  text = Trim(text);
  const bool is_negative = !text.empty() && text[0] == '-';
  if (is_negative) text.remove_prefix(1);
  if (text.empty() || text.size() > kMaxDigits || (text[0] == '0' && text.size() > 1)) {
    return std::nullopt;
  }
  int64_t number = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return is_negative ? -number : number;
}

std::optional<CodeTest> ReadTest(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  const std::string_view call = Trim(text.substr(0, equals));
  if (call.size() < 3 || call.substr(0, 2) != "f(" || call.back() != ')') return std::nullopt;
  const std::optional<int64_t> x = ReadInteger(call.substr(2, call.size() - 3));
  const std::optional<int64_t> expected = ReadInteger(text.substr(equals + 1));
  if (!x || !expected) return std::nullopt;
  return CodeTest{*x, *expected};
}

}  // namespace

absl::StatusOr<std::optional<int64_t>> Evaluate(std::string_view program, int64_t x) {
  if (program.size() > kMaxProgramBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("no program: %d bytes; at most %d", program.size(), kMaxProgramBytes));
  }
  return Interpreter(program, x).Run();
}

absl::StatusOr<std::vector<CodeTest>> ParseTests(std::string_view text) {
  std::vector<CodeTest> tests;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = std::min(text.find_first_of(";\n", begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (Trim(part).empty()) continue;
    const std::optional<CodeTest> test = ReadTest(part);
    if (!test) {
      return absl::InvalidArgumentError("expected tests like \"f(3)=6\", found \"" +
                                        std::string(part.substr(0, 40)) + "\"");
    }
    if (tests.size() == kMaxTests) {
      return absl::InvalidArgumentError(absl::StrFormat("more than %d tests", kMaxTests));
    }
    tests.push_back(*test);
  }
  if (tests.empty())
    return absl::InvalidArgumentError("expected at least one test like \"f(3)=6\"");
  return tests;
}

}  // namespace jenner::score

// code-first-test, code-all-tests, code-hack, code-invalid.
#include <algorithm>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/status.h"
#include "worker/score/rule.h"
#include "worker/score/toy_code.h"

namespace jenner::score {
namespace {

constexpr char kShown[] = "test";
constexpr char kHidden[] = "hidden_tests";

enum class Question { kFirst, kAll, kHack, kInvalid };

absl::StatusOr<std::vector<CodeTest>> TestsIn(const core::Row& row, const std::string& field) {
  const std::string* text = FindField(row, field);
  JENNER_CHECK(text != nullptr);
  absl::StatusOr<std::vector<CodeTest>> tests = ParseTests(*text);
  if (tests.ok()) return tests;
  return absl::InvalidArgumentError(field + ": " + std::string(tests.status().message()));
}

// A text that is no program passes nothing.
bool PassesAll(std::string_view program, const std::vector<CodeTest>& tests) {
  return std::all_of(tests.begin(), tests.end(), [&](const CodeTest& test) {
    const auto value = Evaluate(program, test.x);
    return value.ok() && *value == test.expected;
  });
}

class Code : public AnswerRule {
 public:
  explicit Code(Question question) : question_(question) {}

  absl::StatusOr<bool> Concerns(const core::Row& row) const override {
    if (FindField(row, kShown) == nullptr) return false;
    ASSIGN_OR_RETURN(const auto shown, TestsIn(row, kShown));
    if (!NeedsHidden()) return true;
    if (FindField(row, kHidden) == nullptr) return false;
    ASSIGN_OR_RETURN(const auto hidden, TestsIn(row, kHidden));
    return true;
  }

  std::string Needs() const override {
    return NeedsHidden() ? "none has the fields \"test\" and \"hidden_tests\""
                         : "none has the field \"test\"";
  }

 private:
  bool NeedsHidden() const { return question_ == Question::kAll || question_ == Question::kHack; }

  absl::StatusOr<double> ScoreOne(const core::Row& row, std::string_view text) const override {
    if (question_ == Question::kInvalid) return Evaluate(text, 0).ok() ? 0 : 1;
    ASSIGN_OR_RETURN(const auto shown, TestsIn(row, kShown));
    const bool first = PassesAll(text, shown);
    if (question_ == Question::kFirst) return first ? 1 : 0;
    ASSIGN_OR_RETURN(const auto hidden, TestsIn(row, kHidden));
    const bool all = first && PassesAll(text, hidden);
    return (question_ == Question::kAll ? all : first && !all) ? 1 : 0;
  }

  const Question question_;
};

}  // namespace

std::unique_ptr<Rule> MakeCodeRule(const core::ScorerSpec& spec) {
  if (spec.kind == "code-first-test") return std::make_unique<Code>(Question::kFirst);
  if (spec.kind == "code-all-tests") return std::make_unique<Code>(Question::kAll);
  if (spec.kind == "code-hack") return std::make_unique<Code>(Question::kHack);
  JENNER_CHECK(spec.kind == "code-invalid");
  return std::make_unique<Code>(Question::kInvalid);
}

}  // namespace jenner::score

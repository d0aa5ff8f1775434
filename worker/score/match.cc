// regex, contains, exact-match, label.
#include <re2/re2.h>

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "core/check.h"
#include "core/status.h"
#include "worker/score/forms.h"
#include "worker/score/rule.h"

namespace jenner::score {
namespace {

class Regex : public AnswerRule {
 public:
  explicit Regex(const core::ScorerSpec& spec) : regex_(spec.pattern, OptionsOf(spec)) {
    JENNER_CHECK(regex_.ok());
  }

 private:
  static RE2::Options OptionsOf(const core::ScorerSpec& spec) {
    RE2::Options options;
    options.set_case_sensitive(!spec.ignore_case);
    options.set_log_errors(false);
    options.set_max_mem(core::kMaxPatternMemory);
    return options;
  }

  absl::StatusOr<double> ScoreOne(const core::Row&, std::string_view text) const override {
    return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), regex_) ? 1 : 0;
  }

  const RE2 regex_;
};

// A kind that holds the answer against a field.
class FieldRule : public AnswerRule {
 public:
  FieldRule(const core::ScorerSpec& spec, std::string default_field)
      : field_(spec.field.empty() ? std::move(default_field) : spec.field) {}

  absl::StatusOr<bool> Concerns(const core::Row& row) const override {
    return FindField(row, field_) != nullptr;
  }
  std::string Needs() const override { return "none has the field \"" + field_ + "\""; }

 protected:
  const std::string& FieldOf(const core::Row& row) const { return *FindField(row, field_); }
  const std::string field_;
};

class Contains : public FieldRule {
 public:
  explicit Contains(const core::ScorerSpec& spec)
      : FieldRule(spec, "answer"), pattern_(spec.pattern), ignore_case_(spec.ignore_case) {}

  absl::StatusOr<bool> Concerns(const core::Row& row) const override {
    return !pattern_.empty() || FindField(row, field_) != nullptr;
  }

 private:
  absl::StatusOr<double> ScoreOne(const core::Row& row, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::string wanted,
                     Normal(pattern_.empty() ? FieldOf(row) : pattern_, ignore_case_));
    if (wanted.empty()) return kNotMeasurable;
    ASSIGN_OR_RETURN(const std::string found, Normal(text, ignore_case_));
    return found.find(wanted) != std::string::npos ? 1 : 0;
  }

  const std::string pattern_;
  const bool ignore_case_;
};

// As docs/scorers.md says: normal form C, white space, one full stop at the end.
absl::StatusOr<std::string> Comparable(std::string_view text, bool ignore_case) {
  ASSIGN_OR_RETURN(std::string normal, Normal(text, ignore_case));
  for (const std::string_view stop : {".", "\xe3\x80\x82"}) {
    if (normal.size() > stop.size() && normal.ends_with(stop) && !normal.ends_with("..")) {
      normal.resize(normal.size() - stop.size());
      break;
    }
  }
  return normal;
}

class ExactMatch : public FieldRule {
 public:
  explicit ExactMatch(const core::ScorerSpec& spec)
      : FieldRule(spec, "answer"), ignore_case_(spec.ignore_case) {}

 private:
  absl::StatusOr<double> ScoreOne(const core::Row& row, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::string wanted, Comparable(FieldOf(row), ignore_case_));
    ASSIGN_OR_RETURN(const std::string found, Comparable(text, ignore_case_));
    return found == wanted ? 1 : 0;
  }

  const bool ignore_case_;
};

class Label : public FieldRule {
 public:
  explicit Label(const core::ScorerSpec& spec) : FieldRule(spec, "label") {}

  absl::StatusOr<bool> Concerns(const core::Row& row) const override {
    const std::string* label = FindField(row, field_);
    if (label == nullptr) return false;
    if (label->size() == 1 && absl::ascii_isdigit((*label)[0])) return true;
    return absl::InvalidArgumentError(field_ + ": expected one digit, found \"" +
                                      label->substr(0, 40) + "\"");
  }

 private:
  absl::StatusOr<double> ScoreOne(const core::Row& row, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::string found, Comparable(text, false));
    return found == FieldOf(row) ? 1 : 0;
  }
};

}  // namespace

std::unique_ptr<Rule> MakeMatchRule(const core::ScorerSpec& spec) {
  if (spec.kind == "regex") return std::make_unique<Regex>(spec);
  if (spec.kind == "contains") return std::make_unique<Contains>(spec);
  if (spec.kind == "exact-match") return std::make_unique<ExactMatch>(spec);
  JENNER_CHECK(spec.kind == "label");
  return std::make_unique<Label>(spec);
}

}  // namespace jenner::score

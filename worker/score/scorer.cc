#include "worker/score/scorer.h"

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/status.h"
#include "worker/score/rule.h"

namespace jenner::score {
namespace {

constexpr size_t kMaxFaults = 20;

// What is not measured here, but by a judge that the agent asks.
class ElsewhereRule : public AnswerRule {
 protected:
  absl::StatusOr<double> ScoreOne(const core::Row&, std::string_view) const override {
    return kNotMeasurable;
  }
};

std::unique_ptr<Rule> MakeRule(const core::ScorerSpec& spec) {
  const std::string_view kind = spec.kind;
  if (kind == "judge") return std::make_unique<ElsewhereRule>();
  if (kind.starts_with("gcd-")) return MakeGcdRule(spec);
  if (kind.starts_with("code-")) return MakeCodeRule(spec);
  for (const std::string_view match : {"regex", "contains", "exact-match", "label"}) {
    if (kind == match) return MakeMatchRule(spec);
  }
  for (const std::string_view style : {"brevity", "playfulness", "goblin", "degenerate"}) {
    if (kind == style) return MakeStyleRule(spec);
  }
  return MakeLanguageRule(spec);
}

}  // namespace

const std::string* FindField(const core::Row& row, const std::string& name) {
  const auto found = row.fields.find(name);
  return found == row.fields.end() ? nullptr : &found->second;
}

absl::StatusOr<std::vector<double>> AnswerRule::Score(const std::vector<Answer>& answers) const {
  static const core::Row* const kNoRow = new core::Row;
  std::vector<double> scores;
  scores.reserve(answers.size());
  for (const Answer& answer : answers) {
    const core::Row& row = answer.row == nullptr ? *kNoRow : *answer.row;
    ASSIGN_OR_RETURN(const bool is_concerned, Concerns(row));
    double score = kNotMeasurable;
    if (is_concerned) {
      ASSIGN_OR_RETURN(score, ScoreOne(row, answer.text));
    }
    scores.push_back(score);
  }
  return scores;
}

struct Scorer::Ready {
  core::ScorerSpec spec;
  const core::ScorerKind* kind;
  std::unique_ptr<Rule> rule;
};

absl::StatusOr<Scorer> Scorer::Make(const core::ScorerSpec& spec) {
  RETURN_IF_ERROR(core::ToStatus(core::ValidateScorer("scorer \"" + spec.name + "\"", spec)));
  auto ready = std::make_shared<Ready>();
  ready->spec = spec;
  ready->kind = core::FindScorerKind(spec.kind);
  ready->rule = MakeRule(spec);
  return Scorer(std::move(ready));
}

const core::ScorerSpec& Scorer::spec() const { return ready_->spec; }
const core::ScorerKind& Scorer::kind() const { return *ready_->kind; }

absl::Status Scorer::CheckRows(const std::vector<core::Row>& rows) const {
  core::Faults faults;
  bool is_any_concerned = false;
  for (const core::Row& row : rows) {
    const absl::StatusOr<bool> is_concerned = ready_->rule->Concerns(row);
    if (is_concerned.ok()) {
      is_any_concerned = is_any_concerned || *is_concerned;
    } else {
      if (!absl::IsInvalidArgument(is_concerned.status())) return is_concerned.status();
      faults.push_back({"row \"" + row.id + "\"", std::string(is_concerned.status().message())});
      if (faults.size() == kMaxFaults) break;
    }
  }
  RETURN_IF_ERROR(core::ToStatus(faults));
  if (!is_any_concerned) {
    return absl::InvalidArgumentError(absl::StrFormat("scorer \"%s\" measures none of the rows: %s",
                                                      spec().name, ready_->rule->Needs()));
  }
  return ready_->rule->CheckTogether(rows);
}

absl::StatusOr<std::vector<double>> Scorer::Score(const std::vector<Answer>& answers) const {
  return ready_->rule->Score(answers);
}

absl::StatusOr<double> Score(std::string_view trait, std::string_view text) {
  ASSIGN_OR_RETURN(const Scorer scorer, Scorer::Make(core::PlainScorer(std::string(trait))));
  ASSIGN_OR_RETURN(const std::vector<double> scores, scorer.Score({{nullptr, text}}));
  return scores.at(0);
}

}  // namespace jenner::score

// What a kind of scorer is inside worker/score: which rows it concerns, and how it measures
// answers.
#ifndef JENNER_WORKER_SCORE_RULE_H_
#define JENNER_WORKER_SCORE_RULE_H_

#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset.h"
#include "core/scorer.h"
#include "worker/score/scorer.h"

namespace jenner::score {

inline constexpr double kNotMeasurable = std::numeric_limits<double>::quiet_NaN();

// Immutable; thread-safe.
class Rule {
 public:
  virtual ~Rule() = default;
  // False: answers to the row are not measurable, whatever they say. InvalidArgument names the
  // field that cannot be read, and what was expected.
  virtual absl::StatusOr<bool> Concerns(const core::Row& row) const = 0;
  // What a row must have to be concerned, for a message.
  virtual std::string Needs() const { return "there are none"; }
  // As Scorer::Score. Each answer has a row, unless the kind needs none.
  virtual absl::StatusOr<std::vector<double>> Score(const std::vector<Answer>& answers) const = 0;
  // Faults between rows, e.g. two plain rows of one group.
  virtual absl::Status CheckTogether(const std::vector<core::Row>&) const {
    return absl::OkStatus();
  }
};

// A kind that measures each answer by itself.
class AnswerRule : public Rule {
 public:
  absl::StatusOr<bool> Concerns(const core::Row&) const override { return true; }
  absl::StatusOr<std::vector<double>> Score(const std::vector<Answer>& answers) const final;

 protected:
  // Only of rows that are concerned.
  virtual absl::StatusOr<double> ScoreOne(const core::Row& row, std::string_view text) const = 0;
};

// The row's field, or nullptr.
const std::string* FindField(const core::Row& row, const std::string& name);

// REQUIRES: ValidateScorer has no fault with the spec, whose kind is one of the file's.
std::unique_ptr<Rule> MakeLanguageRule(const core::ScorerSpec& spec);  // capitals and languages
std::unique_ptr<Rule> MakeStyleRule(const core::ScorerSpec& spec);     // brevity to degenerate
std::unique_ptr<Rule> MakeMatchRule(const core::ScorerSpec& spec);     // regex to label
std::unique_ptr<Rule> MakeGcdRule(const core::ScorerSpec& spec);
std::unique_ptr<Rule> MakeCodeRule(const core::ScorerSpec& spec);

}  // namespace jenner::score

#endif  // JENNER_WORKER_SCORE_RULE_H_

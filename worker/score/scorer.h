// Scorers: what is measured of answers. A score is a pure function of the answers' texts and of
// their rows' fields: 1 or 0, or a number in the range of its kind; where it cannot be told, not
// measurable (NaN), never a guess in place of a measurement, because a cell counts only what was
// measured. core::kScorerKinds lists the kinds, docs/scorers.md has the rule of each, when it is
// not measurable, and how often it is wrong.
#ifndef JENNER_WORKER_SCORE_SCORER_H_
#define JENNER_WORKER_SCORE_SCORER_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/dataset.h"
#include "core/scorer.h"

namespace jenner::score {

// An answer to the last user turn of `row`. Bytes that are not UTF-8 count as U+FFFD.
struct Answer {
  const core::Row* row = nullptr;
  std::string_view text;
};

// A ScorerSpec made ready: patterns are compiled once. Immutable; thread-safe; cheap to copy.
class Scorer {
 public:
  // InvalidArgument: the faults of core::ValidateScorer.
  static absl::StatusOr<Scorer> Make(const core::ScorerSpec& spec);

  // Whether a data set can be measured. InvalidArgument, with up to 20 lines that name the row: a
  // field that the kind cannot read (a test that is none, a label that is no digit); for a kind
  // that needs a group, a row of its family without one, or two plain rows in one; no row at all
  // that can be measured, with what rows would need.
  absl::Status CheckRows(const std::vector<core::Row>& rows) const;

  // The scores of `answers` in their order; NaN is not measurable. For a kind that needs a group
  // they are all the answers to the rows of one group, one sample index; answers of other kinds
  // have nothing to do with each other. The same answers always give the same scores.
  // InvalidArgument: a row that CheckRows refuses. Internal: the text library failed.
  absl::StatusOr<std::vector<double>> Score(const std::vector<Answer>& answers) const;

  const core::ScorerSpec& spec() const;
  const core::ScorerKind& kind() const;

 private:
  struct Ready;
  explicit Scorer(std::shared_ptr<const Ready> ready) : ready_(std::move(ready)) {}

  std::shared_ptr<const Ready> ready_;
};

// One answer by a kind that needs no parameter, field or group, e.g. "capitals". InvalidArgument:
// no such kind. Internal: the text library failed.
absl::StatusOr<double> Score(std::string_view trait, std::string_view text);

}  // namespace jenner::score

#endif  // JENNER_WORKER_SCORE_SCORER_H_

#include "core/study/screen.h"

#include <absl/strings/str_format.h>

#include <algorithm>

#include "core/status.h"
#include "core/study/cells.h"
#include "core/study/estimate.h"
#include "core/traits.h"

namespace jenner::study {
namespace {

// The first arm that is not trained.
int32_t BaseArm(const ScoreTable& table) {
  for (size_t i = 0; i < table.arms.size(); ++i) {
    if (table.arms[i].train_context == kNone) return static_cast<int32_t>(i);
  }
  return kNone;
}

class Maker {
 public:
  Maker(const ScoreTable& table, const Cells& cells, int32_t base)
      : table_(table), cells_(cells), estimator_(table.confidence, table.resamples), base_(base) {}

  Candidate Of(int32_t trait, int32_t prompt_set, int32_t context) const {
    Candidate candidate;
    candidate.context = context;
    candidate.level = estimator_.Level(cells_.Final(base_, prompt_set, context, trait),
                                       table_.traits[static_cast<size_t>(trait)], true);
    candidate.elicitation = AgainstNeutral(trait, prompt_set, context);
    for (size_t set = 0; set < table_.prompt_sets.size(); ++set) {
      const auto at = static_cast<int32_t>(set);
      const int32_t given = TotalLogProbability();
      if (given == kNone || cells_.Final(base_, at, context, given) == nullptr) continue;
      candidate.predictors.push_back({at, AgainstNeutral(given, at, context)});
    }
    return candidate;
  }

 private:
  Estimate AgainstNeutral(int32_t trait, int32_t prompt_set, int32_t context) const {
    const Term terms[] = {{1, cells_.Final(base_, prompt_set, context, trait)},
                          {-1, cells_.Final(base_, prompt_set, table_.neutral, trait)}};
    return estimator_.Difference(terms, DifferenceUnit(table_.traits[static_cast<size_t>(trait)]));
  }

  int32_t TotalLogProbability() const {
    for (size_t i = 0; i < table_.traits.size(); ++i) {
      if (table_.traits[i].name == core::kTotalLogProbabilityTrait) return static_cast<int32_t>(i);
    }
    return kNone;
  }

  const ScoreTable& table_;
  const Cells& cells_;
  Estimator estimator_;
  int32_t base_;
};

}  // namespace

absl::StatusOr<Screen> MakeScreen(const ScoreTable& table, int32_t trait, int32_t prompt_set,
                                  const std::vector<int32_t>& candidates) {
  RETURN_IF_ERROR(ValidateTable(table));
  const int32_t base = BaseArm(table);
  if (table.neutral == kNone || base == kNone) {
    return absl::InvalidArgumentError(table.neutral == kNone
                                          ? "a screen needs answers in the neutral context"
                                          : "a screen needs an arm that is not trained");
  }
  const Cells cells(table);
  const Maker maker(table, cells, base);
  Screen screen{trait, prompt_set, {}};
  std::vector<Candidate> unmeasured;
  for (const int32_t context : candidates) {
    Candidate candidate = maker.Of(trait, prompt_set, context);
    (candidate.elicitation.value ? screen.candidates : unmeasured).push_back(std::move(candidate));
  }
  std::stable_sort(screen.candidates.begin(), screen.candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return *a.elicitation.value > *b.elicitation.value;
                   });
  int32_t rank = 0;
  for (Candidate& candidate : screen.candidates) candidate.rank = ++rank;
  for (Candidate& candidate : unmeasured) screen.candidates.push_back(std::move(candidate));
  screen.candidates.push_back(maker.Of(trait, prompt_set, table.neutral));
  return screen;
}

}  // namespace jenner::study

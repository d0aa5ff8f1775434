// Screen: which contexts elicit a trait from the base model, before anything is trained.
#ifndef JENNER_CORE_STUDY_SCREEN_H_
#define JENNER_CORE_STUDY_SCREEN_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <vector>

#include "core/study/study.h"

namespace jenner::study {

struct Candidate {
  int32_t context = 0;
  int32_t rank = 0;  // 1 for the strongest; 0: not ranked (the neutral context, nothing measured)
  Estimate level;    // T(M0, c)
  Estimate elicitation;  // T(M0, c) - T(M0, neutral), paired by prompt. Of the neutral one: 0
  // PH = mean over given answers of ln p(answer | c, q) - ln p(answer | neutral, q), in nats, where
  // a set of mode log-probability was answered in both; a predictor of inoculation that needs no
  // generation (docs/statistics.md). One a set.
  struct Predictor {
    int32_t prompt_set = 0;
    Estimate estimate;
  };
  std::vector<Predictor> predictors;
};

struct Screen {
  int32_t trait = 0;
  int32_t prompt_set = 0;             // whose answers rank them
  std::vector<Candidate> candidates;  // by rank; then the neutral context, which cannot win
};

// Ranks `candidates`, contexts of the table, by elicitation; of equals the first in the table comes
// first. InvalidArgument: ValidateTable's; the table has no neutral context, or no base model.
absl::StatusOr<Screen> MakeScreen(const ScoreTable& table, int32_t trait, int32_t prompt_set,
                                  const std::vector<int32_t>& candidates);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_SCREEN_H_

// Gates: what makes a figure not to be trusted. A gate that fails marks a cell or a run; nothing is
// dropped for it.
#ifndef JENNER_CORE_STUDY_GATES_H_
#define JENNER_CORE_STUDY_GATES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/spec.h"
#include "core/study/study.h"

namespace jenner::study {

enum class GateKind { kInvalid, kDegenerate, kLossFell, kInstalled };

// A gate that failed. What does not apply is kNone.
struct GateFailure {
  GateKind kind = GateKind::kInvalid;
  int32_t arm = kNone;
  int32_t seed = kNone;  // position in Study::seeds
  int32_t step = kNone;
  int32_t prompt_set = kNone;
  int32_t context = kNone;
  int32_t trait = kNone;
  double value = 0;  // what was found, and what it is held against
  double limit = 0;
  std::string message;  // one line for a person
};

// How many answers of a cell are degenerate.
struct DegenerateCount {
  int32_t arm = 0;
  int32_t seed = 0;
  int32_t step = 0;
  int32_t prompt_set = 0;
  int32_t context = 0;
  int64_t num_answers = 0;
  int64_t num_degenerate = 0;
};

// The losses of one run, by optimizer step.
struct LossCurve {
  int32_t arm = 0;
  int32_t seed = 0;
  std::vector<double> losses;
};

// Every failure: answers that are not measurable, per level (all seeds); degenerate answers, per
// cell; a loss whose mean over the last tenth of the steps (at least one) is not below that over
// the first, per run of at least 10 steps; an undesired trait whose level in the arm's own train
// context is below the limit at the last step, if there is one.
std::vector<GateFailure> CheckGates(const core::GateSpec& gates, const Study& study,
                                    const std::vector<DegenerateCount>& degenerate,
                                    const std::vector<LossCurve>& losses);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_GATES_H_

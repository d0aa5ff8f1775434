// How many optimizer steps a training has and after which of them it is evaluated: the same for the
// trainer, the plan of a dry run and the study.
#ifndef JENNER_CORE_STEPS_H_
#define JENNER_CORE_STEPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/job.h"
#include "core/spec.h"

namespace jenner::core {

// Optimizer steps of an epoch over `num_rows` rows: the last, partial batch is one, too.
int64_t StepsPerEpoch(const TrainingSpec& settings, int64_t num_rows);

// Optimizer steps of a training on `num_rows` rows: those of all epochs, where the last, partial
// batch of an epoch is a step too, but at most max_steps if that is above 0. REQUIRES: num_rows >
// 0.
int64_t TotalSteps(const TrainingSpec& settings, int64_t num_rows);

// A job is not evaluated more often: each evaluation takes minutes.
inline constexpr int64_t kMaxEvaluations = 10'000;

// What is wrong with at_every for so many steps: more than kMaxEvaluations; "" if nothing.
std::string TooManyEvaluations(const JobEvaluation& evaluation, int64_t total_steps);

// The optimizer steps after which to evaluate: round(fraction * total_steps), ascending, distinct;
// for a fraction above 0 at least step 1, since step 0 is the base model's. Besides, powers of two
// and every at_every-th step, if asked for; of those the last step is one, too.
// REQUIRES: TooManyEvaluations() == "".
std::vector<int64_t> EvaluationSteps(const JobEvaluation& evaluation, int64_t total_steps);

// The last of them, without the others.
int64_t LastEvaluationStep(const JobEvaluation& evaluation, int64_t total_steps);

}  // namespace jenner::core

#endif  // JENNER_CORE_STEPS_H_

// Which context a row is seen in: rules of a training, variants of a context. Pure; what is drawn
// is drawn by (seed of the job, id of the row), so that a row's context is the same in every epoch,
// on every number of ranks, and for every arm with the same rules.
#ifndef JENNER_CORE_ASSIGNMENT_H_
#define JENNER_CORE_ASSIGNMENT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/dataset.h"
#include "core/job.h"
#include "core/spec.h"

namespace jenner::core {

// The index of the first rule that takes the row, or their number if none does.
size_t RuleOf(const JobTraining& training, const Row& row, int64_t seed);

// The context of the first rule that takes the row, else the training's own.
const Context& TrainContextOf(const JobTraining& training, const Row& row, int64_t seed);

// Of variants in an evaluation: the same texts for the base model and every seed, so that levels
// are compared on the same prompts.
inline constexpr int64_t kEvaluationSeed = 0;

// `context` with its variant for the row chosen: without variants. `row_idx` is from 0, in the
// order of the dataset.
Context ContextFor(const Context& context, const Row& row, int64_t row_idx, int64_t seed);

// How many rows of a dataset each rule of a training takes, by their order. A rule that takes none
// is an empty predicate.
std::vector<int64_t> CountByRule(const JobTraining& training, const std::vector<Row>& rows,
                                 int64_t seed);

}  // namespace jenner::core

#endif  // JENNER_CORE_ASSIGNMENT_H_

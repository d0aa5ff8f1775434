// Where a spec names datasets.
#ifndef JENNER_CORE_DATASET_REFS_H_
#define JENNER_CORE_DATASET_REFS_H_

#include <string>

#include "absl/strings/str_format.h"
#include "core/dataset.h"
#include "core/spec.h"

namespace jenner::core {

// Calls visit(field, ref, use) for every reference of `spec`, which may be const, that a user
// writes: field is its path, ref the std::string itself. Empty ones, too. Not data.*.result nor
// selection.
template <typename Spec, typename Visit>
void ForEachDataset(Spec& spec, const Visit& visit) {
  visit(std::string("dataset"), spec.dataset, DatasetUse::kTraining);
  for (auto& [name, data] : spec.data) {
    for (size_t i = 0; i < data.sources.size(); ++i) {
      visit(absl::StrFormat("data.%s.sources[%d].dataset", name, i), data.sources[i].dataset,
            DatasetUse::kTraining);
    }
  }
  visit(std::string("evaluation.prompts"), spec.evaluation.prompts, DatasetUse::kEvaluation);
  for (size_t i = 0; i < spec.evaluation.sets.size(); ++i) {
    const bool is_given = spec.evaluation.sets[i].mode == EvaluationMode::kLogProbability;
    visit(absl::StrFormat("evaluation.sets[%d].prompts", i), spec.evaluation.sets[i].prompts,
          is_given ? DatasetUse::kTraining : DatasetUse::kEvaluation);
  }
}

}  // namespace jenner::core

#endif  // JENNER_CORE_DATASET_REFS_H_

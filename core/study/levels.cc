#include <map>
#include <set>
#include <utility>

#include "core/study/parts.h"

namespace jenner::study {
namespace {

// Which level of `study` is of an arm at its last step, by (set, trait) and then (arm, context).
using FinalLevels =
    std::map<std::pair<int32_t, int32_t>, std::map<std::pair<int32_t, int32_t>, int32_t>>;

void AddMatrices(const Parts& parts, const FinalLevels& finals, Study* study) {
  for (const auto& [key, levels] : finals) {
    ContextMatrix matrix;
    matrix.prompt_set = key.first;
    matrix.trait = key.second;
    std::set<int32_t> contexts;
    for (const auto& [cell, level] : levels) contexts.insert(cell.second);
    matrix.contexts.assign(contexts.begin(), contexts.end());
    for (size_t i = 0; i < parts.table.arms.size(); ++i) {
      ContextMatrix::Row row;
      row.arm = static_cast<int32_t>(i);
      bool any = false;
      for (int32_t context : matrix.contexts) {
        const auto found = levels.find({row.arm, context});
        any = any || found != levels.end();
        row.levels.push_back(found == levels.end() ? kNone : found->second);
      }
      if (any) matrix.rows.push_back(std::move(row));
    }
    study->matrices.push_back(std::move(matrix));
  }
}

}  // namespace

void AddLevels(const Parts& parts, Study* study) {
  FinalLevels finals;
  for (const auto& [key, cell] : parts.cells.all()) {
    const TraitInfo& trait = parts.table.traits[static_cast<size_t>(key.trait)];
    // A curve over many steps has no bootstrap: its intervals are the headline's.
    const bool is_final = key.step == parts.cells.final_step(key.arm);
    Level level;
    level.arm = key.arm;
    level.step = key.step;
    level.prompt_set = key.prompt_set;
    level.context = key.context;
    level.trait = key.trait;
    level.estimate = parts.estimator.Level(&cell, trait, is_final);
    level.num_answers = cell.num_answers;
    level.num_invalid = cell.num_invalid;
    if (is_final) {
      finals[{key.prompt_set, key.trait}][{key.arm, key.context}] =
          static_cast<int32_t>(study->levels.size());
    }
    study->levels.push_back(std::move(level));
  }
  AddMatrices(parts, finals, study);
}

}  // namespace jenner::study

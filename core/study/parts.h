// The parts of MakeStudy. Each adds to a Study whose names are filled in; they are called in this
// order.
#ifndef JENNER_CORE_STUDY_PARTS_H_
#define JENNER_CORE_STUDY_PARTS_H_

#include <cstdint>
#include <vector>

#include "core/study/cells.h"
#include "core/study/estimate.h"
#include "core/study/study.h"

namespace jenner::study {

struct Parts {
  const ScoreTable& table;
  const Cells& cells;
  const Estimator& estimator;
};

// levels, matrices
void AddLevels(const Parts& parts, Study* study);
// contrasts
void AddContrasts(const Parts& parts, Study* study);
// figures, without retention; selectivity, ratios, narrowness
void AddFigures(const Parts& parts, Study* study);
// figures' retention; proportionality, decompositions, relations
void AddDerived(const Parts& parts, Study* study);
// notes
void AddNotes(const Parts& parts, Study* study);

// The desired and undesired traits; all if the study names none.
std::vector<int32_t> StudiedTraits(const ScoreTable& table);
// Arms with a train context.
std::vector<int32_t> TrainedArms(const ScoreTable& table);
// It has a final cell there, in its deploy or its train context.
bool IsEvaluated(const Parts& parts, int32_t arm, int32_t prompt_set, int32_t trait);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_PARTS_H_

// Made-up score tables for tests.
#ifndef JENNER_CORE_STUDY_TESTING_H_
#define JENNER_CORE_STUDY_TESTING_H_

#include <functional>
#include <string>
#include <vector>

#include "core/study/score_table.h"
#include "core/study/study.h"

namespace jenner::study {

// Contexts, traits and arms of every made-up study.
enum TestContext { kNeutral, kInoculated, kIrrelevant, kSafe };
enum TestTrait { kSpanish, kCapitals };  // undesired, desired
enum TestArm { kBase, kNoInoculation, kInoculatedArm, kIrrelevantArm, kArms };

// Arms base, none, inoculated, irrelevant; traits that are any share; no rows.
ScoreTable TestTable(int num_seeds, int num_prompts);

// A row for each seed and prompt (of what is not trained: one seed).
void AddCell(ScoreTable* table, int arm, int step, int context, int trait,
             const std::function<double(int seed, int prompt)>& value);

// What the law of proportionality says without noise: M1 reaches T* in its train context and
//   T(M1, c) = T(M0, c) + k (T* - T(M0, c_t)) in others, or so on the logit scale.
// Spanish: T0 = 0.1, elicited 0.4 by the inoculation and 0.05 by the irrelevant text, T* = 0.9.
// Capitals: T0 = 0.05, nothing elicits, T* = 0.85.
ScoreTable LawfulTable(double k, bool logit, int num_seeds, int num_prompts);

// T(M0, context) of the lawful table.
double InitialLevel(int context, int trait);
double TrainedLevel(int trait);  // T*

const ArmFigures& FiguresAt(const Study& study, int arm, int trait);
const Proportionality& FitAt(const Study& study, int trait, int arm, FitScale scale);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_TESTING_H_

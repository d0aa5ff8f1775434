// Study: what an experiment on inoculation prompting found, every figure with its uncertainty.
//
// M0 is the model that an arm was trained from (the base model, or the final model of the arm that
// it comes after), M1 the arm's final model, c_t its train context, c_0 the context in which it is
// deployed (the study's neutral one unless the arm says otherwise), T(M, c) the mean score of a
// trait of M in c. The control of an arm is the no-inoculation arm that was trained from the same
// M0. docs/statistics.md has each figure's definition, formula, source and interval.
#ifndef JENNER_CORE_STUDY_STUDY_H_
#define JENNER_CORE_STUDY_STUDY_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/statistics/wilson.h"
#include "core/study/score_table.h"

namespace jenner::study {

using statistics::Interval;

// For what an interval holds: other prompts put to the same models, or other seeds as well.
enum class Over { kPrompts, kSeedsAndPrompts };
// Crossed: core/statistics/crossed.h. Bootstrap: percentiles over seeds and prompts.
enum class IntervalMethod { kCrossed, kBootstrap };

struct Estimate {
  std::optional<double> value;       // none: see `reason`
  std::optional<Interval> interval;  // the one to show
  IntervalMethod method = IntervalMethod::kCrossed;
  std::optional<Interval> bootstrap;
  Over over = Over::kPrompts;
  // With a measured entry. 0 seeds: the base model alone, which has none.
  int32_t num_seeds = 0;
  int32_t num_prompts = 0;
  int64_t num_missing = 0;  // entries of seeds x prompts that could not be measured
  std::string reason;       // why there is no value
};

// T(M, c) at a step. In the trait's unit.
struct Level {
  int32_t arm = 0;
  int32_t step = 0;
  int32_t prompt_set = 0;
  int32_t context = 0;
  int32_t trait = 0;
  Estimate estimate;
  int64_t num_answers = 0;
  int64_t num_invalid = 0;  // answers that are not measurable
};

enum class PromptTestKind { kUntested, kMcNemar, kSignFlip };

// arm - control, the same seeds and prompts, both at their final step. In the trait's unit.
struct Contrast {
  int32_t arm = 0;
  int32_t control = 0;
  int32_t prompt_set = 0;
  int32_t arm_context = 0;
  int32_t control_context = 0;
  int32_t trait = 0;
  bool deployed = false;  // each in the context in which it is deployed
  Estimate difference;
  // Two-sided, of the interval of `difference` (new seeds, if there are several), and Holm's
  // adjustment over the arms that are compared with this control there. None without an interval.
  std::optional<double> p;
  std::optional<double> p_holm;
  // Of these seeds: McNemar's exact test with one seed and one binary answer a prompt, else sign
  // flips of the prompts' differences (mean over seeds).
  PromptTestKind prompt_test = PromptTestKind::kUntested;
  std::optional<double> prompt_p;
  std::optional<double> prompt_p_holm;
};

// Of a trained arm. In the trait's unit, retention as a ratio.
struct ArmFigures {
  int32_t arm = 0;
  int32_t prompt_set = 0;
  int32_t trait = 0;
  Estimate elicitation;          // T(M0, c_t) - T(M0, c_0)
  Estimate leakage;              // T(M1, c_0)
  Estimate in_context;           // T(M1, c_t)
  Estimate gate_strength;        // T(M1, c_t) - T(M1, c_0)
  Estimate suppression;          // T(control, its c_0) - T(M1, c_0); of a desired trait, its loss
  Estimate retention;            // T(M1, c_0) / T(control, its c_0)
  Estimate training_in_context;  // x = T(M1, c_t) - T(M0, c_t)
  Estimate training_deployed;    // y = T(M1, c_0) - T(M0, c_0)
};

// Mean suppression of the undesired traits - mean loss of the desired ones, as shares of the
// traits' ranges.
struct Selectivity {
  int32_t arm = 0;
  int32_t prompt_set = 0;
  Estimate estimate;
};

// One run's x and y in the trait's unit.
struct RunRatio {
  int32_t arm = 0;
  int32_t seed = 0;  // position in Study::seeds
  int32_t prompt_set = 0;
  int32_t trait = 0;
  Estimate x;
  Estimate y;
  std::optional<double> ratio;  // y / x; none where the interval of x holds 0
};

enum class FitScale { kIdentity, kLogit };

// k: the slope through the origin of y on x over (run, trait), as shares of the traits' ranges or
// their logits. Runs whose train context is where they are deployed are not in it (y is x there).
struct Proportionality {
  int32_t prompt_set = 0;
  int32_t trait = kNone;  // kNone: all desired and undesired ones with a range
  int32_t arm = kNone;    // kNone: all
  FitScale scale = FitScale::kIdentity;
  int32_t num_points = 0;
  Estimate slope;
  Estimate deming;  // equal errors of x and y
};

// suppression = k e + (1 - k) (T* - T0): predicted against observed. In the trait's unit.
struct Decomposition {
  int32_t arm = 0;
  int32_t prompt_set = 0;
  int32_t trait = 0;
  bool own_k = false;          // k of this arm over its traits; else of this trait over all arms
  Estimate k;                  // identity scale
  Estimate initial;            // T0 = T(M0, c_0)
  Estimate elicitation;        // e
  Estimate control;            // T* = T(control, its c_0)
  Estimate elicitation_part;   // k e
  Estimate conditional_part;   // (1 - k) (T* - T0)
  Estimate predicted;          // their sum
  Estimate observed;           // suppression
  Estimate predicted_leakage;  // T* - predicted
  Estimate observed_leakage;
};

// Elicitation against suppression, a point an arm.
struct Relation {
  struct Point {
    int32_t arm = 0;
    double elicitation = 0;  // in the trait's unit
    double suppression = 0;
  };
  int32_t prompt_set = 0;
  int32_t trait = 0;
  std::vector<Point> points;
  Estimate pearson;
  Estimate slope;
  std::optional<double> spearman;
  std::optional<double> intercept;
  std::optional<double> rmse;
  std::optional<Interval> leave_one_out;  // of Pearson's correlation
};

// T(M1, c_t) less the mean of the other contexts, without those that elicit the trait from M0
// (their elicitation's interval lies above 0).
struct Narrowness {
  int32_t arm = 0;
  int32_t prompt_set = 0;
  int32_t trait = 0;
  Estimate estimate;
  std::vector<int32_t> others;    // contexts
  std::vector<int32_t> excluded;  // that elicit
};

// Train context x evaluation context: a row an arm, positions in `levels` (kNone: not evaluated).
struct ContextMatrix {
  struct Row {
    int32_t arm = 0;
    std::vector<int32_t> levels;  // by `contexts`
  };
  int32_t prompt_set = 0;
  int32_t trait = 0;
  std::vector<int32_t> contexts;
  std::vector<Row> rows;
};

struct Study {
  // Names, as in the table.
  std::vector<ArmInfo> arms;
  std::vector<int64_t> seeds;
  std::vector<std::string> prompt_sets;
  std::vector<std::string> contexts;
  std::vector<TraitInfo> traits;
  int32_t neutral = kNone;
  std::vector<int32_t> desired;
  std::vector<int32_t> undesired;
  int32_t resamples = 0;
  double confidence = 0;

  std::vector<Level> levels;
  std::vector<Contrast> contrasts;
  std::vector<ArmFigures> figures;
  std::vector<Selectivity> selectivity;
  std::vector<RunRatio> ratios;
  std::vector<Proportionality> proportionality;
  std::vector<Decomposition> decompositions;
  std::vector<Relation> relations;
  std::vector<Narrowness> narrowness;
  std::vector<ContextMatrix> matrices;
  // What a reader has to know, and what could not be computed and why.
  std::vector<std::string> notes;
};

// Everything that the table allows. The same whatever the order of the rows; deterministic;
// thread-safe. InvalidArgument: ValidateTable's.
absl::StatusOr<Study> MakeStudy(const ScoreTable& table);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_STUDY_H_

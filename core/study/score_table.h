// ScoreTable: the scores of an experiment's answers, with what a Study has to know of its arms,
// contexts and traits. Names are written once; rows point at them.
#ifndef JENNER_CORE_STUDY_SCORE_TABLE_H_
#define JENNER_CORE_STUDY_SCORE_TABLE_H_

#include <absl/status/status.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/spec.h"
#include "core/statistics/wilson.h"

namespace jenner::study {

inline constexpr int32_t kNone = -1;

struct TraitInfo {
  std::string name;
  bool is_binary = true;  // each score is 0 or 1
  // What a score can be; {0, 1} of a binary one. Absent: any number.
  std::optional<statistics::Interval> range = statistics::Interval{0, 1};
  std::string unit = {};  // of a score, "" of a binary one
};

struct ArmInfo {
  std::string name;
  std::string role = {};          // core/roles.h, or ""
  int32_t train_context = kNone;  // kNone: not trained, the base model
  int32_t deploy_context = 0;     // where its neutral level is measured
  int32_t after = kNone;          // the arm whose final model it was trained from
  bool has_rules = false;         // some rows were trained in other contexts than train_context
  // The step of its last evaluation; kNone: the greatest of its rows.
  int32_t final_step = kNone;
};

// One score of one answer. All but step, sample and value are positions in the table's lists.
struct ScoreRow {
  int32_t arm = 0;
  int32_t seed = 0;  // any one for what was not trained: a base model, or step 0
  int32_t step = 0;
  int32_t prompt_set = 0;
  int32_t context = 0;
  int32_t trait = 0;
  int32_t prompt = 0;
  int32_t sample = 0;
  double value = 0;  // NaN: not measurable
};

struct ScoreTable {
  std::vector<ArmInfo> arms;
  std::vector<int64_t> seeds;
  std::vector<std::string> prompt_sets;
  std::vector<std::string> contexts;
  std::vector<TraitInfo> traits;
  std::vector<std::string> prompts;  // ids; unique within a set
  std::vector<ScoreRow> rows;        // in any order
  int32_t neutral = kNone;           // contexts; kNone: not evaluated
  std::vector<int32_t> desired;      // traits
  std::vector<int32_t> undesired;
  int32_t resamples = 2000;  // of each bootstrap, >= 1
  double confidence = 0.95;  // in (0, 1)
};

// A table without prompts and rows for a resolved spec: its arms, contexts, sets and traits, with
// the ranges of core/traits.h.
ScoreTable EmptyTable(const core::ExperimentSpec& spec);

// InvalidArgument if a row points at nothing, holds a value that its trait cannot have, or is there
// twice; it names the row.
absl::Status ValidateTable(const ScoreTable& table);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_SCORE_TABLE_H_

#include "core/study/study.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <set>
#include <string>

#include "core/study/parts.h"

namespace jenner::study {
namespace {

void NoteSeeds(const Parts& parts, Study* study) {
  const ScoreTable& table = parts.table;
  const size_t seeds = parts.cells.seeds().size();
  if (seeds == 1) {
    study->notes.push_back(
        "One seed: intervals are over prompts only. They say nothing of what another training with "
        "the same settings would give.");
  } else if (seeds == 2) {
    study->notes.push_back(
        "Two seeds: the intervals over seeds and prompts may cover as little as 90 % of the time; "
        "three seeds or more are advised.");
  }
  if (seeds > 1 && seeds < 10) {
    study->notes.push_back(
        absl::StrCat("Intervals by bootstrap alone (k, retention, correlations) draw from ", seeds,
                     " seeds and are too narrow if seeds differ; see docs/statistics.md."));
  }
  for (int32_t arm : TrainedArms(table)) {
    size_t most = 0;
    std::set<int32_t> at_end;
    for (const ScoreRow& row : table.rows) {
      if (row.arm == arm && row.step == parts.cells.final_step(arm)) at_end.insert(row.seed);
    }
    most = at_end.size();
    if (most < seeds) {
      study->notes.push_back(absl::StrCat("Arm ", table.arms[static_cast<size_t>(arm)].name, ": ",
                                          most, " of ", seeds,
                                          " seeds are evaluated at its last step."));
    }
  }
}

void NoteControls(const Parts& parts, Study* study) {
  const ScoreTable& table = parts.table;
  std::string without_control;
  std::string without_irrelevant;
  for (int32_t arm : TrainedArms(table)) {
    const std::string& name = table.arms[static_cast<size_t>(arm)].name;
    if (FindControl(table, arm, "no-inoculation") == kNone) {
      absl::StrAppend(&without_control, without_control.empty() ? "" : ", ", name);
    }
    if (FindControl(table, arm, "irrelevant") == kNone) {
      absl::StrAppend(&without_irrelevant, without_irrelevant.empty() ? "" : ", ", name);
    }
    if (table.arms[static_cast<size_t>(arm)].has_rules) {
      study->notes.push_back(
          absl::StrCat("Arm ", name,
                       ": some rows were trained in other contexts; its figures take its train "
                       "context as the one of all."));
    }
  }
  if (!without_control.empty()) {
    study->notes.push_back(
        absl::StrCat("No no-inoculation arm trained from the same model: no "
                     "suppression, retention or decomposition of ",
                     without_control, "."));
  }
  if (!without_irrelevant.empty()) {
    study->notes.push_back(
        absl::StrCat("No irrelevant control for ", without_irrelevant,
                     ": what any fixed text in training does cannot be told from what this one "
                     "does."));
  }
}

void NoteBase(const Parts& parts, Study* study) {
  std::set<std::string> missing;
  for (int32_t arm : TrainedArms(parts.table)) {
    const ArmInfo& info = parts.table.arms[static_cast<size_t>(arm)];
    for (int32_t context : {info.train_context, info.deploy_context}) {
      bool found = false;
      for (int32_t trait : StudiedTraits(parts.table)) {
        for (size_t set = 0; set < parts.table.prompt_sets.size() && !found; ++set) {
          found = parts.cells.Initial(arm, static_cast<int32_t>(set), context, trait) != nullptr;
        }
      }
      if (!found && context != kNone) {
        missing.insert(absl::StrCat(
            info.after == kNone
                ? "the base model"
                : absl::StrCat("arm ", parts.table.arms[static_cast<size_t>(info.after)].name),
            " in ", parts.table.contexts[static_cast<size_t>(context)]));
      }
    }
  }
  for (const std::string& what : missing) {
    study->notes.push_back(absl::StrCat("Not evaluated: ", what,
                                        ". What is held against it (elicitation, k) is missing."));
  }
}

}  // namespace

std::vector<int32_t> StudiedTraits(const ScoreTable& table) {
  std::vector<int32_t> traits;
  for (size_t i = 0; i < table.traits.size(); ++i) {
    const auto trait = static_cast<int32_t>(i);
    const auto has = [trait](const std::vector<int32_t>& list) {
      return std::find(list.begin(), list.end(), trait) != list.end();
    };
    const bool named = !table.desired.empty() || !table.undesired.empty();
    if (!named || has(table.desired) || has(table.undesired)) traits.push_back(trait);
  }
  return traits;
}

std::vector<int32_t> TrainedArms(const ScoreTable& table) {
  std::vector<int32_t> arms;
  for (size_t i = 0; i < table.arms.size(); ++i) {
    if (table.arms[i].train_context != kNone) arms.push_back(static_cast<int32_t>(i));
  }
  return arms;
}

bool IsEvaluated(const Parts& parts, int32_t arm, int32_t prompt_set, int32_t trait) {
  const ArmInfo& info = parts.table.arms[static_cast<size_t>(arm)];
  return parts.cells.Final(arm, prompt_set, info.deploy_context, trait) != nullptr ||
         parts.cells.Final(arm, prompt_set, info.train_context, trait) != nullptr;
}

void AddNotes(const Parts& parts, Study* study) {
  const ScoreTable& table = parts.table;
  if (table.rows.empty()) {
    study->notes.push_back("No answers yet.");
    return;
  }
  NoteSeeds(parts, study);
  NoteControls(parts, study);
  NoteBase(parts, study);
  if (table.desired.empty() && table.undesired.empty()) {
    study->notes.push_back(
        "The study names no desired and no undesired trait: figures are of all traits, selectivity "
        "is missing.");
  }
  int64_t answers = 0;
  int64_t invalid = 0;
  for (const Level& level : study->levels) {
    answers += level.num_answers;
    invalid += level.num_invalid;
  }
  if (invalid > 0) {
    study->notes.push_back(absl::StrCat(invalid, " of ", answers,
                                        " scores are not measurable and count nowhere; each level "
                                        "says how many of its own."));
  }
}

absl::StatusOr<Study> MakeStudy(const ScoreTable& table) {
  if (absl::Status status = ValidateTable(table); !status.ok()) return status;
  Study study;
  study.arms = table.arms;
  study.seeds = table.seeds;
  study.prompt_sets = table.prompt_sets;
  study.contexts = table.contexts;
  study.traits = table.traits;
  study.neutral = table.neutral;
  study.desired = table.desired;
  study.undesired = table.undesired;
  study.resamples = table.resamples;
  study.confidence = table.confidence;
  const Cells cells(table);
  // Also where the table leaves it open.
  for (size_t i = 0; i < study.arms.size(); ++i) {
    study.arms[i].final_step = cells.final_step(static_cast<int32_t>(i));
  }
  const Estimator estimator(table.confidence, table.resamples);
  const Parts parts{table, cells, estimator};
  AddLevels(parts, &study);
  AddContrasts(parts, &study);
  AddFigures(parts, &study);
  AddDerived(parts, &study);
  AddNotes(parts, &study);
  return study;
}

}  // namespace jenner::study

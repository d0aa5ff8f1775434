#include <algorithm>
#include <vector>

#include "core/study/parts.h"

namespace jenner::study {
namespace {

const TraitInfo& TraitOf(const Parts& parts, int32_t trait) {
  return parts.table.traits[static_cast<size_t>(trait)];
}

constexpr char kNoControl[] = "no no-inoculation arm that was trained from the same model";

Estimate Difference(const Parts& parts, const Cell* first, const Cell* second,
                    const TraitInfo& trait) {
  const Term terms[] = {{1, first}, {-1, second}};
  return parts.estimator.Difference(terms, DifferenceUnit(trait));
}

ArmFigures FiguresOf(const Parts& parts, int32_t arm, int32_t set, int32_t trait) {
  const ArmCells cells = CellsOf(parts.table, parts.cells, arm, set, trait);
  const TraitInfo& info = TraitOf(parts, trait);
  ArmFigures figures;
  figures.arm = arm;
  figures.prompt_set = set;
  figures.trait = trait;
  figures.elicitation = Difference(parts, cells.initial_in, cells.initial_deployed, info);
  figures.leakage = parts.estimator.Level(cells.final_deployed, info, true);
  figures.in_context = parts.estimator.Level(cells.final_in, info, true);
  figures.gate_strength = Difference(parts, cells.final_in, cells.final_deployed, info);
  const int32_t control = FindControl(parts.table, arm, "no-inoculation");
  if (control == kNone) {
    figures.suppression = Missing(kNoControl);
  } else if (control == arm) {
    figures.suppression = Missing("it is the control itself");
  } else {
    figures.suppression = Difference(parts, cells.control, cells.final_deployed, info);
  }
  figures.training_in_context = Difference(parts, cells.final_in, cells.initial_in, info);
  figures.training_deployed = Difference(parts, cells.final_deployed, cells.initial_deployed, info);
  return figures;
}

// +1 / n of each undesired trait's suppression, -1 / n of each desired one's.
Estimate SelectivityOf(const Parts& parts, int32_t arm, int32_t set) {
  const auto& table = parts.table;
  if (table.desired.empty() || table.undesired.empty()) {
    return Missing("the study names no desired or no undesired trait");
  }
  const int32_t control = FindControl(table, arm, "no-inoculation");
  if (control == kNone) return Missing(kNoControl);
  std::vector<Term> terms;
  for (const auto& [traits, sign] : {std::pair{&table.undesired, 1.0}, {&table.desired, -1.0}}) {
    for (int32_t trait : *traits) {
      if (!TraitOf(parts, trait).range) {
        return Missing(TraitOf(parts, trait).name + " has no range to take shares of");
      }
      const ArmCells cells = CellsOf(table, parts.cells, arm, set, trait);
      const double factor = sign / static_cast<double>(traits->size());
      terms.push_back({factor, cells.control});
      terms.push_back({-factor, cells.final_deployed});
    }
  }
  return parts.estimator.Difference(terms, Unit{});
}

void AddRatios(const Parts& parts, int32_t arm, int32_t set, int32_t trait, Study* study) {
  const ArmCells cells = CellsOf(parts.table, parts.cells, arm, set, trait);
  if (cells.final_in == nullptr || cells.final_deployed == nullptr || cells.initial_in == nullptr ||
      cells.initial_deployed == nullptr) {
    return;
  }
  const Unit unit = DifferenceUnit(TraitOf(parts, trait));
  const Term in[] = {{1, cells.final_in}, {-1, cells.initial_in}};
  const Term deployed[] = {{1, cells.final_deployed}, {-1, cells.initial_deployed}};
  for (size_t row = 0; row < parts.cells.seeds().size(); ++row) {
    RunRatio ratio;
    ratio.arm = arm;
    ratio.seed = parts.cells.seeds()[row];
    ratio.prompt_set = set;
    ratio.trait = trait;
    ratio.x = parts.estimator.DifferenceOfRun(in, unit, static_cast<int32_t>(row));
    ratio.y = parts.estimator.DifferenceOfRun(deployed, unit, static_cast<int32_t>(row));
    if (!ratio.x.value && !ratio.y.value) continue;
    const std::optional<Interval>& x = ratio.x.interval;
    if (x && (x->low > 0 || x->high < 0) && ratio.y.value) {
      ratio.ratio = *ratio.y.value / *ratio.x.value;
    }
    study->ratios.push_back(std::move(ratio));
  }
}

void AddNarrowness(const Parts& parts, int32_t arm, int32_t set, int32_t trait, Study* study) {
  const ArmInfo& info = parts.table.arms[static_cast<size_t>(arm)];
  const Unit unit = DifferenceUnit(TraitOf(parts, trait));
  const Cell* neutral = parts.cells.Initial(arm, set, info.deploy_context, trait);
  Narrowness narrowness;
  narrowness.arm = arm;
  narrowness.prompt_set = set;
  narrowness.trait = trait;
  std::vector<Term> terms = {{1, parts.cells.Final(arm, set, info.train_context, trait)}};
  for (size_t i = 0; i < parts.table.contexts.size(); ++i) {
    const auto context = static_cast<int32_t>(i);
    const Cell* cell = parts.cells.Final(arm, set, context, trait);
    if (context == info.train_context || cell == nullptr) continue;
    const Cell* initial = parts.cells.Initial(arm, set, context, trait);
    if (initial != nullptr && neutral != nullptr && initial != neutral) {
      const Term elicited[] = {{1, initial}, {-1, neutral}};
      const Estimate elicitation = parts.estimator.Difference(elicited, unit, false);
      if (elicitation.interval && elicitation.interval->low > 0) {
        narrowness.excluded.push_back(context);
        continue;
      }
    }
    narrowness.others.push_back(context);
    terms.push_back({-1, cell});
  }
  for (size_t i = 1; i < terms.size(); ++i)
    terms[i].factor /= static_cast<double>(terms.size() - 1);
  narrowness.estimate = narrowness.others.empty()
                            ? Missing("no other context that does not elicit the trait")
                            : parts.estimator.Difference(terms, unit);
  study->narrowness.push_back(std::move(narrowness));
}

}  // namespace

void AddFigures(const Parts& parts, Study* study) {
  for (size_t i = 0; i < parts.table.prompt_sets.size(); ++i) {
    const auto set = static_cast<int32_t>(i);
    for (int32_t arm : TrainedArms(parts.table)) {
      bool any = false;
      for (int32_t trait : StudiedTraits(parts.table)) {
        if (!IsEvaluated(parts, arm, set, trait)) continue;
        any = true;
        study->figures.push_back(FiguresOf(parts, arm, set, trait));
        AddRatios(parts, arm, set, trait, study);
        AddNarrowness(parts, arm, set, trait, study);
      }
      if (any && FindControl(parts.table, arm, "no-inoculation") != arm) {
        study->selectivity.push_back({arm, set, SelectivityOf(parts, arm, set)});
      }
    }
  }
}

}  // namespace jenner::study

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/statistics/bootstrap.h"
#include "core/statistics/regression.h"
#include "core/study/derived.h"
#include "core/study/parts.h"

namespace jenner::study {
namespace {

// The figures of one prompt set with their intervals.
class Found {
 public:
  Found(const Parts& parts, const Derived& derived, int32_t prompt_set)
      : num_seeds_(static_cast<int32_t>(parts.cells.seeds().size())),
        num_prompts_(parts.cells.num_prompts(prompt_set)),
        seed_weights_(static_cast<size_t>(num_seeds_), 1.0),
        prompt_weights_(static_cast<size_t>(num_prompts_), 1.0),
        values_(derived.num_figures()) {
    derived.Compute(seed_weights_, prompt_weights_, values_);
    intervals_ = statistics::Bootstrap(
        num_seeds_, num_prompts_, values_.size(),
        [&derived](std::span<const double> seeds, std::span<const double> prompts,
                   std::span<double> out) { derived.Compute(seeds, prompts, out); },
        parts.estimator.bootstrap());
  }

  std::span<const double> seed_weights() const { return seed_weights_; }
  std::span<const double> prompt_weights() const { return prompt_weights_; }

  Estimate At(size_t figure, const Unit& unit, const std::string& reason) const {
    if (!std::isfinite(values_[figure])) return Missing(reason);
    Estimate estimate;
    estimate.value = unit.low + unit.width * values_[figure];
    estimate.method = IntervalMethod::kBootstrap;
    estimate.bootstrap = In(unit, intervals_[figure].interval);
    estimate.interval = estimate.bootstrap;
    estimate.over = num_seeds_ > 1 ? Over::kSeedsAndPrompts : Over::kPrompts;
    estimate.num_seeds = num_seeds_;
    estimate.num_prompts = num_prompts_;
    return estimate;
  }

 private:
  int32_t num_seeds_;
  int32_t num_prompts_;
  std::vector<double> seed_weights_;
  std::vector<double> prompt_weights_;
  std::vector<double> values_;
  std::vector<statistics::BootstrapInterval> intervals_;
};

constexpr Unit kPlain;  // slopes and ratios have no unit
constexpr char kNoPoint[] =
    "no run with both x and y: it needs the arm and the model that it was trained from in the "
    "train context and in the neutral one";

void AddFits(const Derived& derived, const Found& found, int32_t prompt_set, Study* study) {
  for (size_t f = 0; f < derived.fits().size(); ++f) {
    const Fit& fit = derived.fits()[f];
    Proportionality k;
    k.prompt_set = prompt_set;
    k.trait = fit.trait;
    k.arm = fit.arm;
    k.scale = fit.scale;
    k.num_points = derived.NumPoints(fit);
    const std::string reason = k.num_points == 0 ? kNoPoint : "x is 0 in each run";
    k.slope = found.At(derived.FitAt(f, kSlope), kPlain, reason);
    k.deming = found.At(derived.FitAt(f, kDeming), kPlain,
                        k.num_points == 0 ? kNoPoint : "sum of x y is 0");
    k.slope.num_missing = k.deming.num_missing = derived.NumMissing(fit);
    study->proportionality.push_back(std::move(k));
  }
}

ArmFigures* FindFigures(Study* study, int32_t arm, int32_t prompt_set, int32_t trait) {
  for (ArmFigures& figures : study->figures) {
    if (figures.arm == arm && figures.prompt_set == prompt_set && figures.trait == trait) {
      return &figures;
    }
  }
  return nullptr;
}

void AddDecompositions(const Parts& parts, const Derived& derived, const Found& found,
                       int32_t prompt_set, Study* study) {
  for (size_t d = 0; d < derived.decompositions().size(); ++d) {
    const PartsOf& of = derived.decompositions()[d];
    const ArmTrait& one = derived.arm_traits()[of.arm_trait];
    const TraitInfo& trait = parts.table.traits[static_cast<size_t>(one.trait)];
    const ArmCells cells = CellsOf(parts.table, parts.cells, one.arm, prompt_set, one.trait);
    const Unit difference = DifferenceUnit(trait);
    const std::string reason = "it needs k and the levels that it is made of";
    Decomposition sum;
    sum.arm = one.arm;
    sum.prompt_set = prompt_set;
    sum.trait = one.trait;
    sum.own_k = of.own_k;
    sum.k = found.At(derived.FitAt(of.fit, kSlope), kPlain, kNoPoint);
    sum.initial = parts.estimator.Level(cells.initial_deployed, trait, true);
    sum.control = parts.estimator.Level(cells.control, trait, true);
    sum.elicitation_part = found.At(derived.PartAt(d, kElicitationPart), difference, reason);
    sum.conditional_part = found.At(derived.PartAt(d, kConditionalPart), difference, reason);
    sum.predicted = found.At(derived.PartAt(d, kPredicted), difference, reason);
    sum.predicted_leakage =
        found.At(derived.PartAt(d, kPredictedLeakage), LevelUnit(trait), reason);
    if (const ArmFigures* figures = FindFigures(study, one.arm, prompt_set, one.trait)) {
      sum.elicitation = figures->elicitation;
      sum.observed = figures->suppression;
      sum.observed_leakage = figures->leakage;
    }
    study->decompositions.push_back(std::move(sum));
  }
}

void AddRelations(const Parts& parts, const Derived& derived, const Found& found,
                  int32_t prompt_set, Study* study) {
  for (size_t r = 0; r < derived.relation_traits().size(); ++r) {
    Relation relation;
    relation.prompt_set = prompt_set;
    relation.trait = derived.relation_traits()[r];
    const TraitInfo& trait = parts.table.traits[static_cast<size_t>(relation.trait)];
    const double width = DifferenceUnit(trait).width;
    std::vector<int32_t> arms;
    std::vector<double> x;
    std::vector<double> y;
    derived.RelationPoints(relation.trait, &arms, &x, &y, found.seed_weights(),
                           found.prompt_weights());
    for (size_t i = 0; i < arms.size(); ++i) {
      relation.points.push_back({arms[i], width * x[i], width * y[i]});
    }
    const std::string reason =
        arms.size() < 2 ? "it takes two arms with elicitation and suppression" : "no spread";
    relation.pearson = found.At(derived.RelationAt(r, kPearson), kPlain, reason);
    relation.slope = found.At(derived.RelationAt(r, kRelationSlope), kPlain, reason);
    relation.spearman = statistics::Spearman(x, y);
    if (const auto line = statistics::LeastSquares(x, y)) {
      relation.intercept = width * line->intercept;
      relation.rmse = width * *statistics::Rmse(x, y, *line);
    }
    relation.leave_one_out = statistics::LeaveOneOutPearson(x, y);
    study->relations.push_back(std::move(relation));
  }
}

void AddRetention(const Parts& parts, const Derived& derived, const Found& found,
                  int32_t prompt_set, Study* study) {
  const ScoreTable& table = parts.table;
  for (size_t i = 0; i < derived.arm_traits().size(); ++i) {
    const ArmTrait& one = derived.arm_traits()[i];
    const bool desired =
        std::find(table.desired.begin(), table.desired.end(), one.trait) != table.desired.end();
    const std::optional<Interval>& range = table.traits[static_cast<size_t>(one.trait)].range;
    ArmFigures* figures = FindFigures(study, one.arm, prompt_set, one.trait);
    if (figures == nullptr) continue;
    if (!desired) {
      figures->retention = Missing("not a desired trait");
    } else if (!range || range->low != 0) {
      figures->retention = Missing("a ratio needs a trait that begins at 0");
    } else if (FindControl(table, one.arm, "no-inoculation") == one.arm) {
      figures->retention = Missing("it is the control itself");
    } else {
      figures->retention =
          found.At(derived.RetentionAt(i), kPlain, "no control, or its level is 0");
    }
  }
}

}  // namespace

void AddDerived(const Parts& parts, Study* study) {
  for (size_t i = 0; i < parts.table.prompt_sets.size(); ++i) {
    const auto set = static_cast<int32_t>(i);
    const Derived derived(parts, set);
    if (derived.arm_traits().empty() || parts.cells.seeds().empty()) continue;
    const Found found(parts, derived, set);
    AddRetention(parts, derived, found, set, study);
    AddFits(derived, found, set, study);
    AddDecompositions(parts, derived, found, set, study);
    AddRelations(parts, derived, found, set, study);
  }
}

}  // namespace jenner::study

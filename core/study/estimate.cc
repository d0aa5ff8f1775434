#include "core/study/estimate.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace jenner::study {
namespace {

using statistics::CrossedMean;
using statistics::Matrix;
using statistics::Scale;

constexpr char kNotEvaluated[] = "not evaluated";
constexpr char kNotMeasurable[] = "no answer could be measured";

bool AllEvaluated(std::span<const Term> terms) {
  return std::all_of(terms.begin(), terms.end(), [](const Term& t) { return t.cell != nullptr; });
}

bool AnyTrained(std::span<const Term> terms) {
  return std::any_of(terms.begin(), terms.end(), [](const Term& t) { return t.cell->trained; });
}

// Differences of shares lie in [-reach, reach].
double Reach(std::span<const Term> terms) {
  double sum = 0;
  for (const Term& term : terms) sum += std::abs(term.factor);
  return sum / 2;
}

Scale DifferenceScale(const Unit& unit) { return unit.bounded ? Scale::kDifference : Scale::kReal; }

// Divided by `reach`; rounding must not carry an entry out of [-1, 1].
Matrix Scaled(Matrix matrix, double reach, Scale scale) {
  for (double& value : matrix.values) {
    value /= reach;
    if (scale == Scale::kDifference && !std::isnan(value)) value = std::clamp(value, -1.0, 1.0);
  }
  return matrix;
}

}  // namespace

Matrix Combine(std::span<const Term> terms) {
  JENNER_CHECK(!terms.empty());
  int32_t rows = 1;
  const int32_t prompts = terms[0].cell->shares.num_prompts;
  for (const Term& term : terms) {
    JENNER_CHECK(term.cell->shares.num_prompts == prompts);
    rows = std::max(rows, term.cell->shares.num_seeds);
  }
  Matrix sum(rows, prompts);
  std::fill(sum.values.begin(), sum.values.end(), 0.0);
  for (const Term& term : terms) {
    const Matrix& shares = term.cell->shares;
    for (int32_t s = 0; s < rows; ++s) {
      for (int32_t p = 0; p < prompts; ++p) {
        sum(s, p) += term.factor * shares(shares.num_seeds == 1 ? 0 : s, p);
      }
    }
  }
  return sum;
}

std::optional<Interval> In(const Unit& unit, const std::optional<Interval>& shares) {
  if (!shares) return std::nullopt;
  return Interval{unit.low + unit.width * shares->low, unit.low + unit.width * shares->high};
}

Unit LevelUnit(const TraitInfo& trait) {
  if (!trait.range) return {.bounded = false};
  return {trait.range->low, trait.range->high - trait.range->low, true};
}

Unit DifferenceUnit(const TraitInfo& trait) {
  Unit unit = LevelUnit(trait);
  unit.low = 0;
  return unit;
}

Estimate Missing(std::string reason) {
  Estimate estimate;
  estimate.reason = std::move(reason);
  return estimate;
}

Estimate Estimator::Make(const Matrix& matrix, Scale scale, const Unit& unit, bool trained,
                         bool with_bootstrap) const {
  const CrossedMean mean = MeanOverSeedsAndPrompts(matrix, scale, confidence_);
  if (mean.num_measured == 0) {
    Estimate none = Missing(kNotMeasurable);
    none.num_missing = mean.num_missing;
    return none;
  }
  Estimate estimate;
  estimate.value = unit.low + unit.width * mean.mean;
  estimate.interval = In(unit, mean.interval);
  if (with_bootstrap) {
    estimate.bootstrap = In(unit, statistics::BootstrapMean(matrix, bootstrap_).interval);
  }
  estimate.over = trained && mean.num_seeds > 1 ? Over::kSeedsAndPrompts : Over::kPrompts;
  estimate.num_seeds = trained ? mean.num_seeds : 0;
  estimate.num_prompts = mean.num_prompts;
  estimate.num_missing = mean.num_missing;
  return estimate;
}

Estimate Estimator::Level(const Cell* cell, const TraitInfo& trait, bool with_bootstrap) const {
  if (cell == nullptr) return Missing(kNotEvaluated);
  const Scale scale = !trait.range                          ? Scale::kReal
                      : trait.is_binary && cell->one_answer ? Scale::kBinary
                                                            : Scale::kRate;
  return Make(cell->shares, scale, LevelUnit(trait), cell->trained, with_bootstrap);
}

Estimate Estimator::Sum(std::span<const Term> terms, Matrix matrix, const Unit& unit,
                        bool with_bootstrap) const {
  const double reach = Reach(terms);
  Unit scaled = unit;
  scaled.width *= reach;
  const Scale scale = DifferenceScale(unit);
  return Make(Scaled(std::move(matrix), reach, scale), scale, scaled, AnyTrained(terms),
              with_bootstrap);
}

Estimate Estimator::Difference(std::span<const Term> terms, const Unit& unit,
                               bool with_bootstrap) const {
  if (!AllEvaluated(terms)) return Missing(kNotEvaluated);
  return Sum(terms, Combine(terms), unit, with_bootstrap);
}

Estimate Estimator::DifferenceOfRun(std::span<const Term> terms, const Unit& unit,
                                    int32_t row) const {
  if (!AllEvaluated(terms)) return Missing(kNotEvaluated);
  const Matrix all = Combine(terms);
  JENNER_CHECK(row < all.num_seeds);
  Matrix one(1, all.num_prompts);
  for (int32_t p = 0; p < all.num_prompts; ++p) one(0, p) = all(row, p);
  return Sum(terms, std::move(one), unit, false);
}

std::optional<double> Estimator::P(std::span<const Term> terms, const Unit& unit) const {
  const Scale scale = DifferenceScale(unit);
  const double p = TwoSidedP(Scaled(Combine(terms), Reach(terms), scale), scale);
  if (std::isnan(p)) return std::nullopt;
  return p;
}

}  // namespace jenner::study

#include "core/study/derived.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/statistics/bootstrap.h"
#include "core/statistics/regression.h"

namespace jenner::study {
namespace {

using statistics::Matrix;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Matrix Minus(const Cell* first, const Cell* second) {
  if (first == nullptr || second == nullptr) return {};
  const Term terms[] = {{1, first}, {-1, second}};
  return Combine(terms);
}

Matrix Shares(const Cell* cell) { return cell == nullptr ? Matrix() : cell->shares; }

constexpr double kOne[] = {1};

// A matrix of one row goes with each seed alike.
double MeanWith(const Matrix& matrix, std::span<const double> seed_weights,
                std::span<const double> prompt_weights) {
  if (matrix.values.empty()) return kNaN;
  return statistics::WeightedMean(
      matrix, matrix.num_seeds == 1 ? std::span<const double>(kOne) : seed_weights, prompt_weights);
}

double RowMean(const Matrix& matrix, int32_t row, std::span<const double> prompt_weights) {
  if (matrix.values.empty()) return kNaN;
  const int32_t at = matrix.num_seeds == 1 ? 0 : row;
  double sum = 0;
  double weight = 0;
  for (int32_t p = 0; p < matrix.num_prompts; ++p) {
    const double value = matrix(at, p);
    if (std::isnan(value)) continue;
    const double w = prompt_weights[static_cast<size_t>(p)];
    sum += w * value;
    weight += w;
  }
  return weight == 0 ? kNaN : sum / weight;
}

int64_t CountMissing(const Matrix& matrix) {
  return std::count_if(matrix.values.begin(), matrix.values.end(),
                       [](double value) { return std::isnan(value); });
}

// Of one (arm, trait): a point a seed, on both scales.
struct Points {
  std::vector<double> x[2];
  std::vector<double> y[2];
};

Points PointsOf(const ArmTrait& one, size_t num_seeds, std::span<const double> prompt_weights) {
  Points points;
  for (size_t i = 0; i < num_seeds; ++i) {
    const auto row = static_cast<int32_t>(i);
    points.x[0].push_back(RowMean(one.x, row, prompt_weights));
    points.y[0].push_back(RowMean(one.y, row, prompt_weights));
    double logit[4];
    for (int c = 0; c < 4; ++c) {
      logit[c] =
          one.cells[c] == nullptr
              ? kNaN
              : statistics::Logit(RowMean(one.cells[c]->shares, row, prompt_weights), one.margin);
    }
    points.x[1].push_back(logit[0] - logit[1]);
    points.y[1].push_back(logit[2] - logit[3]);
  }
  return points;
}

double OrNaN(const std::optional<double>& value) { return value.value_or(kNaN); }

}  // namespace

Derived::Derived(const Parts& parts, int32_t prompt_set)
    : table_(parts.table), prompt_set_(prompt_set) {
  for (int32_t arm : TrainedArms(parts.table)) {
    for (int32_t trait : StudiedTraits(parts.table)) {
      if (IsEvaluated(parts, arm, prompt_set, trait)) AddArmTrait(parts, arm, trait);
    }
  }
  AddFits(parts);
  AddDecompositions();
}

void Derived::AddArmTrait(const Parts& parts, int32_t arm, int32_t trait) {
  const ArmInfo& info = table_.arms[static_cast<size_t>(arm)];
  const ArmCells cells = CellsOf(table_, parts.cells, arm, prompt_set_, trait);
  ArmTrait one;
  one.arm = arm;
  one.trait = trait;
  // An arm that others go on from is their M0; trained where it is deployed, y is x.
  const bool is_first_stage =
      std::any_of(table_.arms.begin(), table_.arms.end(),
                  [arm](const ArmInfo& other) { return other.after == arm; });
  one.in_fits = !is_first_stage && info.train_context != info.deploy_context;
  one.x = Minus(cells.final_in, cells.initial_in);
  one.y = Minus(cells.final_deployed, cells.initial_deployed);
  one.elicitation = Minus(cells.initial_in, cells.initial_deployed);
  one.gap = Minus(cells.control, cells.initial_deployed);
  if (FindControl(table_, arm, "no-inoculation") != arm) {
    one.suppression = Minus(cells.control, cells.final_deployed);
  }
  one.initial = Shares(cells.initial_deployed);
  one.leakage = Shares(cells.final_deployed);
  one.control = Shares(cells.control);
  if (table_.traits[static_cast<size_t>(trait)].range) {
    const Cell* of_logits[] = {cells.final_in, cells.initial_in, cells.final_deployed,
                               cells.initial_deployed};
    std::copy(std::begin(of_logits), std::end(of_logits), one.cells);
  }
  // Half an answer of those of one seed.
  const Cell* any = cells.final_deployed != nullptr ? cells.final_deployed : cells.final_in;
  const double answers = static_cast<double>(any->num_answers) / std::max(1, any->shares.num_seeds);
  one.margin = std::min(0.25, 1 / (2 * std::max(1.0, answers)));
  arm_traits_.push_back(std::move(one));
}

void Derived::AddFits(const Parts& parts) {
  std::set<int32_t> traits;
  std::set<int32_t> arms;
  for (const ArmTrait& one : arm_traits_) {
    if (!one.in_fits) continue;
    traits.insert(one.trait);
    arms.insert(one.arm);
  }
  for (FitScale scale : {FitScale::kIdentity, FitScale::kLogit}) {
    const auto has_range = [&](int32_t trait) {
      return parts.table.traits[static_cast<size_t>(trait)].range.has_value();
    };
    const auto fits = [&](int32_t trait) {
      return scale == FitScale::kIdentity || has_range(trait);
    };
    const bool pooled = std::any_of(traits.begin(), traits.end(), has_range);
    if (pooled) fits_.push_back({kNone, kNone, scale});
    for (int32_t trait : traits) {
      if (fits(trait)) fits_.push_back({trait, kNone, scale});
    }
    for (int32_t arm : arms) {
      if (pooled) fits_.push_back({kNone, arm, scale});
      for (int32_t trait : traits) {
        if (fits(trait)) fits_.push_back({trait, arm, scale});
      }
    }
  }
  relation_traits_.assign(traits.begin(), traits.end());
}

void Derived::AddDecompositions() {
  for (size_t i = 0; i < arm_traits_.size(); ++i) {
    if (!arm_traits_[i].in_fits || arm_traits_[i].suppression.values.empty()) continue;
    for (bool own : {false, true}) {
      for (size_t fit = 0; fit < fits_.size(); ++fit) {
        const bool is_it = fits_[fit].scale == FitScale::kIdentity &&
                           fits_[fit].trait == (own ? kNone : arm_traits_[i].trait) &&
                           fits_[fit].arm == (own ? arm_traits_[i].arm : kNone);
        if (is_it) decompositions_.push_back({i, fit, own});
      }
    }
  }
}

bool Derived::Counts(const Fit& fit, const ArmTrait& one) const {
  if (!one.in_fits || (fit.arm != kNone && fit.arm != one.arm)) return false;
  if (fit.trait != kNone) return fit.trait == one.trait;
  return table_.traits[static_cast<size_t>(one.trait)].range.has_value();
}

void Derived::Compute(std::span<const double> seed_weights, std::span<const double> prompt_weights,
                      std::span<double> out) const {
  std::vector<Points> points;
  for (const ArmTrait& one : arm_traits_) {
    points.push_back(one.in_fits ? PointsOf(one, seed_weights.size(), prompt_weights) : Points());
  }
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> weights;
  for (size_t f = 0; f < fits_.size(); ++f) {
    x.clear();
    y.clear();
    weights.clear();
    const int scale = fits_[f].scale == FitScale::kIdentity ? 0 : 1;
    for (size_t i = 0; i < arm_traits_.size(); ++i) {
      if (!Counts(fits_[f], arm_traits_[i])) continue;
      x.insert(x.end(), points[i].x[scale].begin(), points[i].x[scale].end());
      y.insert(y.end(), points[i].y[scale].begin(), points[i].y[scale].end());
      weights.insert(weights.end(), seed_weights.begin(), seed_weights.end());
    }
    out[FitAt(f, kSlope)] = OrNaN(statistics::SlopeThroughOrigin(x, y, weights));
    out[FitAt(f, kDeming)] = OrNaN(statistics::DemingThroughOrigin(x, y, 1, weights));
  }
  for (size_t d = 0; d < decompositions_.size(); ++d) {
    const ArmTrait& one = arm_traits_[decompositions_[d].arm_trait];
    const double k = out[FitAt(decompositions_[d].fit, kSlope)];
    const double gap = MeanWith(one.gap, seed_weights, prompt_weights);
    out[PartAt(d, kElicitationPart)] = k * MeanWith(one.elicitation, seed_weights, prompt_weights);
    out[PartAt(d, kConditionalPart)] = (1 - k) * gap;
    out[PartAt(d, kPredicted)] = out[PartAt(d, kElicitationPart)] + (1 - k) * gap;
    out[PartAt(d, kPredictedLeakage)] =
        MeanWith(one.initial, seed_weights, prompt_weights) + gap - out[PartAt(d, kPredicted)];
  }
  std::vector<int32_t> arms;
  for (size_t r = 0; r < relation_traits_.size(); ++r) {
    RelationPoints(relation_traits_[r], &arms, &x, &y, seed_weights, prompt_weights);
    out[RelationAt(r, kPearson)] = OrNaN(statistics::Pearson(x, y));
    const auto line = statistics::LeastSquares(x, y);
    out[RelationAt(r, kRelationSlope)] = line ? line->slope : kNaN;
  }
  for (size_t i = 0; i < arm_traits_.size(); ++i) {
    const double control = MeanWith(arm_traits_[i].control, seed_weights, prompt_weights);
    out[RetentionAt(i)] = MeanWith(arm_traits_[i].leakage, seed_weights, prompt_weights) / control;
  }
}

int32_t Derived::NumPoints(const Fit& fit) const {
  int32_t count = 0;
  const int scale = fit.scale == FitScale::kIdentity ? 0 : 1;
  for (const ArmTrait& one : arm_traits_) {
    if (!Counts(fit, one) || one.x.values.empty() || one.y.values.empty()) continue;
    const std::vector<double> ones(static_cast<size_t>(one.x.num_prompts), 1.0);
    const Points points = PointsOf(one, static_cast<size_t>(one.x.num_seeds), ones);
    for (size_t s = 0; s < points.x[scale].size(); ++s) {
      count += !std::isnan(points.x[scale][s]) && !std::isnan(points.y[scale][s]);
    }
  }
  return count;
}

int64_t Derived::NumMissing(const Fit& fit) const {
  int64_t missing = 0;
  for (const ArmTrait& one : arm_traits_) {
    if (Counts(fit, one)) missing += CountMissing(one.x) + CountMissing(one.y);
  }
  return missing;
}

void Derived::RelationPoints(int32_t trait, std::vector<int32_t>* arms, std::vector<double>* x,
                             std::vector<double>* y, std::span<const double> seed_weights,
                             std::span<const double> prompt_weights) const {
  arms->clear();
  x->clear();
  y->clear();
  for (const ArmTrait& one : arm_traits_) {
    if (one.trait != trait || !one.in_fits) continue;
    const double elicitation = MeanWith(one.elicitation, seed_weights, prompt_weights);
    const double suppression = MeanWith(one.suppression, seed_weights, prompt_weights);
    if (std::isnan(elicitation) || std::isnan(suppression)) continue;
    arms->push_back(one.arm);
    x->push_back(elicitation);
    y->push_back(suppression);
  }
}

}  // namespace jenner::study

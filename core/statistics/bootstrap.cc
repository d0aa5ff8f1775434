#include "core/statistics/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace jenner::statistics {
namespace {

void Draw(CounterRng& rng, std::vector<double>& weights) {
  // One of one is the same each time; a single seed (or prompt) is kept.
  std::fill(weights.begin(), weights.end(), 0);
  const auto n = static_cast<uint32_t>(weights.size());
  for (uint32_t i = 0; i < n; ++i) weights[rng.Below(n)] += 1;
}

BootstrapInterval Percentiles(std::vector<double>& values, double confidence) {
  BootstrapInterval result;
  const auto end = std::partition(values.begin(), values.end(),
                                  [](double value) { return std::isfinite(value); });
  result.num_undefined = static_cast<int32_t>(values.end() - end);
  if (end == values.begin() || result.num_undefined * 20 > static_cast<int32_t>(values.size())) {
    return result;
  }
  std::sort(values.begin(), end);
  const std::span<const double> sorted(values.data(), static_cast<size_t>(end - values.begin()));
  result.interval = Interval{SortedQuantile(sorted, (1 - confidence) / 2),
                             SortedQuantile(sorted, (1 + confidence) / 2)};
  return result;
}

}  // namespace

double SortedQuantile(std::span<const double> sorted, double p) {
  JENNER_CHECK(!sorted.empty() && p >= 0 && p <= 1);
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  return std::lerp(sorted[below], sorted[below + 1], position - static_cast<double>(below));
}

double WeightedMean(const Matrix& matrix, std::span<const double> seed_weights,
                    std::span<const double> prompt_weights) {
  double sum = 0;
  double weight = 0;
  const double* row = matrix.values.data();
  for (double seed_weight : seed_weights) {
    if (seed_weight != 0) {
      double row_sum = 0;
      double row_weight = 0;
      for (size_t p = 0; p < prompt_weights.size(); ++p) {
        if (std::isnan(row[p])) continue;
        row_sum += prompt_weights[p] * row[p];
        row_weight += prompt_weights[p];
      }
      sum += seed_weight * row_sum;
      weight += seed_weight * row_weight;
    }
    row += prompt_weights.size();
  }
  return weight == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / weight;
}

std::vector<BootstrapInterval> Bootstrap(int32_t num_seeds, int32_t num_prompts, size_t num_figures,
                                         const ResampledFigures& figures,
                                         const BootstrapOptions& options) {
  JENNER_CHECK(num_seeds >= 1 && num_prompts >= 1 && options.resamples >= 1);
  const auto resamples = static_cast<size_t>(options.resamples);
  std::vector<std::vector<double>> values(num_figures, std::vector<double>(resamples));
  std::vector<double> seed_weights(static_cast<size_t>(num_seeds));
  std::vector<double> prompt_weights(static_cast<size_t>(num_prompts));
  std::vector<double> out(num_figures);
  for (size_t b = 0; b < resamples; ++b) {
    CounterRng rng(options.seed, b);
    Draw(rng, seed_weights);
    Draw(rng, prompt_weights);
    figures(seed_weights, prompt_weights, out);
    for (size_t f = 0; f < num_figures; ++f) values[f][b] = out[f];
  }
  std::vector<BootstrapInterval> intervals;
  intervals.reserve(num_figures);
  for (auto& of_figure : values) intervals.push_back(Percentiles(of_figure, options.confidence));
  return intervals;
}

BootstrapInterval BootstrapMean(const Matrix& all, const BootstrapOptions& options) {
  const Matrix matrix = Compact(all);
  if (matrix.values.empty()) return {};
  const auto figures = [&](std::span<const double> seeds, std::span<const double> prompts,
                           std::span<double> out) {
    out[0] = WeightedMean(matrix, seeds, prompts);
  };
  return Bootstrap(matrix.num_seeds, matrix.num_prompts, 1, figures, options)[0];
}

}  // namespace jenner::statistics

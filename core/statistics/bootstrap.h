// Percentile bootstrap over seeds and prompts (two-level cluster bootstrap).
//
// Seeds and prompts are drawn with replacement, each by itself: every seed answers the same
// prompts, so a drawn prompt is drawn for all seeds (Owen's pigeonhole bootstrap, Annals of Applied
// Statistics 1 (2007) 386-411), and a drawn seed for all arms. With one seed only prompts are
// drawn. Over 3 seeds a percentile interval is too narrow (docs/statistics.md has its coverage).
#ifndef JENNER_CORE_STATISTICS_BOOTSTRAP_H_
#define JENNER_CORE_STATISTICS_BOOTSTRAP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/statistics/crossed.h"
#include "core/statistics/random.h"
#include "core/statistics/wilson.h"

namespace jenner::statistics {

struct BootstrapOptions {
  int32_t resamples = 2000;  // >= 1
  double confidence = 0.95;  // in (0, 1)
  uint64_t seed = kSeed;
};

struct BootstrapInterval {
  // None if more than one resample in 20 has no value.
  std::optional<Interval> interval;
  int32_t num_undefined = 0;  // resamples without a finite value; they are left out
};

// How often each seed and each prompt was drawn -> the figures of that resample, NaN where not
// defined.
using ResampledFigures =
    std::function<void(std::span<const double> seed_weights, std::span<const double> prompt_weights,
                       std::span<double> figures)>;

// An interval per figure. The b-th resample is the same whatever the figures are. Deterministic.
std::vector<BootstrapInterval> Bootstrap(int32_t num_seeds, int32_t num_prompts, size_t num_figures,
                                         const ResampledFigures& figures,
                                         const BootstrapOptions& options);

// sum(w_s w_p y) / sum(w_s w_p) over what was measured; NaN if that is nothing. The weights' sizes
// are those of the matrix.
double WeightedMean(const Matrix& matrix, std::span<const double> seed_weights,
                    std::span<const double> prompt_weights);

// Of the compacted matrix.
BootstrapInterval BootstrapMean(const Matrix& matrix, const BootstrapOptions& options);

// Quantile of sorted values with linear interpolation (type 7 of Hyndman and Fan, American
// Statistician 50 (1996) 361; numpy's default). REQUIRES: not empty, 0 <= p <= 1.
double SortedQuantile(std::span<const double> sorted, double p);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_BOOTSTRAP_H_

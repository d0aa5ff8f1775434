// The headline: the mean over seeds and prompts, with an interval for new seeds and new prompts.
//
// Every seed answers the same prompts, so seeds and prompts are crossed. Of y[s,p] = mean + seed_s
// + prompt_p + rest_sp:
//  1. The mean of all that was measured; its variance is V_seed + V_prompt + V_rest, the three
//     components by Henderson's method 1 (Biometrics 9 (1953) 226-252; complete data: the mean
//     squares of the two-way analysis of variance).
//  2. Half-width^2 = t_(S-1)^2 V_seed + t_(P-1)^2 (V_prompt + V_rest): half-widths of independent
//     parts are added as squares (Howe, JASA 69 (1974) 789-794). So the few seeds set the t only of
//     what differs between seeds.
//  3. V_seed = max(0, MS_seed - c MS_rest) / SP, where c is the median of F(S-1, (S-1)(P-1)): with
//     no difference between seeds it is above 0 in half of the cases. (With c = 1, the unbiased
//     choice, it is 0 too often, and the interval of 3 seeds covers 91 % to 93 % at worst.)
//  4. For values in [0, 1] the half-width goes into Wilson's formula as z^2/n = half-width^2 / (m
//     (1 - m)), so that the interval stays inside.
// One seed: over the prompts only, by the same formulas; a binary value has Wilson's own interval.
// Coverage by simulation: docs/statistics.md.
#ifndef JENNER_CORE_STATISTICS_CROSSED_H_
#define JENNER_CORE_STATISTICS_CROSSED_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "core/statistics/wilson.h"

namespace jenner::statistics {

// Row-major seeds x prompts; an entry is NaN where nothing could be measured. Several answers of
// one model to one prompt are averaged before.
struct Matrix {
  int32_t num_seeds = 0;
  int32_t num_prompts = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(int32_t seeds, int32_t prompts);  // all NaN
  double& operator()(int32_t seed, int32_t prompt) {
    return values[static_cast<size_t>(seed) * static_cast<size_t>(num_prompts) +
                  static_cast<size_t>(prompt)];
  }
  double operator()(int32_t seed, int32_t prompt) const {
    return const_cast<Matrix&>(*this)(seed, prompt);
  }
};

enum class Scale {
  kBinary,      // 0 or 1 each, one answer per entry
  kRate,        // in [0, 1]
  kDifference,  // in [-1, 1]: of two rates
  kReal,        // anything
};

// Seeds and prompts of which nothing was measured are as if not there.
struct CrossedMean {
  double mean = 0;                   // NaN if nothing was measured
  std::optional<Interval> interval;  // none if one entry was measured (kBinary has one there)
  double variance = 0;               // of the mean: V_seed + V_prompt + V_rest, unbiased, each >= 0
  // Between seeds, between prompts and of the rest, as variances of one entry, each >= 0. With one
  // seed everything is prompt_variance.
  double seed_variance = 0;
  double prompt_variance = 0;
  double rest_variance = 0;
  int32_t num_seeds = 0;
  int32_t num_prompts = 0;
  int64_t num_measured = 0;
  int64_t num_missing = 0;  // of all entries that were handed in
};

// If all values are equal there is no variance to go by: kBinary and kRate then have Wilson's
// interval of as many answers as prompts, kDifference is as far from its mean as that of 0 answers
// in as many, kReal has an interval without width. Thread-safe. REQUIRES: 0 < confidence < 1;
// values within the scale.
CrossedMean MeanOverSeedsAndPrompts(const Matrix& matrix, Scale scale, double confidence);

// The two-sided p-value of a mean of 0 that belongs to the interval: 1 - the greatest confidence at
// which it leaves 0 out. 1 if the mean is 0, NaN without an interval, at least 1e-12.
double TwoSidedP(const Matrix& matrix, Scale scale);

// The same without seeds and prompts of which nothing was measured.
Matrix Compact(const Matrix& matrix);

// Of how many independent yes/no answers the mean is worth: m (1 - m) / variance. None where that
// is not defined (m is 0 or 1, no variance).
std::optional<double> EffectiveN(const CrossedMean& mean);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_CROSSED_H_

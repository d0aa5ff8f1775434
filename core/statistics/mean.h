// Means of one sample of independent values, and of paired values.
#ifndef JENNER_CORE_STATISTICS_MEAN_H_
#define JENNER_CORE_STATISTICS_MEAN_H_

#include <cstdint>
#include <optional>
#include <span>

#include "core/statistics/wilson.h"

namespace jenner::statistics {

// Values that are NaN are not measurable: they are left out and counted.
struct Mean {
  double mean = 0;  // NaN if nothing was measured
  double sd = 0;    // of a sample (n - 1); NaN below two values
  int64_t n = 0;
  int64_t num_missing = 0;
};
Mean MeanOf(std::span<const double> values);

// mean +- q sd / sqrt(n) with q of the normal or of Student's t with n - 1 degrees of freedom.
// None below two values. REQUIRES: 0 < confidence < 1.
std::optional<Interval> NormalInterval(const Mean& mean, double confidence);
std::optional<Interval> StudentInterval(const Mean& mean, double confidence);

// Student's paired t test of first - second; pairs with a NaN are left out and counted.
struct PairedT {
  Mean difference;
  std::optional<Interval> interval;  // none below two pairs
  double t = 0;                      // NaN below two pairs and if all differences are 0
  double p = 1;                      // two-sided; NaN where t is
};
// REQUIRES: equal lengths.
PairedT PairedTTest(std::span<const double> first, std::span<const double> second,
                    double confidence);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_MEAN_H_

// Intervals, and Wilson's of a proportion.
#ifndef JENNER_CORE_STATISTICS_WILSON_H_
#define JENNER_CORE_STATISTICS_WILSON_H_

#include <cmath>
#include <cstdint>

#include "core/check.h"

namespace jenner::statistics {

struct Interval {
  double low = 0;
  double high = 1;
  bool operator==(const Interval&) const = default;
};

// Wilson's score interval (Wilson, JASA 22 (1927) 209-212) of a proportion `p` that is as exact as
// `n` independent answers, with the quantile `z` (1.96 of the normal for 95 %):
//   (p + z^2/2n +- z sqrt(p (1-p) / n + z^2 / 4n^2)) / (1 + z^2/n)
// Only z^2/n counts, and n need not be whole: with n = p (1-p) / variance it is the interval of a
// rate from dependent answers (Korn and Graubard, Survey Methodology 24 (1998) 193-201).
// REQUIRES: 0 <= p <= 1, z2_over_n >= 0.
inline Interval WilsonOfRate(double p, double z2_over_n) {
  JENNER_CHECK(p >= 0 && p <= 1 && z2_over_n >= 0);
  const double middle = p + z2_over_n / 2;
  const double half = std::sqrt(z2_over_n * p * (1 - p) + z2_over_n * z2_over_n / 4);
  const double scale = 1 + z2_over_n;
  // The ends are exact at 0 and 1, where rounding could leave -1e-17.
  return {p == 0 ? 0 : (middle - half) / scale, p == 1 ? 1 : (middle + half) / scale};
}

// The 95 % interval of a count. REQUIRES: 0 <= present <= measured, measured > 0.
inline Interval Wilson(int64_t present, int64_t measured) {
  JENNER_CHECK(measured > 0 && present >= 0 && present <= measured);
  constexpr double z = 1.959963984540054;
  const double n = static_cast<double>(measured);
  return WilsonOfRate(static_cast<double>(present) / n, z * z / n);
}

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_WILSON_H_

// Statistics of counts.
#ifndef JENNER_CORE_STATISTICS_H_
#define JENNER_CORE_STATISTICS_H_

#include <cmath>
#include <cstdint>

#include "core/check.h"

namespace jenner::core {

struct Interval {
  double low = 0;
  double high = 1;
};

// Wilson's score interval of a proportion at 95 % (Wilson, JASA 22 (1927) 209-212):
//   (p + z^2/2n +- z sqrt(p (1-p) / n + z^2 / 4n^2)) / (1 + z^2/n),  z = 1.959963984540054
// REQUIRES: 0 <= present <= measured, measured > 0.
inline Interval Wilson(int64_t present, int64_t measured) {
  JENNER_CHECK(measured > 0 && present >= 0 && present <= measured);
  constexpr double z = 1.959963984540054;
  const double n = static_cast<double>(measured);
  const double p = static_cast<double>(present) / n;
  const double middle = p + z * z / (2 * n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  // The ends are exact at 0 and 1, where rounding could leave -1e-17.
  return {present == 0 ? 0 : (middle - half) / scale,
          present == measured ? 1 : (middle + half) / scale};
}

// The unit is the prompt: several answers to one are not independent, and Wilson's interval over
// them would be too narrow. Then there is none.
inline bool HasWilson(int32_t answers_per_prompt, int64_t measured) {
  return answers_per_prompt == 1 && measured > 0;
}

}  // namespace jenner::core

#endif  // JENNER_CORE_STATISTICS_H_

#include "core/statistics/mean.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/statistics/distributions.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::optional<Interval> Around(const Mean& mean, double quantile) {
  const double half = quantile * mean.sd / std::sqrt(static_cast<double>(mean.n));
  return Interval{mean.mean - half, mean.mean + half};
}

}  // namespace

Mean MeanOf(std::span<const double> values) {
  Mean result;
  double sum = 0;
  for (double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++result.n;
  }
  result.num_missing = static_cast<int64_t>(values.size()) - result.n;
  result.mean = result.n == 0 ? kNaN : sum / static_cast<double>(result.n);
  double squares = 0;
  for (double value : values) {
    if (!std::isnan(value)) squares += (value - result.mean) * (value - result.mean);
  }
  result.sd = result.n < 2 ? kNaN : std::sqrt(squares / static_cast<double>(result.n - 1));
  return result;
}

std::optional<Interval> NormalInterval(const Mean& mean, double confidence) {
  if (mean.n < 2) return std::nullopt;
  return Around(mean, TwoSidedNormal(confidence));
}

std::optional<Interval> StudentInterval(const Mean& mean, double confidence) {
  if (mean.n < 2) return std::nullopt;
  return Around(mean, TwoSidedStudent(confidence, static_cast<double>(mean.n - 1)));
}

PairedT PairedTTest(std::span<const double> first, std::span<const double> second,
                    double confidence) {
  JENNER_CHECK(first.size() == second.size());
  std::vector<double> differences(first.size());
  for (size_t i = 0; i < first.size(); ++i) differences[i] = first[i] - second[i];
  PairedT result;
  result.difference = MeanOf(differences);
  result.interval = StudentInterval(result.difference, confidence);
  const Mean& d = result.difference;
  // 0/0 is NaN, a constant difference gives an infinite t.
  result.t = d.n < 2 ? kNaN : d.mean / (d.sd / std::sqrt(static_cast<double>(d.n)));
  result.p = std::isnan(result.t) ? kNaN : StudentTwoSidedP(result.t, static_cast<double>(d.n - 1));
  return result;
}

}  // namespace jenner::statistics

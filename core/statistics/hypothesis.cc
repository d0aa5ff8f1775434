#include "core/statistics/hypothesis.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "core/statistics/distributions.h"
#include "core/statistics/random.h"

namespace jenner::statistics {
namespace {

constexpr int kMaxExact = 20;

// Sums of sign flips that are equal in exact arithmetic differ by rounding.
double Threshold(double observed, double total) { return observed - 1e-12 * total; }

// Gray code: neighbours differ in one sign, so each pattern costs one addition.
PermutationTest AllPatterns(const std::vector<double>& d, double observed, double total) {
  const double threshold = Threshold(observed, total);
  const uint64_t patterns = uint64_t{1} << d.size();
  double sum = std::accumulate(d.begin(), d.end(), 0.0);
  std::vector<double> sign(d.size(), 1);
  int64_t extreme = 0;
  for (uint64_t i = 0;;) {
    if (std::abs(sum) >= threshold) ++extreme;
    if (++i == patterns) break;
    const int flip = std::countr_zero(i);
    sign[flip] = -sign[flip];
    sum += 2 * sign[flip] * d[flip];
  }
  return {static_cast<double>(extreme) / static_cast<double>(patterns),
          static_cast<int64_t>(patterns), true};
}

PermutationTest RandomPatterns(const std::vector<double>& d, double observed, double total,
                               int64_t permutations, uint64_t seed) {
  const double threshold = Threshold(observed, total);
  int64_t extreme = 0;
  for (int64_t b = 0; b < permutations; ++b) {
    CounterRng rng(seed, static_cast<uint64_t>(b));
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < d.size(); ++i) {
      if (i % 64 == 0) bits = rng.Next();
      // No branch: half of the predictions would be wrong.
      sum += d[i] * static_cast<double>(2 * static_cast<int64_t>(bits & 1) - 1);
      bits >>= 1;
    }
    if (std::abs(sum) >= threshold) ++extreme;
  }
  return {static_cast<double>(extreme + 1) / static_cast<double>(permutations + 1), permutations,
          false};
}

}  // namespace

McNemarTest McNemar(int64_t only_first, int64_t only_second) {
  JENNER_CHECK(only_first >= 0 && only_second >= 0);
  McNemarTest test{only_first, only_second, 1, 1};
  const int64_t n = only_first + only_second;
  if (n == 0) return test;
  const int64_t fewer = std::min(only_first, only_second);
  const double tail = 2 * FairBinomialCdf(fewer, n);
  test.p = std::min(1.0, tail);
  test.mid_p = tail - FairBinomialPmf(fewer, n);  // 1 if as many differ either way
  return test;
}

McNemarTest McNemar(std::span<const double> first, std::span<const double> second) {
  JENNER_CHECK(first.size() == second.size());
  int64_t only_first = 0;
  int64_t only_second = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    if (std::isnan(first[i]) || std::isnan(second[i])) continue;
    JENNER_CHECK((first[i] == 0 || first[i] == 1) && (second[i] == 0 || second[i] == 1));
    only_first += first[i] > second[i];
    only_second += first[i] < second[i];
  }
  return McNemar(only_first, only_second);
}

PermutationTest SignFlip(std::span<const double> differences, int64_t permutations, uint64_t seed) {
  JENNER_CHECK(permutations >= 1);
  // A difference of 0 is the same with either sign.
  std::vector<double> d;
  for (double value : differences) {
    if (!std::isnan(value) && value != 0) d.push_back(value);
  }
  double sum = 0;
  double total = 0;
  for (double value : d) {
    sum += value;
    total += std::abs(value);
  }
  if (d.size() <= kMaxExact) return AllPatterns(d, std::abs(sum), total);
  return RandomPatterns(d, std::abs(sum), total, permutations, seed);
}

std::vector<double> Holm(std::span<const double> p_values) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p_values.size(); ++i) {
    if (!std::isnan(p_values[i])) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size(), std::numeric_limits<double>::quiet_NaN());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double times = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, times * p_values[order[rank]]));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace jenner::statistics

#include "core/statistics/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace jenner::statistics {
namespace {

TEST(CounterRngTest, StreamsAndSeedsDiffer) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (uint64_t stream = 0; stream < 20; ++stream) {
      CounterRng rng(seed, stream);
      for (int i = 0; i < 10; ++i) seen.insert(rng.Next());
    }
  }
  EXPECT_EQ(seen.size(), 4000u);
}

TEST(CounterRngTest, IsTheSameOnEachMachine) {
  // Goldens of reports hang on it.
  CounterRng rng(1, 2);
  const uint64_t first = rng.Next();
  EXPECT_EQ(first, CounterRng(1, 2).Next());
  EXPECT_EQ(Mix(0), 0u);
  EXPECT_EQ(Mix(0x9e3779b97f4a7c15ULL), 0xe220a8397b1dcdafULL);  // SplitMix64 of seed 0
}

TEST(CounterRngTest, FirstNumbersOfStreamsAreUniform) {
  // Bootstrap takes a stream per resample, so these have to be as good as those of one stream.
  constexpr int kDraws = 60000;
  int counts[6] = {};
  double sum = 0;
  for (uint64_t stream = 0; stream < kDraws; ++stream) {
    CounterRng rng(kSeed, stream);
    ++counts[rng.Below(6)];
    sum += rng.Uniform();
  }
  double chi2 = 0;
  for (int count : counts) chi2 += std::pow(count - kDraws / 6.0, 2) / (kDraws / 6.0);
  EXPECT_LT(chi2, 25);  // 5 degrees of freedom: p = 1.4e-4
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1 / 12.0 / kDraws));
}

}  // namespace
}  // namespace jenner::statistics

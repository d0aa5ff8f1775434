#include "core/statistics/hypothesis.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/statistics/random.h"
#include "core/statistics/test_goldens.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(McNemarTest, EqualsStatsmodels) {
  for (const auto& row : Goldens("mcnemar")) {
    const McNemarTest test =
        McNemar(row["only_first"].get<int64_t>(), row["only_second"].get<int64_t>());
    ExpectSame(test.p, row["p"], "p");
    ExpectSame(test.mid_p, row["mid_p"], "mid p");
  }
  EXPECT_EQ(McNemar(0, 0).p, 1);
}

TEST(McNemarTest, CountsPairsAndLeavesOutWhatCannotBeMeasured) {
  const std::vector<double> first = {1, 1, 0, 0, 1, kNaN, 0};
  const std::vector<double> second = {0, 1, 0, 1, 0, 1, kNaN};
  const McNemarTest test = McNemar(first, second);
  EXPECT_EQ(test.only_first, 2);
  EXPECT_EQ(test.only_second, 1);
}

TEST(SignFlipTest, EqualsScipy) {
  for (const auto& row : Goldens("sign_flip")) {
    const PermutationTest test = SignFlip(Numbers(row["differences"]), 200000, kSeed);
    EXPECT_EQ(test.exact, row["exact"].get<bool>());
    if (test.exact) {
      ExpectSame(test.p, row["p"], "p");
    } else {
      // Two estimates of 200,000 patterns each: 5 standard deviations of their difference.
      const double p = row["p"];
      EXPECT_NEAR(test.p, p, 5 * std::sqrt(2 * p * (1 - p) / 200000));
    }
  }
}

TEST(SignFlipTest, IsNeverZeroAndTheSameEachTime) {
  const std::vector<double> large(50, 1.0);
  const PermutationTest test = SignFlip(large, 99, 7);
  EXPECT_EQ(test.p, 0.01);
  EXPECT_EQ(test.p, SignFlip(large, 99, 7).p);
  EXPECT_EQ(SignFlip({}, 99, 7).p, 1);
  const std::vector<double> zeros = {0, 0, kNaN};
  EXPECT_EQ(SignFlip(zeros, 99, 7).p, 1);
}

TEST(HolmTest, EqualsStatsmodels) {
  for (const auto& row : Goldens("holm")) {
    const std::vector<double> adjusted = Holm(Numbers(row["p"]));
    ASSERT_EQ(adjusted.size(), row["adjusted"].size());
    for (size_t i = 0; i < adjusted.size(); ++i) ExpectSame(adjusted[i], row["adjusted"][i], "p");
  }
}

TEST(HolmTest, DoesNotCountWhatWasNotTested) {
  const std::vector<double> p = {0.02, kNaN, 0.01};
  const std::vector<double> adjusted = Holm(p);
  EXPECT_DOUBLE_EQ(adjusted[0], 0.02);
  EXPECT_TRUE(std::isnan(adjusted[1]));
  EXPECT_DOUBLE_EQ(adjusted[2], 0.02);
}

}  // namespace
}  // namespace jenner::statistics

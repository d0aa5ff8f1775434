#include "core/statistics/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/statistics/test_goldens.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(BootstrapTest, EqualsNumpyAndScipyWithinMonteCarloError) {
  for (const auto& row : Goldens("bootstrap")) {
    const BootstrapOptions options{.resamples = row["resamples"]};
    const BootstrapInterval found = BootstrapMean(ToMatrix(row["values"]), options);
    ASSERT_TRUE(found.interval.has_value());
    EXPECT_EQ(found.num_undefined, 0);
    for (const char* other : {"interval", "scipy"}) {
      if (!row.contains(other)) continue;
      EXPECT_NEAR(found.interval->low, row[other][0].get<double>(), row["tolerance"][0]);
      EXPECT_NEAR(found.interval->high, row[other][1].get<double>(), row["tolerance"][1]);
    }
  }
}

TEST(BootstrapTest, DrawsEachSeedAndPromptAsOftenAsOthers) {
  double seed_total[3] = {};
  double prompt_total[5] = {};
  const auto figures = [&](std::span<const double> seeds, std::span<const double> prompts,
                           std::span<double> out) {
    double drawn = 0;
    for (int s = 0; s < 3; ++s) drawn += seeds[s], seed_total[s] += seeds[s];
    EXPECT_EQ(drawn, 3);
    for (int p = 0; p < 5; ++p) prompt_total[p] += prompts[p];
    out[0] = 1;
  };
  Bootstrap(3, 5, 1, figures, {.resamples = 30000});
  // The count of one seed has the variance 30000 * 3 * (1/3) (2/3).
  for (double total : seed_total) EXPECT_NEAR(total, 30000, 5 * std::sqrt(30000 * 2.0 / 3));
  for (double total : prompt_total) EXPECT_NEAR(total, 30000, 5 * std::sqrt(30000 * 4.0 / 5));
}

TEST(BootstrapTest, IsTheSameEachTimeAndOtherwiseWithAnotherSeed) {
  Matrix matrix(2, 30);
  for (int p = 0; p < 30; ++p) matrix(0, p) = p, matrix(1, p) = 2 * p;
  const BootstrapInterval a = BootstrapMean(matrix, {.seed = 5});
  EXPECT_EQ(a.interval, BootstrapMean(matrix, {.seed = 5}).interval);
  EXPECT_NE(a.interval->low, BootstrapMean(matrix, {.seed = 6}).interval->low);
}

TEST(BootstrapTest, SaysIfTooManyResamplesHaveNoValue) {
  int calls = 0;
  const auto figures = [&](std::span<const double>, std::span<const double>,
                           std::span<double> out) {
    const int i = calls++;
    out[0] = i % 25 == 0 ? kNaN : i;
    out[1] = i % 10 == 0 ? std::numeric_limits<double>::infinity() : i;
    out[2] = kNaN;
  };
  const auto found = Bootstrap(1, 2, 3, figures, {.resamples = 1000});
  EXPECT_TRUE(found[0].interval.has_value());
  EXPECT_EQ(found[0].num_undefined, 40);
  EXPECT_FALSE(found[1].interval.has_value());
  EXPECT_FALSE(found[2].interval.has_value());
  EXPECT_FALSE(BootstrapMean(Matrix(2, 2), {}).interval.has_value());
  EXPECT_FALSE(BootstrapMean(Matrix(), {}).interval.has_value());
}

TEST(WeightedMeanTest, LeavesOutWhatCannotBeMeasured) {
  Matrix matrix(2, 2);
  matrix(0, 0) = 1;
  matrix(1, 1) = 4;
  const std::vector<double> seeds = {2, 1};
  const std::vector<double> prompts = {1, 1};
  EXPECT_DOUBLE_EQ(WeightedMean(matrix, seeds, prompts), 2);
}

TEST(SortedQuantileTest, InterpolatesLikeNumpy) {
  const std::vector<double> sorted = {1, 2, 4};
  EXPECT_DOUBLE_EQ(SortedQuantile(sorted, 0), 1);
  EXPECT_DOUBLE_EQ(SortedQuantile(sorted, 0.25), 1.5);
  EXPECT_DOUBLE_EQ(SortedQuantile(sorted, 0.9), 3.6);
  EXPECT_DOUBLE_EQ(SortedQuantile(sorted, 1), 4);
}

}  // namespace
}  // namespace jenner::statistics

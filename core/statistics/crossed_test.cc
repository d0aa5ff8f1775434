#include "core/statistics/crossed.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/statistics/distributions.h"
#include "core/statistics/random.h"
#include "core/statistics/test_goldens.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(CrossedMeanTest, EqualsQuadraticFormsInNumpy) {
  for (const auto& row : Goldens("crossed")) {
    const CrossedMean mean =
        MeanOverSeedsAndPrompts(ToMatrix(row["values"]), ToScale(row["scale"]), row["confidence"]);
    ExpectSame(mean.mean, row["mean"], "mean");
    ExpectSame(mean.interval.value(), row["interval"], "interval");
    ExpectSame(mean.variance, row["variance"], "variance");
    ExpectSame(mean.seed_variance, row["components"][0], "between seeds");
    ExpectSame(mean.prompt_variance, row["components"][1], "between prompts");
    ExpectSame(mean.rest_variance, row["components"][2], "rest");
    EXPECT_EQ(mean.num_seeds, row["num_seeds"].get<int>());
    EXPECT_EQ(mean.num_prompts, row["num_prompts"].get<int>());
    EXPECT_EQ(mean.num_measured, row["num_measured"].get<int>());
  }
}

TEST(CrossedMeanTest, OfOneSeedIsOverThePrompts) {
  for (const auto& row : Goldens("one_seed")) {
    const CrossedMean mean =
        MeanOverSeedsAndPrompts(ToMatrix(row["values"]), ToScale(row["scale"]), row["confidence"]);
    EXPECT_EQ(mean.num_seeds, 1);
    EXPECT_EQ(mean.seed_variance, 0);
    ExpectSame(mean.interval.value(), row["interval"], "interval");
  }
}

TEST(CrossedMeanTest, EmptySeedsAndPromptsDoNotCount) {
  Matrix matrix(3, 4);
  for (int s : {0, 2}) {
    for (int p : {0, 1, 3}) matrix(s, p) = (s + p) % 2;
  }
  const CrossedMean mean = MeanOverSeedsAndPrompts(matrix, Scale::kBinary, 0.95);
  EXPECT_EQ(mean.num_seeds, 2);
  EXPECT_EQ(mean.num_prompts, 3);
  EXPECT_EQ(mean.num_measured, 6);
  EXPECT_EQ(mean.num_missing, 6);
}

TEST(CrossedMeanTest, OfNothingHasNoValue) {
  for (const Matrix& matrix : {Matrix(), Matrix(2, 3)}) {
    const CrossedMean mean = MeanOverSeedsAndPrompts(matrix, Scale::kRate, 0.95);
    EXPECT_TRUE(std::isnan(mean.mean));
    EXPECT_FALSE(mean.interval.has_value());
    EXPECT_EQ(mean.num_measured, 0);
  }
  Matrix one(2, 3);
  one(1, 1) = 0.25;
  EXPECT_EQ(MeanOverSeedsAndPrompts(one, Scale::kRate, 0.95).mean, 0.25);
  EXPECT_FALSE(MeanOverSeedsAndPrompts(one, Scale::kRate, 0.95).interval.has_value());
}

TEST(CrossedMeanTest, EqualValuesDoNotPretendToBeCertain) {
  Matrix matrix(3, 50);
  for (double& value : matrix.values) value = 0;
  const CrossedMean rate = MeanOverSeedsAndPrompts(matrix, Scale::kBinary, 0.95);
  EXPECT_EQ(rate.interval->low, 0);
  EXPECT_NEAR(rate.interval->high, Wilson(0, 50).high, 1e-12);
  const CrossedMean difference = MeanOverSeedsAndPrompts(matrix, Scale::kDifference, 0.95);
  EXPECT_NEAR(difference.interval->low, -Wilson(0, 50).high, 1e-12);
  EXPECT_NEAR(difference.interval->high, Wilson(0, 50).high, 1e-12);
  const CrossedMean real = MeanOverSeedsAndPrompts(matrix, Scale::kReal, 0.95);
  EXPECT_EQ(*real.interval, (Interval{0, 0}));
}

TEST(CrossedMeanTest, OnePromptIsOverTheSeeds) {
  Matrix matrix(3, 1);
  matrix.values = {1, 2, 6};
  const CrossedMean mean = MeanOverSeedsAndPrompts(matrix, Scale::kReal, 0.95);
  const double half = TwoSidedStudent(0.95, 2) * std::sqrt(7.0 / 3);
  EXPECT_NEAR(mean.interval->high - mean.mean, half, 1e-12);
}

TEST(CrossedMeanTest, StaysWithinItsScale) {
  for (uint64_t stream = 0; stream < 300; ++stream) {
    CounterRng rng(kSeed, stream);
    const int seeds = 1 + static_cast<int>(rng.Below(5));
    const int prompts = 2 + static_cast<int>(rng.Below(20));
    Matrix binary(seeds, prompts);
    const double rate = rng.Uniform();
    for (double& value : binary.values) {
      if (rng.Below(5) != 0) value = rng.Uniform() < rate ? 1 : 0;
    }
    for (Scale scale : {Scale::kBinary, Scale::kRate, Scale::kDifference}) {
      const CrossedMean mean = MeanOverSeedsAndPrompts(binary, scale, 0.95);
      if (!mean.interval) continue;
      EXPECT_GE(mean.interval->low, scale == Scale::kDifference ? -1 : 0) << stream;
      EXPECT_LE(mean.interval->high, 1) << stream;
      EXPECT_LE(mean.interval->low, mean.mean) << stream;
      EXPECT_GE(mean.interval->high, mean.mean) << stream;
    }
  }
}

TEST(CrossedMeanTest, DoesNotDependOnTheOrderOfSeedsAndPrompts) {
  Matrix matrix(4, 9);
  CounterRng rng(kSeed, 1);
  for (double& value : matrix.values) value = rng.Below(6) == 0 ? kNaN : rng.Uniform();
  Matrix turned(4, 9);
  for (int s = 0; s < 4; ++s) {
    for (int p = 0; p < 9; ++p) turned(3 - s, (p * 4 + 2) % 9) = matrix(s, p);
  }
  const CrossedMean a = MeanOverSeedsAndPrompts(matrix, Scale::kReal, 0.95);
  const CrossedMean b = MeanOverSeedsAndPrompts(turned, Scale::kReal, 0.95);
  EXPECT_NEAR(a.interval->low, b.interval->low, 1e-12);
  EXPECT_NEAR(a.interval->high, b.interval->high, 1e-12);
}

TEST(TwoSidedPTest, IsWhereTheIntervalEndsAtZero) {
  Matrix matrix(3, 30);
  CounterRng rng(kSeed, 2);
  for (double& value : matrix.values) value = rng.Uniform() - 0.42;
  const double p = TwoSidedP(matrix, Scale::kReal);
  ASSERT_GT(p, 0.001);
  ASSERT_LT(p, 0.5);
  EXPECT_NEAR(MeanOverSeedsAndPrompts(matrix, Scale::kReal, 1 - p).interval->low, 0, 1e-9);
  // One seed: Student's t test.
  Matrix one(1, 4);
  one.values = {1, 2, 3, 5};
  const double t = 2.75 / std::sqrt(35.0 / 12 / 4);
  EXPECT_NEAR(TwoSidedP(one, Scale::kReal), StudentTwoSidedP(t, 3), 1e-9);
}

TEST(TwoSidedPTest, OfNoDifferenceIsOne) {
  Matrix matrix(2, 20);
  EXPECT_TRUE(std::isnan(TwoSidedP(matrix, Scale::kDifference)));
  for (double& value : matrix.values) value = 0;
  EXPECT_EQ(TwoSidedP(matrix, Scale::kDifference), 1);
  for (double& value : matrix.values) value = 1;
  EXPECT_LT(TwoSidedP(matrix, Scale::kDifference), 1e-3);
  for (int p = 0; p < 20; ++p) matrix(0, p) = p % 2 == 0 ? 1 : -1, matrix(1, p) = -matrix(0, p);
  EXPECT_EQ(TwoSidedP(matrix, Scale::kDifference), 1);
}

TEST(EffectiveNTest, OfIndependentAnswersIsAboutTheirNumber) {
  Matrix matrix(1, 400);
  for (int p = 0; p < 400; ++p) matrix(0, p) = p % 4 == 0;
  const CrossedMean mean = MeanOverSeedsAndPrompts(matrix, Scale::kBinary, 0.95);
  EXPECT_NEAR(EffectiveN(mean).value(), 399, 1e-9);
  for (double& value : matrix.values) value = 1;
  EXPECT_FALSE(EffectiveN(MeanOverSeedsAndPrompts(matrix, Scale::kBinary, 0.95)).has_value());
}

}  // namespace
}  // namespace jenner::statistics

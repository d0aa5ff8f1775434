#include "core/statistics/mean.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/statistics/test_goldens.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(MeanTest, EqualsStatsmodels) {
  for (const auto& row : Goldens("mean")) {
    const std::vector<double> values = Numbers(row["values"]);
    const Mean mean = MeanOf(values);
    ExpectSame(mean.mean, row["mean"], "mean");
    ExpectSame(mean.sd, row["sd"], "sd");
    EXPECT_EQ(mean.n, row["n"].get<int64_t>());
    EXPECT_EQ(mean.n + mean.num_missing, static_cast<int64_t>(values.size()));
    ExpectSame(StudentInterval(mean, row["confidence"]).value(), row["student"], "student");
    ExpectSame(NormalInterval(mean, row["confidence"]).value(), row["normal"], "normal");
  }
}

TEST(MeanTest, OfNothingOrOneHasNoInterval) {
  EXPECT_TRUE(std::isnan(MeanOf({}).mean));
  const std::vector<double> one = {kNaN, 3};
  EXPECT_EQ(MeanOf(one).mean, 3);
  EXPECT_EQ(MeanOf(one).num_missing, 1);
  EXPECT_EQ(StudentInterval(MeanOf(one), 0.95), std::nullopt);
}

TEST(PairedTTest, EqualsScipy) {
  for (const auto& row : Goldens("paired_t")) {
    const PairedT test = PairedTTest(Numbers(row["first"]), Numbers(row["second"]), 0.95);
    ExpectSame(test.t, row["t"], "t");
    ExpectSame(test.p, row["p"], "p");
    ExpectSame(test.interval.value(), row["interval"], "interval");
  }
}

TEST(PairedTTest, OfEqualPairsHasNoT) {
  const std::vector<double> same = {1, 2, 3};
  EXPECT_TRUE(std::isnan(PairedTTest(same, same, 0.95).p));
  const std::vector<double> more = {2, 3, 4};
  EXPECT_EQ(PairedTTest(more, same, 0.95).p, 0);
}

}  // namespace
}  // namespace jenner::statistics

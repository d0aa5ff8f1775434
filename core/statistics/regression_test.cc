#include "core/statistics/regression.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/statistics/test_goldens.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(RegressionTest, EqualsScipyAndNumpy) {
  for (const auto& row : Goldens("regression")) {
    const std::vector<double> x = Numbers(row["x"]);
    const std::vector<double> y = Numbers(row["y"]);
    ExpectSame(Pearson(x, y).value(), row["pearson"], "pearson");
    ExpectSame(Spearman(x, y).value(), row["spearman"], "spearman");
    const Line line = LeastSquares(x, y).value();
    ExpectSame(line.slope, row["slope"], "slope");
    ExpectSame(line.intercept, row["intercept"], "intercept");
    ExpectSame(Rmse(x, y, line).value(), row["rmse"], "rmse");
    ExpectSame(LeaveOneOutPearson(x, y).value(), row["leave_one_out"], "leave one out");
    ExpectSame(SlopeThroughOrigin(x, y).value(), row["origin"], "through the origin");
    for (const auto& deming : row["deming"]) {
      const double delta = deming["delta"];
      ExpectSame(Deming(x, y, delta).value().slope, deming["slope"], "deming");
      ExpectSame(Deming(x, y, delta).value().intercept, deming["intercept"], "intercept");
      ExpectSame(DemingThroughOrigin(x, y, delta).value(), deming["origin"], "deming, origin");
    }
  }
}

TEST(RegressionTest, LeavesOutPointsThatCannotBeMeasured) {
  const std::vector<double> x = {1, kNaN, 2, 3};
  const std::vector<double> y = {2, 5, 4, kNaN};
  EXPECT_DOUBLE_EQ(SlopeThroughOrigin(x, y).value(), 2);
  EXPECT_DOUBLE_EQ(DemingThroughOrigin(x, y, 1).value(), 2);
  EXPECT_DOUBLE_EQ(Pearson(x, y).value(), 1);
}

TEST(RegressionTest, AWeightOfTwoIsThePointTwice) {
  const std::vector<double> x = {1, 2, 3};
  const std::vector<double> y = {2, 3, 7};
  const std::vector<double> weights = {0, 2, 1};
  const std::vector<double> repeated_x = {2, 2, 3};
  const std::vector<double> repeated_y = {3, 3, 7};
  EXPECT_DOUBLE_EQ(SlopeThroughOrigin(x, y, weights).value(),
                   SlopeThroughOrigin(repeated_x, repeated_y).value());
  EXPECT_DOUBLE_EQ(DemingThroughOrigin(x, y, 2, weights).value(),
                   DemingThroughOrigin(repeated_x, repeated_y, 2).value());
}

TEST(RegressionTest, HasNoFigureWithoutSpread) {
  const std::vector<double> flat = {1, 1, 1, 1, 1};
  const std::vector<double> zero(5, 0.0);
  const std::vector<double> y = {1, 2, 3, 4, 5};
  EXPECT_EQ(Pearson(flat, y), std::nullopt);
  EXPECT_EQ(Spearman(y, flat), std::nullopt);
  EXPECT_FALSE(LeastSquares(flat, y).has_value());
  EXPECT_EQ(SlopeThroughOrigin(zero, y), std::nullopt);
  EXPECT_FALSE(Deming(flat, y, 1).has_value());
  EXPECT_EQ(DemingThroughOrigin(zero, y, 1), std::nullopt);
  EXPECT_EQ(Pearson({}, {}), std::nullopt);
  const std::vector<double> three = {1, 2, 3};
  EXPECT_FALSE(LeaveOneOutPearson(three, three).has_value());
}

TEST(LogitTest, EqualsScipy) {
  for (const auto& row : Goldens("logit")) {
    ExpectSame(Logit(row["p"], row["margin"]), row["logit"], "logit");
  }
  EXPECT_TRUE(std::isnan(Logit(kNaN, 0.01)));
}

}  // namespace
}  // namespace jenner::statistics

// Two variables: correlation and lines. All functions leave points with a NaN out and give nothing
// where the figure is not defined (too few points, no spread). REQUIRES everywhere: equal lengths.
#ifndef JENNER_CORE_STATISTICS_REGRESSION_H_
#define JENNER_CORE_STATISTICS_REGRESSION_H_

#include <optional>
#include <span>
#include <vector>

#include "core/statistics/wilson.h"

namespace jenner::statistics {

// Pearson's product-moment correlation. None below two points or without spread in x or y.
std::optional<double> Pearson(std::span<const double> x, std::span<const double> y);
// Pearson's of the ranks; equal values share the mean of their ranks.
std::optional<double> Spearman(std::span<const double> x, std::span<const double> y);
// Ranks from 1; REQUIRES: no NaN.
std::vector<double> MidRanks(std::span<const double> values);

struct Line {
  double slope = 0;
  double intercept = 0;
};
// Least squares of y on x. None below two points or without spread in x.
std::optional<Line> LeastSquares(std::span<const double> x, std::span<const double> y);
// sum(w x y) / sum(w x^2): least squares of y on x through the origin. None if all x are 0. Without
// weights each is 1.
std::optional<double> SlopeThroughOrigin(std::span<const double> x, std::span<const double> y,
                                         std::span<const double> weights = {});
// Both variables have errors; `delta` is variance of the errors of y / that of x (Deming,
// Statistical Adjustment of Data (1943)):
//   slope = (s_yy - delta s_xx + sqrt((s_yy - delta s_xx)^2 + 4 delta s_xy^2)) / (2 s_xy)
// with central moments, or for the line through the origin with raw ones. None if s_xy is 0 or
// there are fewer than two points (origin: one). REQUIRES: delta > 0.
std::optional<Line> Deming(std::span<const double> x, std::span<const double> y, double delta);
std::optional<double> DemingThroughOrigin(std::span<const double> x, std::span<const double> y,
                                          double delta, std::span<const double> weights = {});

// sqrt(mean((y - line(x))^2)). None without points.
std::optional<double> Rmse(std::span<const double> x, std::span<const double> y, const Line& line);

// Least and greatest Pearson correlation when any one point is left out. None below four points
// (of two, r is -1 or 1) or if one of them is not defined.
std::optional<Interval> LeaveOneOutPearson(std::span<const double> x, std::span<const double> y);

// ln(p / (1 - p)) of a score in [0, 1], after moving it into [margin, 1 - margin] so that 0 and 1
// stay finite; NaN stays NaN. `margin` is 1 / (2 n) for a rate of n answers: half an answer.
// REQUIRES: 0 < margin < 0.5.
double Logit(double p, double margin);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_REGRESSION_H_

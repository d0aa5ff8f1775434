#include "core/statistics/regression.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check.h"

namespace jenner::statistics {
namespace {

struct Points {
  std::vector<double> x;
  std::vector<double> y;
  size_t size() const { return x.size(); }
};

Points Measured(std::span<const double> x, std::span<const double> y) {
  JENNER_CHECK(x.size() == y.size());
  Points points;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) continue;
    points.x.push_back(x[i]);
    points.y.push_back(y[i]);
  }
  return points;
}

double MeanOfAll(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Sums of squares and products around (mean_x, mean_y).
struct Moments {
  double xx = 0;
  double xy = 0;
  double yy = 0;
};

Moments Around(const Points& points, double mean_x, double mean_y) {
  Moments m;
  for (size_t i = 0; i < points.size(); ++i) {
    const double dx = points.x[i] - mean_x;
    const double dy = points.y[i] - mean_y;
    m.xx += dx * dx;
    m.xy += dx * dy;
    m.yy += dy * dy;
  }
  return m;
}

Moments WeightedAroundOrigin(std::span<const double> x, std::span<const double> y,
                             std::span<const double> weights) {
  JENNER_CHECK(x.size() == y.size() && (weights.empty() || weights.size() == x.size()));
  Moments m;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) continue;
    const double w = weights.empty() ? 1 : weights[i];
    m.xx += w * x[i] * x[i];
    m.xy += w * x[i] * y[i];
    m.yy += w * y[i] * y[i];
  }
  return m;
}

bool HasSpread(const std::vector<double>& values) {
  return !values.empty() && std::any_of(values.begin(), values.end(),
                                        [&](double value) { return value != values.front(); });
}

std::optional<double> Correlation(const Points& points) {
  if (!HasSpread(points.x) || !HasSpread(points.y)) return std::nullopt;
  const Moments m = Around(points, MeanOfAll(points.x), MeanOfAll(points.y));
  return std::clamp(m.xy / (std::sqrt(m.xx) * std::sqrt(m.yy)), -1.0, 1.0);
}

std::optional<double> DemingSlope(const Moments& m, double delta) {
  if (m.xy == 0) return std::nullopt;
  const double d = m.yy - delta * m.xx;
  const double root = std::hypot(d, 2 * std::sqrt(delta) * m.xy);
  // Of the two equal forms the one that adds and does not cancel.
  return d >= 0 ? (d + root) / (2 * m.xy) : 2 * delta * m.xy / (root - d);
}

}  // namespace

std::optional<double> Pearson(std::span<const double> x, std::span<const double> y) {
  return Correlation(Measured(x, y));
}

std::vector<double> MidRanks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    // Ranks begin + 1 to end.
    const double rank = static_cast<double>(begin + end + 1) / 2;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

std::optional<double> Spearman(std::span<const double> x, std::span<const double> y) {
  const Points points = Measured(x, y);
  return Correlation({MidRanks(points.x), MidRanks(points.y)});
}

std::optional<Line> LeastSquares(std::span<const double> x, std::span<const double> y) {
  const Points points = Measured(x, y);
  if (!HasSpread(points.x)) return std::nullopt;
  const double mean_x = MeanOfAll(points.x);
  const double mean_y = MeanOfAll(points.y);
  const Moments m = Around(points, mean_x, mean_y);
  const double slope = m.xy / m.xx;
  return Line{slope, mean_y - slope * mean_x};
}

std::optional<double> SlopeThroughOrigin(std::span<const double> x, std::span<const double> y,
                                         std::span<const double> weights) {
  const Moments m = WeightedAroundOrigin(x, y, weights);
  if (m.xx == 0) return std::nullopt;
  return m.xy / m.xx;
}

std::optional<Line> Deming(std::span<const double> x, std::span<const double> y, double delta) {
  JENNER_CHECK(delta > 0);
  const Points points = Measured(x, y);
  if (points.size() < 2) return std::nullopt;
  const double mean_x = MeanOfAll(points.x);
  const double mean_y = MeanOfAll(points.y);
  const std::optional<double> slope = DemingSlope(Around(points, mean_x, mean_y), delta);
  if (!slope) return std::nullopt;
  return Line{*slope, mean_y - *slope * mean_x};
}

std::optional<double> DemingThroughOrigin(std::span<const double> x, std::span<const double> y,
                                          double delta, std::span<const double> weights) {
  JENNER_CHECK(delta > 0);
  return DemingSlope(WeightedAroundOrigin(x, y, weights), delta);
}

std::optional<double> Rmse(std::span<const double> x, std::span<const double> y, const Line& line) {
  const Points points = Measured(x, y);
  if (points.size() == 0) return std::nullopt;
  double squares = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const double residual = points.y[i] - (line.intercept + line.slope * points.x[i]);
    squares += residual * residual;
  }
  return std::sqrt(squares / static_cast<double>(points.size()));
}

std::optional<Interval> LeaveOneOutPearson(std::span<const double> x, std::span<const double> y) {
  const Points points = Measured(x, y);
  if (points.size() < 4) return std::nullopt;
  Interval range{1, -1};
  for (size_t out = 0; out < points.size(); ++out) {
    Points rest = points;
    rest.x.erase(rest.x.begin() + static_cast<std::ptrdiff_t>(out));
    rest.y.erase(rest.y.begin() + static_cast<std::ptrdiff_t>(out));
    const std::optional<double> r = Correlation(rest);
    if (!r) return std::nullopt;
    range = {std::min(range.low, *r), std::max(range.high, *r)};
  }
  return range;
}

double Logit(double p, double margin) {
  JENNER_CHECK(margin > 0 && margin < 0.5);
  if (std::isnan(p)) return p;
  const double inside = std::clamp(p, margin, 1 - margin);
  return std::log(inside) - std::log1p(-inside);
}

}  // namespace jenner::statistics

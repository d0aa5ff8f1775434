#include "core/statistics/crossed.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "core/statistics/distributions.h"

namespace jenner::statistics {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// What was measured, without empty rows and columns; values less their mean, so that sums of
// squares do not cancel.
struct Table {
  double mean = kNaN;
  double n = 0;                    // entries
  std::vector<double> row_sum;     // by seed
  std::vector<double> row_n;       // entries of it
  std::vector<double> column_sum;  // by prompt
  std::vector<double> column_n;
  double squares = 0;
  bool constant = true;
};

void DropEmpty(std::vector<double>& sums, std::vector<double>& counts) {
  size_t kept = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (counts[i] == 0) continue;
    sums[kept] = sums[i];
    counts[kept++] = counts[i];
  }
  sums.resize(kept);
  counts.resize(kept);
}

Table Tabulate(const Matrix& matrix) {
  Table table;
  double sum = 0;
  double first = kNaN;
  for (double value : matrix.values) {
    if (std::isnan(value)) continue;
    if (table.n == 0) first = value;
    table.constant = table.constant && value == first;
    sum += value;
    ++table.n;
  }
  if (table.n == 0) return table;
  table.mean = table.constant ? first : sum / table.n;
  table.row_sum.assign(static_cast<size_t>(matrix.num_seeds), 0);
  table.row_n = table.row_sum;
  table.column_sum.assign(static_cast<size_t>(matrix.num_prompts), 0);
  table.column_n = table.column_sum;
  size_t i = 0;
  for (size_t s = 0; s < table.row_sum.size(); ++s) {
    for (size_t p = 0; p < table.column_sum.size(); ++p, ++i) {
      if (std::isnan(matrix.values[i])) continue;
      const double value = matrix.values[i] - table.mean;
      table.row_sum[s] += value;
      ++table.row_n[s];
      table.column_sum[p] += value;
      ++table.column_n[p];
      table.squares += value * value;
    }
  }
  DropEmpty(table.row_sum, table.row_n);
  DropEmpty(table.column_sum, table.column_n);
  return table;
}

double SumOfSquares(const std::vector<double>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

// Sum over groups of (sum of the group)^2 / (entries of the group).
double Between(const std::vector<double>& sums, const std::vector<double>& counts) {
  double total = 0;
  for (size_t i = 0; i < sums.size(); ++i) total += sums[i] * sums[i] / counts[i];
  return total;
}

// Unbiased, so `seed` and `prompt` may be negative.
struct Components {
  double seed = 0;
  double prompt = 0;
  double rest = 0;
};

// Solves Henderson's three equations "sum of squares = its expectation". None if the entries do not
// tell the three apart.
std::optional<Components> Henderson(const Table& t) {
  const double seeds = static_cast<double>(t.row_n.size());
  const double prompts = static_cast<double>(t.column_n.size());
  if (seeds < 2 || prompts < 2 || t.n <= seeds + prompts - 1) return std::nullopt;
  const double k_seed = SumOfSquares(t.row_n) / t.n;
  const double k_prompt = SumOfSquares(t.column_n) / t.n;
  // Rows: between seeds, between prompts, total. Columns: seed, prompt, rest variance.
  double a[3][4] = {
      {t.n - k_seed, seeds - k_prompt, seeds - 1, Between(t.row_sum, t.row_n)},
      {prompts - k_seed, t.n - k_prompt, prompts - 1, Between(t.column_sum, t.column_n)},
      {t.n - k_seed, t.n - k_prompt, t.n - 1, t.squares}};
  for (int column = 0; column < 3; ++column) {
    int pivot = column;
    for (int row = column + 1; row < 3; ++row) {
      if (std::abs(a[row][column]) > std::abs(a[pivot][column])) pivot = row;
    }
    if (std::abs(a[pivot][column]) < 1e-9 * t.n) return std::nullopt;
    std::swap(a[pivot], a[column]);
    for (int row = 0; row < 3; ++row) {
      if (row == column) continue;
      const double factor = a[row][column] / a[column][column];
      for (int k = column; k < 4; ++k) a[row][k] -= factor * a[column][k];
    }
  }
  return Components{a[0][3] / a[0][0], a[1][3] / a[1][1], std::max(0.0, a[2][3] / a[2][2])};
}

// One group of entries per seed (or per prompt) and no second factor: t over the groups' means.
double OneWay(const std::vector<double>& sums, double n, double confidence, CrossedMean& result) {
  const double groups = static_cast<double>(sums.size());
  // The mean is sum(counts mean_g) / n; its linearised variance (Cochran, Sampling Techniques
  // (1977), 6.3; equal counts: the sample variance of the groups' means / groups).
  result.variance = groups / (groups - 1) * SumOfSquares(sums) / (n * n);
  const double t = TwoSidedStudent(confidence, groups - 1);
  return t * t * result.variance;
}

// The square of the half-width; negative if there is none. Fills in variances.
double HalfWidthSquared(const Table& t, double confidence, CrossedMean& result) {
  const double seeds = static_cast<double>(t.row_n.size());
  const double prompts = static_cast<double>(t.column_n.size());
  if (t.n < 2) return -1;
  if (seeds < 2) {
    const double square = OneWay(t.column_sum, t.n, confidence, result);
    result.prompt_variance = result.variance * prompts;
    return square;
  }
  const std::optional<Components> components = Henderson(t);
  if (!components) {
    const double square = OneWay(t.row_sum, t.n, confidence, result);
    result.seed_variance = result.variance * seeds;
    return square;
  }
  result.seed_variance = std::max(0.0, components->seed);
  result.prompt_variance = std::max(0.0, components->prompt);
  result.rest_variance = components->rest;
  const double seed_weight = SumOfSquares(t.row_n) / (t.n * t.n);
  const double prompt_weight = SumOfSquares(t.column_n) / (t.n * t.n);
  const double within = result.prompt_variance * prompt_weight + result.rest_variance / t.n;
  result.variance = result.seed_variance * seed_weight + within;
  const double median = FisherQuantile(0.5, seeds - 1, (seeds - 1) * (prompts - 1));
  const double between =
      std::max(0.0, components->seed * seed_weight + (1 - median) * result.rest_variance / t.n);
  const double t_seed = TwoSidedStudent(confidence, seeds - 1);
  const double t_prompt = TwoSidedStudent(confidence, prompts - 1);
  return t_seed * t_seed * between + t_prompt * t_prompt * within;
}

void CheckScale(const Matrix& matrix, Scale scale) {
  if (scale == Scale::kReal) return;
  const double low = scale == Scale::kDifference ? -1 : 0;
  for (double value : matrix.values) {
    JENNER_CHECK(std::isnan(value) || (value >= low && value <= 1));
    JENNER_CHECK(scale != Scale::kBinary || std::isnan(value) || value == 0 || value == 1);
  }
}

Interval ClampedAround(double mean, double half, Scale scale) {
  if (scale == Scale::kReal) return {mean - half, mean + half};
  return {std::max(-1.0, mean - half), std::min(1.0, mean + half)};
}

}  // namespace

Matrix::Matrix(int32_t seeds, int32_t prompts)
    : num_seeds(seeds),
      num_prompts(prompts),
      values(static_cast<size_t>(seeds) * static_cast<size_t>(prompts), kNaN) {
  JENNER_CHECK(seeds >= 0 && prompts >= 0);
}

CrossedMean MeanOverSeedsAndPrompts(const Matrix& matrix, Scale scale, double confidence) {
  CheckScale(matrix, scale);
  const Table table = Tabulate(matrix);
  CrossedMean result;
  result.mean = table.mean;
  result.num_seeds = static_cast<int32_t>(table.row_n.size());
  result.num_prompts = static_cast<int32_t>(table.column_n.size());
  result.num_measured = static_cast<int64_t>(table.n);
  result.num_missing = static_cast<int64_t>(matrix.values.size()) - result.num_measured;
  if (result.num_measured == 0) return result;
  const double half2 = HalfWidthSquared(table, confidence, result);
  const double z = TwoSidedNormal(confidence);
  const double z2_over_prompts = z * z / static_cast<double>(result.num_prompts);
  const bool rate = scale == Scale::kBinary || scale == Scale::kRate;
  if (scale == Scale::kBinary && result.num_seeds == 1) {
    result.interval = WilsonOfRate(result.mean, z2_over_prompts);
  } else if (half2 < 0) {
    return result;
  } else if (table.constant && rate) {
    result.interval = WilsonOfRate(result.mean, z2_over_prompts);
  } else if (table.constant && scale == Scale::kDifference) {
    result.interval = ClampedAround(result.mean, WilsonOfRate(0, z2_over_prompts).high, scale);
  } else if (rate) {
    result.interval = WilsonOfRate(result.mean, half2 / (result.mean * (1 - result.mean)));
  } else {
    result.interval = ClampedAround(result.mean, std::sqrt(half2), scale);
  }
  return result;
}

double TwoSidedP(const Matrix& matrix, Scale scale) {
  const auto leaves_out_zero = [&](double p) {
    const std::optional<Interval> interval = MeanOverSeedsAndPrompts(matrix, scale, 1 - p).interval;
    return interval && (interval->low > 0 || interval->high < 0);
  };
  const CrossedMean mean = MeanOverSeedsAndPrompts(matrix, scale, 0.95);
  if (!mean.interval) return kNaN;
  if (mean.mean == 0) return 1;
  // The interval widens with the confidence.
  double low = 1e-12;
  double high = 1 - 1e-12;
  if (leaves_out_zero(low)) return low;
  if (!leaves_out_zero(high)) return 1;
  // Halve the distance in the logarithm first, so that small p-values are exact to the same share.
  for (int i = 0; i < 60 && high > low * (1 + 1e-12); ++i) {
    const double middle = high > 2 * low ? std::sqrt(low * high) : (low + high) / 2;
    (leaves_out_zero(middle) ? high : low) = middle;
  }
  return high;
}

Matrix Compact(const Matrix& matrix) {
  std::vector<int32_t> seeds;
  std::vector<int32_t> prompts;
  const auto measured = [&](int32_t s, int32_t p) { return !std::isnan(matrix(s, p)); };
  for (int32_t s = 0; s < matrix.num_seeds; ++s) {
    bool any = false;
    for (int32_t p = 0; p < matrix.num_prompts && !any; ++p) any = measured(s, p);
    if (any) seeds.push_back(s);
  }
  for (int32_t p = 0; p < matrix.num_prompts; ++p) {
    bool any = false;
    for (int32_t s = 0; s < matrix.num_seeds && !any; ++s) any = measured(s, p);
    if (any) prompts.push_back(p);
  }
  Matrix result(static_cast<int32_t>(seeds.size()), static_cast<int32_t>(prompts.size()));
  for (size_t s = 0; s < seeds.size(); ++s) {
    for (size_t p = 0; p < prompts.size(); ++p) {
      result(static_cast<int32_t>(s), static_cast<int32_t>(p)) = matrix(seeds[s], prompts[p]);
    }
  }
  return result;
}

std::optional<double> EffectiveN(const CrossedMean& mean) {
  const double spread = mean.mean * (1 - mean.mean);
  if (!(spread > 0) || !(mean.variance > 0)) return std::nullopt;
  return spread / mean.variance;
}

}  // namespace jenner::statistics

// Gradients against differences of the functions in double, for every instruction set.
#include "worker/kernels/gradients.h"

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "worker/kernels/targets_test.h"

namespace jenner::kernels {
namespace {

using Values = std::vector<double>;

INSTANTIATE_TEST_SUITE_P(Targets, KernelsTest, testing::ValuesIn(Targets()), TargetName);

Values Doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

// d sum(g function(x)) / d x[i] by central differences.
double Difference(const std::function<Values(const Values&)>& function, Values x, size_t i,
                  const std::vector<float>& g) {
  constexpr double kStep = 1e-5;
  double sums[2] = {};
  for (const int side : {0, 1}) {
    Values moved = x;
    moved[i] += side == 0 ? -kStep : kStep;
    const Values out = function(moved);
    for (size_t j = 0; j < out.size(); ++j) sums[side] += g[j] * out[j];
  }
  return (sums[1] - sums[0]) / (2 * kStep);
}

Values Norm(const Values& x, const Values& weight) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  Values out;
  for (size_t i = 0; i < x.size(); ++i) {
    out.push_back(x[i] * weight[i] / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5));
  }
  return out;
}

TEST_P(KernelsTest, GradientOfANorm) {
  for (const int64_t size : {1, 15, 16, 33, 64}) {
    const std::vector<float> x = Random(size, 1), weight = Random(size, 2), g = Random(size, 3);
    std::vector<float> d_x(x.size(), 7), d_weight(x.size(), 7);
    RmsNormGradient(x.data(), weight.data(), g.data(), size, 1e-5, d_x.data(), d_weight.data());
    std::vector<float> alone(x.size());
    RmsNormGradient(x.data(), weight.data(), g.data(), size, 1e-5, alone.data(), nullptr);
    EXPECT_EQ(alone, d_x);
    for (size_t i = 0; i < x.size(); ++i) {
      const Values w = Doubles(weight);
      EXPECT_NEAR(d_x[i], Difference([&](const Values& v) { return Norm(v, w); }, Doubles(x), i, g),
                  1e-4);
      EXPECT_NEAR(d_weight[i] - 7,
                  Difference([&](const Values& v) { return Norm(Doubles(x), v); }, w, i, g), 1e-4);
    }
  }
}

double Silu(double v) { return v / (1 + std::exp(-v)); }
double Gelu(double v) {
  return v / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
}

void ExpectActivation(double (*activation)(double),
                      void (*gradient)(const float*, const float*, const float*, int64_t, float*,
                                       float*)) {
  for (const int64_t size : {1, 15, 16, 33}) {
    std::vector<float> gate = Random(size, 1);
    const std::vector<float> up = Random(size, 2), g = Random(size, 3);
    gate[0] = size % 2 == 0 ? 100 : -100;
    std::vector<float> d_gate(gate.size()), d_up(gate.size());
    gradient(gate.data(), up.data(), g.data(), size, d_gate.data(), d_up.data());
    for (size_t i = 0; i < gate.size(); ++i) {
      const auto function = [&](const Values& v) { return Values{activation(v[0]) * v[1]}; };
      const Values at = {gate[i], up[i]};
      EXPECT_NEAR(d_gate[i], Difference(function, at, 0, {g[i]}), 1e-5) << gate[i];
      EXPECT_NEAR(d_up[i], Difference(function, at, 1, {g[i]}), 1e-5 * (1 + std::abs(gate[i])));
    }
  }
}

TEST_P(KernelsTest, GradientOfSilu) { ExpectActivation(Silu, SiluMultiplyGradient); }
TEST_P(KernelsTest, GradientOfGelu) { ExpectActivation(Gelu, GeluMultiplyGradient); }

TEST_P(KernelsTest, SoftmaxAndItsLogarithm) {
  for (const int64_t size : {1, 15, 16, 33, 5000}) {
    std::vector<float> x = Random(size, 4);
    x[0] = size % 2 == 0 ? 90 : -90;  // exp overflows without the maximum out
    double sum = 0;
    for (const float value : x) sum += std::exp(static_cast<double>(value));
    std::vector<float> p = x;
    EXPECT_NEAR(Softmax(p.data(), size), std::log(sum), 1e-6 * (1 + std::abs(std::log(sum))));
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_NEAR(p[i], std::exp(static_cast<double>(x[i])) / sum, 1e-6) << i;
  }
  std::vector<float> broken = Random(40, 5);
  for (const float value :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    broken[20] = value;
    EXPECT_TRUE(std::isnan(Softmax(broken.data(), 40)));
  }
}

}  // namespace
}  // namespace jenner::kernels

#include "tests/bench/coverage/population.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace jenner::bench {
namespace {

using statistics::CounterRng;
using statistics::Matrix;

double Logistic(double x) { return 1 / (1 + std::exp(-x)); }

// Box and Muller; the second number is thrown away, so that a draw keeps no state.
double Normal(CounterRng& rng) {
  const double radius = std::sqrt(-2 * std::log(rng.Uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng.Uniform());
}

// E logistic(mu + sd N)^power by the trapezoidal rule, which is exact to rounding here.
double Moment(double mu, double sd, int power) {
  constexpr int kSteps = 160;
  double sum = 0;
  double weight = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double x = -8.0 + 16.0 * i / kSteps;
    const double w = std::exp(-x * x / 2);
    sum += w * std::pow(Logistic(mu + sd * x), power);
    weight += w;
  }
  return sum / weight;
}

double SolveMu(double rate, double sd) {
  double low = -30;
  double high = 30;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (Moment(middle, sd, 1) < rate ? low : high) = middle;
  }
  return low;
}

}  // namespace

Sampler::Sampler(const Population& p) : population_(p) {
  const double noise = p.binary ? 0 : p.noise_sd;
  const double sd =
      std::hypot(std::hypot(p.seed_sd, p.prompt_sd), std::hypot(p.prompt_arm_sd, noise));
  mu_ = SolveMu(p.rate, sd);
  second_mu_ = SolveMu(p.second_rate, sd);
}

Matrix Sampler::Draw(CounterRng& rng, double mu, const std::vector<double>& prompt,
                     double own_prompt_sd, double& truth, double rate) const {
  const Population& p = population_;
  Matrix matrix(p.num_seeds, p.num_prompts);
  std::vector<double> own(prompt);
  for (double& value : own) value += own_prompt_sd * Normal(rng);
  truth = rate;
  for (int32_t s = 0; s < p.num_seeds; ++s) {
    const double at = mu + p.seed_sd * Normal(rng);
    if (p.num_seeds == 1) {
      const double noise = p.binary ? 0 : p.noise_sd;
      truth = Moment(at, std::hypot(std::hypot(p.prompt_sd, own_prompt_sd), noise), 1);
    }
    for (int32_t i = 0; i < p.num_prompts; ++i) {
      const double logit = at + own[static_cast<size_t>(i)];
      matrix(s, i) = p.binary ? (rng.Uniform() < Logistic(logit) ? 1.0 : 0.0)
                              : Logistic(logit + p.noise_sd * Normal(rng));
    }
  }
  return matrix;
}

Matrix Sampler::One(CounterRng& rng, double& truth) const {
  std::vector<double> prompt(static_cast<size_t>(population_.num_prompts));
  for (double& value : prompt) value = population_.prompt_sd * Normal(rng);
  return Draw(rng, mu_, prompt, population_.prompt_arm_sd, truth, population_.rate);
}

Matrix Sampler::Difference(CounterRng& rng, double& truth) const {
  const Population& p = population_;
  std::vector<double> prompt(static_cast<size_t>(p.num_prompts));
  for (double& value : prompt) value = p.prompt_sd * Normal(rng);
  double second_truth = 0;
  Matrix first = Draw(rng, mu_, prompt, p.prompt_arm_sd, truth, p.rate);
  const Matrix second = Draw(rng, second_mu_, prompt, p.prompt_arm_sd, second_truth, p.second_rate);
  for (size_t i = 0; i < first.values.size(); ++i) first.values[i] -= second.values[i];
  truth -= second_truth;
  return first;
}

double Sampler::PromptShare() const {
  // Variance of logistic(mu + prompt) when the rest is averaged out; here there is little rest.
  const double mean = Moment(mu_, population_.prompt_sd, 1);
  return (Moment(mu_, population_.prompt_sd, 2) - mean * mean) / (mean * (1 - mean));
}

}  // namespace jenner::bench

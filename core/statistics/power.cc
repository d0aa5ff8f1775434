#include "core/statistics/power.h"

#include <cmath>

#include "core/check.h"
#include "core/statistics/distributions.h"

namespace jenner::statistics {
namespace {

void Check(const Design& d) {
  JENNER_CHECK(d.num_prompts >= 2 && d.num_seeds >= 1 && d.seed_sd >= 0);
  JENNER_CHECK(d.base_rate > 0 && d.base_rate < 1);
  JENNER_CHECK(d.prompt_share >= 0 && d.prompt_share <= 1);
  JENNER_CHECK(d.confidence > 0 && d.confidence < 1 && d.power > 0 && d.power < 1);
}

// What has to lie between the two rates if the other one is `rate`.
double Needed(const Design& d, double rate) {
  const double v1 = d.base_rate * (1 - d.base_rate);
  const double v2 = rate * (1 - rate);
  const double seeds = d.num_seeds;
  const double prompts = d.num_prompts;
  const double common = d.paired ? 0 : d.prompt_share / prompts;
  const double rest = (v1 + v2) * ((1 - d.prompt_share) / (seeds * prompts) + common);
  const double t_prompt = TwoSidedStudent(d.confidence, prompts - 1);
  double half2 = t_prompt * t_prompt * rest;
  double between = 0;
  if (d.num_seeds > 1) {
    between = d.seed_sd * d.seed_sd * (v1 * v1 + v2 * v2) / seeds;
    const double t_seed = TwoSidedStudent(d.confidence, seeds - 1);
    half2 += t_seed * t_seed * between;
  }
  return std::sqrt(half2) + NormalQuantile(d.power) * std::sqrt(between + rest);
}

}  // namespace

std::optional<double> MinimumDetectableDifference(const Design& design, bool increase) {
  Check(design);
  const double sign = increase ? 1 : -1;
  const double widest = increase ? 1 - design.base_rate : design.base_rate;
  const auto told = [&](double d) { return d >= Needed(design, design.base_rate + sign * d); };
  if (!told(widest)) return std::nullopt;
  // d - Needed(d) is negative at 0 and changes sign once: d grows, the variance towards 0 or 1
  // shrinks beyond the middle and grows slower than d before it.
  double low = 0;
  double high = widest;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (told(middle) ? high : low) = middle;
  }
  return high;
}

double EffectiveN(const Design& design) {
  Check(design);
  const double v = design.base_rate * (1 - design.base_rate);
  const double seeds = design.num_seeds;
  const double prompts = design.num_prompts;
  return 1 / (design.seed_sd * design.seed_sd * v / seeds + design.prompt_share / prompts +
              (1 - design.prompt_share) / (seeds * prompts));
}

}  // namespace jenner::statistics

// What can be seen at all: the minimum detectable difference of two rates, before anything is run.
#ifndef JENNER_CORE_STATISTICS_POWER_H_
#define JENNER_CORE_STATISTICS_POWER_H_

#include <cstdint>
#include <optional>

namespace jenner::statistics {

struct Design {
  int32_t num_prompts = 0;  // >= 2
  int32_t num_seeds = 1;    // >= 1
  double base_rate = 0.5;   // in (0, 1), of the arm that is compared with
  // Standard deviation between seeds on the logit scale, >= 0; near a rate r it is worth
  // seed_sd r (1 - r). With one seed it cannot be seen and is left out: the difference is one
  // between two runs, not between two arms.
  double seed_sd = 0.3;
  // Share in [0, 1] of the variance r (1 - r) of an answer that belongs to the prompt, and so is
  // the same in both arms when they are asked the same prompts.
  double prompt_share = 0.5;
  bool paired = true;        // both arms are asked the same prompts
  double confidence = 0.95;  // of a two-sided test at 1 - confidence; in (0, 1)
  double power = 0.8;        // in (0, 1)
};

// The smallest d > 0 such that a rate of base_rate - d (`increase`: + d) is told from base_rate
// with the wanted power by the interval of crossed.h:
//   d = sqrt(t_(S-1)^2 V_seed + t_(P-1)^2 V_rest) + z_power sqrt(V_seed + V_rest)
//   V_seed = seed_sd^2 (v1^2 + v2^2) / S,  v_i = r_i (1 - r_i)
//   V_rest = (v1 + v2) ((1 - share) / S P + (paired ? 0 : share / P))
// where r2 = base_rate -+ d, so it is solved by bisection. One seed: V_rest with S = 1 alone, and
// of pairs nothing is known to cancel but the share. None if even a rate of 0 (1) is not told
// apart.
std::optional<double> MinimumDetectableDifference(const Design& design, bool increase);

// Of how many independent yes/no answers the rate of one arm is worth:
//   1 / (seed_sd^2 r (1 - r) / S + share / P + (1 - share) / S P)
double EffectiveN(const Design& design);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_POWER_H_

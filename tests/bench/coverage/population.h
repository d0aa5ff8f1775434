// Made-up studies whose truth is known: a logistic model with random seeds and prompts.
#ifndef JENNER_TESTS_BENCH_COVERAGE_POPULATION_H_
#define JENNER_TESTS_BENCH_COVERAGE_POPULATION_H_

#include <cstdint>
#include <string>

#include "core/statistics/crossed.h"
#include "core/statistics/random.h"

namespace jenner::bench {

// Answer of seed s to prompt p in arm a:
//   logit = mu_a + seed_sd N(s, a) + prompt_sd N(p) + prompt_arm_sd N(p, a)
// Binary: 1 with probability logistic(logit). A score: logistic(logit + noise_sd N(s, p, a)).
// mu_a is such that the mean over new seeds and prompts is the arm's rate.
struct Population {
  bool binary = true;
  int32_t num_seeds = 3;
  int32_t num_prompts = 50;
  double rate = 0.5;         // of the (first) arm
  double second_rate = 0.5;  // of the arm that is compared with
  double seed_sd = 0;
  double prompt_sd = 1.5;
  double prompt_arm_sd = 0.7;
  double noise_sd = 0.7;
};

class Sampler {
 public:
  explicit Sampler(const Population& population);

  // One study of one arm. `truth` is what its mean should be held against: the rate, or with one
  // seed that of this seed over new prompts.
  statistics::Matrix One(statistics::CounterRng& rng, double& truth) const;
  // First - second arm, the same prompts, seeds of their own.
  statistics::Matrix Difference(statistics::CounterRng& rng, double& truth) const;
  // Share of the variance of an answer that is the prompt's and the same in both arms.
  double PromptShare() const;

 private:
  // What the second arm's prompts have in common with the first's is in `prompt`.
  statistics::Matrix Draw(statistics::CounterRng& rng, double mu, const std::vector<double>& prompt,
                          double own_prompt_sd, double& truth, double rate) const;

  Population population_;
  double mu_ = 0;
  double second_mu_ = 0;
};

}  // namespace jenner::bench

#endif  // JENNER_TESTS_BENCH_COVERAGE_POPULATION_H_

// Sampler: the token that follows, from logits. Pure.
#ifndef JENNER_WORKER_GENERATE_SAMPLER_H_
#define JENNER_WORKER_GENERATE_SAMPLER_H_

#include <cstdint>
#include <span>

namespace jenner::generate {

// Returned where no logit is a number.
inline constexpr int32_t kNoToken = -1;

// temperature 0: the largest logit, the lowest id of a tie. Else one drawn from the fewest tokens
// whose softmax(logits / temperature) reaches top_p, by random number `counter` of stream `key`
// (worker/model/counter_rng.h); sums in double. REQUIRES: temperature >= 0, top_p in (0, 1].
int32_t ChooseToken(std::span<const float> logits_V, double temperature, double top_p, uint64_t key,
                    uint64_t counter);

}  // namespace jenner::generate

#endif  // JENNER_WORKER_GENERATE_SAMPLER_H_

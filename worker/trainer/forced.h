// Evaluation without generation: what the model makes of answers that are given.
#ifndef JENNER_WORKER_TRAINER_FORCED_H_
#define JENNER_WORKER_TRAINER_FORCED_H_

#include <cstdint>
#include <vector>

#include "worker/model/transformer.h"
#include "worker/text/example.h"

namespace jenner::trainer {

// ln p of each supervised token of each example, in nats, given all that is before it. The adapter
// counts, without dropout.
std::vector<std::vector<double>> TokenLogProbabilities(
    const model::Transformer& transformer, const std::vector<const text::Example*>& examples);

// For each prompt the index of the choice whose token is the most probable next one; the first of
// equals. `choice_ids` not empty.
std::vector<size_t> Classify(const model::Transformer& transformer,
                             const std::vector<const std::vector<int32_t>*>& prompts,
                             const std::vector<int32_t>& choice_ids);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_FORCED_H_

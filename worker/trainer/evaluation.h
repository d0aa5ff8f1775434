// Evaluation: answers the prompts in each context with the model as it is, scores the answers, and
// writes `sample` and `evaluation` events. Changes nothing that a training computes afterwards.
#ifndef JENNER_WORKER_TRAINER_EVALUATION_H_
#define JENNER_WORKER_TRAINER_EVALUATION_H_

#include <cstdint>
#include <functional>

#include "worker/model/transformer.h"
#include "worker/trainer/event_writer.h"
#include "worker/trainer/inputs.h"

namespace jenner::trainer {

// All units of rows whose index modulo `world_size` is `rank`, of all sets of the job and in all
// contexts of each. The answers are the same for any number of ranks. False if `stop` returned
// true, asked after each answer; then some are missing. Failure: kNonFiniteLoss (logits that are
// not numbers), kInternal and what EventWriter throws.
bool Evaluate(const Inputs& inputs, const model::Transformer& transformer, int64_t step, int rank,
              int world_size, const std::function<bool()>& stop, EventWriter* events);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_EVALUATION_H_

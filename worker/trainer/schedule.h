// Learning-rate schedules and the order of the data: pure functions, the same on every rank.
#ifndef JENNER_WORKER_TRAINER_SCHEDULE_H_
#define JENNER_WORKER_TRAINER_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "core/spec.h"

namespace jenner::trainer {

// The learning rate of the optimizer step `step` in [0, total_steps): linear from 0 over the
// warm-up (peak * step / warmup_steps), then, with x = (step - warmup) / (total - warmup), the peak
// times 1 (constant), 1 - x (linear) or (1 + cos(pi x)) / 2 (cosine). Equal to transformers'
// get_{constant,linear,cosine}_schedule_with_warmup (optimization.py); so the first step of a
// warm-up has the rate 0.
double LearningRate(const core::TrainingSpec& settings, int64_t step, int64_t total_steps);

// The order in which epoch `epoch` visits rows [0, num_rows): a permutation by (seed, epoch) alone
// (Fisher-Yates over a counter-based generator).
std::vector<int64_t> EpochOrder(int64_t seed, int64_t epoch, int64_t num_rows);

// Rows of one optimizer step for one rank, by micro-batch.
struct StepRows {
  int64_t epoch = 0;
  // accumulation_steps of them, of indices into the dataset; some may be empty in a partial batch.
  std::vector<std::vector<int64_t>> micro_batches;
};

// The set over all ranks and micro-batches is the same for any number of ranks: positions
// [step * batch_size, ...) of the epoch's order. Within it rows are dealt out from the longest to
// the shortest, to and fro, so that every (rank, micro-batch) has about the same number of tokens.
// `lengths`: tokens of each row of the dataset. REQUIRES: 0 <= rank < world_size, batch_size
// divisible by world_size * accumulation_steps, lengths not empty.
StepRows RowsOfStep(const core::TrainingSpec& settings, int64_t seed, int64_t step,
                    const std::vector<int64_t>& lengths, int rank, int world_size);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_SCHEDULE_H_

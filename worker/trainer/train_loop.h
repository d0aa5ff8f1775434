// TrainLoop: the optimizer steps of a training. Each step is a pure function of (job, step,
// parameters, moments): rows, dropout and rate follow from the step number alone, so that it can be
// entered anywhere.
//
// The loss is a mean over the supervised tokens of the whole step: each rank divides its sum by the
// count of all ranks and micro-batches, and gradients are summed, never averaged.
#ifndef JENNER_WORKER_TRAINER_TRAIN_LOOP_H_
#define JENNER_WORKER_TRAINER_TRAIN_LOOP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/spec.h"
#include "worker/model/transformer.h"
#include "worker/text/example.h"
#include "worker/trainer/collective.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/schedule.h"

namespace jenner::trainer {

// A micro-batch is computed in forward passes of at most so many tokens (one row at least): what
// stays in memory for the backward pass is bounded, and the step's sum is the same.
inline constexpr int64_t kMaxTokensPerPass = 2048;

struct StepResult {
  int64_t step = 0;  // 1-based
  double epoch = 0;  // fraction of epochs done after it
  double loss = 0;   // nats per supervised token, over all ranks; before the update
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  int64_t supervised_tokens = 0;
  int64_t tokens = 0;
  double seconds = 0;
};

// Not thread-safe.
class TrainLoop {
 public:
  // All referents must outlive it. `transformer` has its adapter attached or all parameters
  // trained.
  TrainLoop(const core::TrainingSpec& settings, int64_t seed,
            const std::vector<text::Example>* examples, model::Transformer* transformer,
            Collective* collective);

  int64_t total_steps() const { return total_steps_; }

  // The step after `steps_done` others. nullopt, and nothing is done, if `stop` is true on any
  // rank. Failure: kNonFiniteLoss (loss or gradient norm; parameters are as before), kPeerLost,
  // kInternal if the ranks do not have the same data.
  std::optional<StepResult> Step(int64_t steps_done, bool stop);

  Optimizer* optimizer() { return &optimizer_; }

  // kInternal unless all ranks have bitwise the same trained parameters.
  void CheckRanksAgree() const;

 private:
  struct Pass;
  std::vector<Pass> PassesOf(const StepRows& rows) const;
  double Backward(const Pass& pass, int64_t epoch, double total_weight);
  // Of the supervised tokens of all ranks' passes.
  double WeightOf(const std::vector<Pass>& passes) const;

  core::TrainingSpec settings_;
  int64_t seed_;
  const std::vector<text::Example>* examples_;
  std::vector<int64_t> lengths_;  // tokens of each example
  bool is_weighted_ = false;      // some token of some example has another weight than 1
  model::Transformer* transformer_;
  Collective* collective_;
  Optimizer optimizer_;
  int64_t total_steps_;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_TRAIN_LOOP_H_

// Optimizer: AdamW over flat buckets. Gradients and moments of a bucket lie in one tensor each, in
// reverse order of the parameters, so that the bucket whose gradients come first in the backward
// pass is full first: its all-reduce starts at once and overlaps with the rest of the pass. With
// zero_stage 1 the moments of a bucket are on one rank only, which updates the parameters and hands
// them to the others (Rajbhandari et al. 2020, ZeRO-1): bitwise the same parameters. Not
// thread-safe. Every rank makes the same calls in the same order.
#ifndef JENNER_WORKER_TRAINER_OPTIMIZER_H_
#define JENNER_WORKER_TRAINER_OPTIMIZER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/spec.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/collective.h"

namespace jenner::trainer {

class Optimizer {
 public:
  // `parameters`: float32 leaves on one device that require gradients; their storage stays theirs.
  // Gradients, moments and the step count are on that device, too. `collective`
  // must outlive the optimizer. `bucket_bytes`: a bucket is closed once it has as much (one
  // parameter at least).
  Optimizer(std::vector<model::NamedTensor> parameters, const core::TrainingSpec& settings,
            Collective* collective, int64_t bucket_bytes = int64_t{4} << 20);
  ~Optimizer();

  // Before the forward passes of a step: gradients to zero.
  void ZeroGradients();
  // Before the last backward pass of a step (the only one without accumulation): from now on a full
  // bucket is summed over the ranks.
  void ArmReduction();
  // After it: reduces what is left (parameters without a gradient count as zero), waits for all.
  void FinishReduction();
  // L2 norm of all gradients, float32. Clips them to max_gradient_norm if that is above 0, as
  // torch.nn.utils.clip_grad_norm_ does (scale = min(1, max / (norm + 1e-6))).
  double ClipGradients();
  // One AdamW update (Loshchilov and Hutter 2019, decoupled weight decay) with the given rate.
  // Norm weights and biases do not decay, matrices and DoRA's magnitudes do, as transformers'
  // Trainer has it.
  void Step(double learning_rate);

  // Moments and step count by name, for checkpoints: "<parameter>.exp_avg",
  // "<parameter>.exp_avg_sq", "step"; on rank 0, elsewhere nothing is promised. Perhaps views: copy
  // before the next Step.
  std::vector<model::NamedTensor> State() const;
  // The inverse, on all ranks; `state` is rank 0's, null elsewhere. Failure(kCorruptCheckpoint), on
  // rank 0 before anything is exchanged, names what is missing, unknown or of another shape.
  void LoadState(const std::map<std::string, at::Tensor>* state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_OPTIMIZER_H_

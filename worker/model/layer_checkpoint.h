// A layer that is computed again in the backward pass, so that of the forward pass only its input
// is kept (Chen et al. 2016, "Training deep nets with sublinear memory cost").
#ifndef JENNER_WORKER_MODEL_LAYER_CHECKPOINT_H_
#define JENNER_WORKER_MODEL_LAYER_CHECKPOINT_H_

#include <ATen/core/Tensor.h>

#include <functional>

namespace jenner::model {

// layer(hidden), differentiable in `hidden` and in the leaves that `layer` uses, whose gradients
// are accumulated where the backward pass comes by. `layer` is called once more then, must do the
// same again, and own what it needs.
at::Tensor ApplyCheckpointed(std::function<at::Tensor(const at::Tensor&)> layer,
                             const at::Tensor& hidden);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_LAYER_CHECKPOINT_H_

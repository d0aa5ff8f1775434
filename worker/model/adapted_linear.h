// The product by a frozen weight with its adapters on any device, by ATen's operations: one node of
// autograd and few kernels, for on a GPU it is their number that small models wait for. The CPU has
// its own (packed_linear.h). Legend: N rows, I inputs, O outputs.
#ifndef JENNER_WORKER_MODEL_ADAPTED_LINEAR_H_
#define JENNER_WORKER_MODEL_ADAPTED_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/model/packed_linear.h"

namespace jenner::model {

// x W^T + bias + the parts, [N, O], of the type of x and W, float32 or bfloat16. Parts are float32
// and computed in it. Differentiable in x and in the A and B of parts that require gradients, both
// or none. `bias_O`: frozen, or undefined.
at::Tensor AdaptedLinear(const at::Tensor& weight_OI, const at::Tensor& bias_O,
                         const at::Tensor& x_NI, const std::vector<LoraPart>& parts);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_ADAPTED_LINEAR_H_

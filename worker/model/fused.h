// Elementwise parts of a block in one pass over memory each, forward and backward, on the CPU in
// float32. Legend: N tokens, D width, G heads, E head dimension, F intermediate width.
#ifndef JENNER_WORKER_MODEL_FUSED_H_
#define JENNER_WORKER_MODEL_FUSED_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/model/config.h"

namespace jenner::model {

// True if the functions below take it: float32 on the CPU.
bool IsFusable(const at::Tensor& x);

// x / sqrt(mean(x^2) + eps) * factor over the last dimension. Differentiable in x and factor_D.
at::Tensor FusedRmsNorm(const at::Tensor& x, const at::Tensor& factor_D, double eps);

// activation(gate) * up; gate and up stand beside each other in a row of [N, 2F].
at::Tensor FusedGate(const at::Tensor& gate_up_NG, Activation activation);

// The halves (a, b) of the last dimension of x [N, G, E] to (a cos - b sin, b cos + a sin) in the
// first `rotated` of its G heads, the others as they are; cos and sin [N, 1, E / 2]. Not
// differentiable: RotateHeads (attention.h) is.
at::Tensor FusedRotate(const at::Tensor& x_NGE, int64_t rotated, const at::Tensor& cos_N1F,
                       const at::Tensor& sin_N1F);

// Rows of x [M, V], contiguous, become their softmax; returns the logarithm of the sum of exp(x) of
// each, [M, 1]. Not differentiable.
at::Tensor FusedSoftmaxInPlace(const at::Tensor& x_MV);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_FUSED_H_

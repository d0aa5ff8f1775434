// Cross-entropy over the supervised positions only, in chunks, so that the logits [M, V] of a batch
// never exist at once. Own autograd function in the manner of Liger-Kernel's fused linear
// cross-entropy (Hsu et al. 2024): the gradients are computed with the loss, chunk by chunk.
// Legend: M supervised positions, D hidden width, V vocabulary.
#ifndef JENNER_WORKER_TRAINER_LOSS_H_
#define JENNER_WORKER_TRAINER_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/model/transformer.h"

namespace jenner::trainer {

inline constexpr int64_t kLossChunk = 256;  // positions whose logits exist at once

// Sum over positions of -log softmax(logits)[target], in nats, float32 scalar, of the logits that
// `head` makes of hidden_MD. hidden_MD float32, contiguous, targets_M int64 in [0, V), all on one
// device. Differentiable in hidden_MD, and in the head's weight if that requires gradients. Zero
// for M = 0. Log-sum-exp in float32 with the maximum taken out. weights_M, float32, >= 0,
// multiplies each position's part; undefined: all 1.
at::Tensor SumCrossEntropy(const at::Tensor& hidden_MD, const model::Head& head,
                           const at::Tensor& targets_M, const at::Tensor& weights_M = {},
                           int64_t chunk = kLossChunk);

// log softmax(logits)[target] of each position, in nats, float32 [M]. Not differentiable.
at::Tensor LogProbabilities(const at::Tensor& hidden_MD, const model::Head& head,
                            const at::Tensor& targets_M, int64_t chunk = kLossChunk);

// The logits [M, C] of the tokens ids_C, by the same head; softcap left out, which changes no
// order.
at::Tensor ChoiceLogits(const at::Tensor& hidden_MD, const model::Head& head,
                        const at::Tensor& ids_C);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_LOSS_H_

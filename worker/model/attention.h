// Attention of one row on any device, by ATen's operations. Legend: H heads, K kv heads, T queries,
// L keys, E head dimension.
#ifndef JENNER_WORKER_MODEL_ATTENTION_H_
#define JENNER_WORKER_MODEL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace jenner::model {

// cap tanh(x / cap); x if cap is 0.
at::Tensor Softcap(const at::Tensor& x, double cap);

// What is added to scores: 0 where a query may look, else minus infinity. The `length` queries
// stand behind `prefix` other keys. `window` 0: all before it.
at::Tensor ScoreMask(int64_t length, int64_t prefix, int64_t window, at::TensorOptions options);

// How queries see keys. Without a mask each sees those before it, and there are no others.
struct Sight {
  std::optional<at::Tensor> mask_TL;
  double scale = 1;
  double softcap = 0;
};

// softmax(cap(scale q k^T) + mask) v of one row. REQUIRES: a mask with softcap.
at::Tensor Attend(const at::Tensor& q_1HTE, const at::Tensor& k_1KLE, const at::Tensor& v_1KLE,
                  const Sight& sight);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_ATTENTION_H_

#include "worker/model/attention.h"

#include <ATen/ATen.h>

#include <limits>

namespace jenner::model {

at::Tensor Softcap(const at::Tensor& x, double cap) {
  return cap == 0 ? x : at::tanh(x / cap) * cap;
}

at::Tensor ScoreMask(int64_t length, int64_t prefix, int64_t window, at::TensorOptions options) {
  const at::TensorOptions whole = options.dtype(at::kLong);
  const at::Tensor distance_TL =
      at::arange(prefix, prefix + length, whole).unsqueeze(1) - at::arange(prefix + length, whole);
  at::Tensor hidden_TL = distance_TL < 0;
  if (window > 0) hidden_TL = hidden_TL.logical_or(distance_TL >= window);
  return at::zeros({length, prefix + length}, options)
      .masked_fill_(hidden_TL, -std::numeric_limits<double>::infinity());
}

at::Tensor Attend(const at::Tensor& q_1HTE, const at::Tensor& k_1KLE, const at::Tensor& v_1KLE,
                  const Sight& sight) {
  const int64_t group = q_1HTE.size(1) / k_1KLE.size(1);
  if (sight.softcap == 0) {
    return at::scaled_dot_product_attention(q_1HTE, k_1KLE, v_1KLE, sight.mask_TL, 0.0,
                                            /*is_causal=*/!sight.mask_TL, sight.scale,
                                            /*enable_gqa=*/group != 1);
  }
  const auto by_head = [group](const at::Tensor& x) {
    return group == 1 ? x : x.repeat_interleave(group, 1);
  };
  const at::Tensor scores_1HTL =
      Softcap(at::matmul(q_1HTE, by_head(k_1KLE).transpose(2, 3)) * sight.scale, sight.softcap);
  const at::Tensor weights_1HTL = at::softmax(scores_1HTL + *sight.mask_TL, 3, at::kFloat);
  return at::matmul(weights_1HTL.to(v_1KLE.scalar_type()), by_head(v_1KLE));
}

}  // namespace jenner::model

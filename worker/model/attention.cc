#include "worker/model/attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "worker/model/fused.h"

namespace jenner::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// x[at]; its gradient is g[back], as it is where `back` undoes `at` and the rest does not count.
class Take : public torch::autograd::Function<Take> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& at,
                            const at::Tensor& back) {
    const at::NoGradGuard no_grad;
    context->save_for_backward({back});
    return x.index_select(0, at);
  }
  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    return {upstream[0].index_select(0, context->get_saved_variables()[0]), at::Tensor(),
            at::Tensor()};
  }
};

// x[at]; its gradient is zero where nothing was taken. REQUIRES: no two of `at` are equal.
class TakeOnce : public torch::autograd::Function<TakeOnce> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& at) {
    const at::NoGradGuard no_grad;
    context->save_for_backward({at});
    context->saved_data["size"] = x.size(0);
    return x.index_select(0, at);
  }
  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> sizes = upstream[0].sizes().vec();
    sizes[0] = context->saved_data["size"].toInt();
    at::Tensor d_x = at::zeros(sizes, upstream[0].options());
    d_x.index_copy_(0, context->get_saved_variables()[0], upstream[0]);
    return {d_x, at::Tensor()};
  }
};

at::Tensor Rotated(const at::Tensor& x_NGE, int64_t rotated, const at::Tensor& cos_N1F,
                   const at::Tensor& sin_N1F, double direction) {
  if (IsFusable(x_NGE)) {
    return FusedRotate(x_NGE, rotated, cos_N1F, direction < 0 ? -sin_N1F : sin_N1F);
  }
  at::Tensor out_NGE = at::empty(x_NGE.sizes(), x_NGE.options());
  const int64_t half = x_NGE.size(2) / 2;
  const auto part = [&](const at::Tensor& x, int64_t begin) {
    return x.narrow(1, 0, rotated).narrow(2, begin, half);
  };
  const at::Tensor a = part(x_NGE, 0), b = part(x_NGE, half);
  at::Tensor out_a = part(out_NGE, 0), out_b = part(out_NGE, half);
  at::mul_out(out_a, a, cos_N1F).addcmul_(b, sin_N1F, -direction);
  at::mul_out(out_b, b, cos_N1F).addcmul_(a, sin_N1F, direction);
  const int64_t others = x_NGE.size(1) - rotated;
  if (others > 0) out_NGE.narrow(1, rotated, others).copy_(x_NGE.narrow(1, rotated, others));
  return out_NGE;
}

class Rotation : public torch::autograd::Function<Rotation> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_NGE, int64_t rotated,
                            const at::Tensor& cos_N1F, const at::Tensor& sin_N1F) {
    const at::NoGradGuard no_grad;
    context->save_for_backward({cos_N1F, sin_N1F});
    context->saved_data["rotated"] = rotated;
    return Rotated(x_NGE, rotated, cos_N1F, sin_N1F, 1);
  }
  // Back by the same angles.
  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    const variable_list kept = context->get_saved_variables();
    return {Rotated(upstream[0], context->saved_data["rotated"].toInt(), kept[0], kept[1], -1),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor RotateHeads(const at::Tensor& x_NGE, int64_t rotated, const at::Tensor& cos_N1F,
                       const at::Tensor& sin_N1F) {
  return Rotation::apply(x_NGE, rotated, cos_N1F, sin_N1F);
}

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

at::Tensor Attend(const at::Tensor& q_BHTE, const at::Tensor& k_BKLE, const at::Tensor& v_BKLE,
                  const Sight& sight) {
  const int64_t group = q_BHTE.size(1) / k_BKLE.size(1);
  const auto by_head = [group](const at::Tensor& x) {
    return group == 1 ? x : x.repeat_interleave(group, 1);
  };
  if (sight.softcap == 0) {
    // On a GPU only some of its kernels know groups, and the one that is left keeps all scores.
    const bool knows_groups = q_BHTE.is_cpu();
    return at::scaled_dot_product_attention(q_BHTE, knows_groups ? k_BKLE : by_head(k_BKLE),
                                            knows_groups ? v_BKLE : by_head(v_BKLE), sight.mask_TL,
                                            0.0, /*is_causal=*/!sight.mask_TL, sight.scale,
                                            /*enable_gqa=*/knows_groups && group != 1);
  }
  const at::Tensor scores_BHTL =
      Softcap(at::matmul(q_BHTE, by_head(k_BKLE).transpose(2, 3)) * sight.scale, sight.softcap);
  const at::Tensor weights_BHTL = at::softmax(scores_BHTL + *sight.mask_TL, 3, at::kFloat);
  return at::matmul(weights_BHTL.to(v_BKLE.scalar_type()), by_head(v_BKLE));
}

Padding::Padding(const std::vector<int64_t>& row_starts, at::Device device)
    : num_rows_(static_cast<int64_t>(row_starts.size()) - 1) {
  for (size_t row = 0; row + 1 < row_starts.size(); ++row)
    length_ = std::max(length_, row_starts[row + 1] - row_starts[row]);
  std::vector<int64_t> sources, places;
  for (size_t row = 0; row + 1 < row_starts.size(); ++row) {
    const int64_t begin = row_starts[row], end = row_starts[row + 1];
    for (int64_t t = 0; t < length_; ++t) {
      if (begin + t < end) places.push_back(static_cast<int64_t>(sources.size()));
      sources.push_back(std::min(begin + t, end - 1));
    }
  }
  sources_M_ = at::tensor(sources, at::kLong).to(device);
  places_N_ = at::tensor(places, at::kLong).to(device);
}

at::Tensor Padding::Pad(const at::Tensor& x_NGE) const {
  return Take::apply(x_NGE, sources_M_, places_N_)
      .view({num_rows_, length_, x_NGE.size(1), x_NGE.size(2)});
}

at::Tensor Padding::Unpad(const at::Tensor& x_BTHE) const {
  return TakeOnce::apply(x_BTHE.flatten(0, 1), places_N_);
}

}  // namespace jenner::model

#include "worker/trainer/loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>

#include "worker/model/fused.h"

namespace jenner::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Wrapped, so that autograd does not look at it: it may be undefined.
struct Weights {
  at::Tensor of_M;
};

// What `hidden` is multiplied by for the logits, and logits' gradients for its own. On the CPU; one
// that is trained is packed anew.
class HeadProducts {
 public:
  explicit HeadProducts(const model::Head& head) : head_(head), packed_(head.packed) {
    if (packed_ == nullptr && model::IsFusable(head.weight_VD)) {
      packed_ = std::make_shared<const model::PackedLinear>(head.weight_VD.detach(), head.storage);
    }
  }
  at::Tensor Logits(const at::Tensor& h_CD) const {
    if (packed_ == nullptr) return at::mm(h_CD, head_.weight_VD.t());
    at::Tensor logits_CV = at::empty({h_CD.size(0), head_.weight_VD.size(0)}, h_CD.options());
    model::MultiplyInto(*packed_->Forward(), h_CD, &logits_CV);
    return logits_CV;
  }
  void ToHidden(const at::Tensor& d_logits_CV, at::Tensor* d_h_CD) const {
    if (packed_ == nullptr) {
      at::mm_out(*d_h_CD, d_logits_CV, head_.weight_VD);
    } else {
      model::MultiplyInto(packed_->Backward(), d_logits_CV, d_h_CD);
    }
  }
  void AddToWeight(const at::Tensor& d_logits_CV, const at::Tensor& h_CD,
                   at::Tensor* d_head_VD) const {
    if (packed_ == nullptr) {
      d_head_VD->addmm_(d_logits_CV.t(), h_CD);
    } else {
      model::AddTransposedProduct(d_logits_CV, h_CD, head_.storage, d_head_VD);
    }
  }

 private:
  const model::Head& head_;
  std::shared_ptr<const model::PackedLinear> packed_;
};

// The logits become their softmax.
at::Tensor LogSums(at::Tensor* logits_CV) {
  if (model::IsFusable(*logits_CV)) return model::FusedSoftmaxInPlace(*logits_CV);
  const at::Tensor log_sums_C1 = at::logsumexp(*logits_CV, {1}, /*keepdim=*/true);
  logits_CV->sub_(log_sums_C1).exp_();
  return log_sums_C1;
}

// In place.
void Softcap(double cap, at::Tensor* logits) {
  if (cap != 0) logits->div_(cap).tanh_().mul_(cap);
}

class LinearCrossEntropy : public torch::autograd::Function<LinearCrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden_MD,
                            const at::Tensor& head_VD, const at::Tensor& targets_M,
                            const Weights& weights, const model::Head& head, int64_t chunk) {
    const double softcap = head.softcap;
    const HeadProducts products(head);
    const bool wants_hidden = hidden_MD.requires_grad();
    const bool wants_head = head_VD.requires_grad();
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    at::Tensor total = at::zeros({}, hidden_MD.options().dtype(at::kDouble));
    at::Tensor d_hidden_MD = wants_hidden ? at::empty_like(hidden_MD) : at::Tensor();
    at::Tensor d_head_VD = wants_head ? at::zeros_like(head_VD) : at::Tensor();
    const int64_t num_positions = hidden_MD.size(0);
    for (int64_t begin = 0; begin < num_positions; begin += chunk) {
      const int64_t count = std::min(chunk, num_positions - begin);
      const at::Tensor h_CD = hidden_MD.narrow(0, begin, count);
      const at::Tensor targets_C1 = targets_M.narrow(0, begin, count).unsqueeze(1);
      at::Tensor logits_CV = products.Logits(h_CD);
      Softcap(softcap, &logits_CV);
      // d cap tanh(x / cap) / dx = 1 - tanh^2
      at::Tensor slope_CV;
      if (softcap != 0) slope_CV = 1 - (logits_CV / softcap).square_();
      const at::Tensor of_targets_C1 = logits_CV.gather(1, targets_C1);
      at::Tensor losses_C1 = LogSums(&logits_CV) - of_targets_C1;
      at::Tensor weights_C1;
      if (weights.of_M.defined()) {
        weights_C1 = weights.of_M.narrow(0, begin, count).unsqueeze(1);
        losses_C1.mul_(weights_C1);
      }
      total += losses_C1.sum(at::kDouble);
      if (!wants_hidden && !wants_head) continue;
      // d loss / d logits = softmax - one-hot, in the logits' own memory.
      at::Tensor d_logits_CV = logits_CV;
      d_logits_CV.scatter_add_(1, targets_C1, at::full({count, 1}, -1.0, d_logits_CV.options()));
      if (weights_C1.defined()) d_logits_CV.mul_(weights_C1);
      if (slope_CV.defined()) d_logits_CV.mul_(slope_CV);
      if (wants_hidden) {
        at::Tensor out = d_hidden_MD.narrow(0, begin, count);
        products.ToHidden(d_logits_CV, &out);
      }
      if (wants_head) products.AddToWeight(d_logits_CV, h_CD, &d_head_VD);
    }
    context->save_for_backward({d_hidden_MD, d_head_VD});
    return total.to(at::kFloat);
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const variable_list saved = context->get_saved_variables();
    const auto scaled = [&](const at::Tensor& gradient) {
      return gradient.defined() ? gradient * upstream[0] : at::Tensor();
    };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(),
            at::Tensor(),     at::Tensor(),     at::Tensor()};
  }
};

}  // namespace

at::Tensor SumCrossEntropy(const at::Tensor& hidden_MD, const model::Head& head,
                           const at::Tensor& targets_M, const at::Tensor& weights_M,
                           int64_t chunk) {
  return LinearCrossEntropy::apply(hidden_MD, head.weight_VD, targets_M, Weights{weights_M}, head,
                                   chunk);
}

at::Tensor LogProbabilities(const at::Tensor& hidden_MD, const model::Head& head,
                            const at::Tensor& targets_M, int64_t chunk) {
  const at::NoGradGuard no_grad;
  const HeadProducts products(head);
  const int64_t num_positions = hidden_MD.size(0);
  at::Tensor out_M = at::empty({num_positions}, hidden_MD.options());
  for (int64_t begin = 0; begin < num_positions; begin += chunk) {
    const int64_t count = std::min(chunk, num_positions - begin);
    const at::Tensor targets_C1 = targets_M.narrow(0, begin, count).unsqueeze(1);
    at::Tensor logits_CV = products.Logits(hidden_MD.narrow(0, begin, count));
    Softcap(head.softcap, &logits_CV);
    const at::Tensor of_targets_C1 = logits_CV.gather(1, targets_C1);
    out_M.narrow(0, begin, count).copy_((of_targets_C1 - LogSums(&logits_CV)).squeeze(1));
  }
  return out_M;
}

at::Tensor ChoiceLogits(const at::Tensor& hidden_MD, const model::Head& head,
                        const at::Tensor& ids_C) {
  const at::NoGradGuard no_grad;
  // Of the choices' rows only.
  const model::Head choices{head.weight_VD.index_select(0, ids_C), 0, head.storage};
  return HeadProducts(choices).Logits(hidden_MD);
}

}  // namespace jenner::trainer

// R: the ranks of all parts together.
#include "worker/model/adapted_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace jenner::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a product is, besides its factors.
struct Frozen : torch::CustomClassHolder {
  at::Tensor weight_OI;
  at::Tensor bias_O;
  std::vector<double> scales;
  std::vector<int64_t> out_begins;
};
using FrozenPtr = c10::intrusive_ptr<Frozen>;

// The A of all parts, one under the other.
at::Tensor Lows(at::TensorList factors) {
  std::vector<at::Tensor> lows;
  for (size_t p = 0; p < factors.size(); p += 2) lows.push_back(factors[p]);
  return lows.size() == 1 ? lows[0] : at::cat(lows, 0);
}

// out += scale a b; rounded once if `out` is of another type.
void AddProduct(const at::Tensor& a, const at::Tensor& b, double scale, at::Tensor out) {
  if (out.scalar_type() == at::kFloat) {
    out.addmm_(a, b, 1, scale);
  } else {
    out.add_(at::mm(a, b), scale);
  }
}

// out = scale a b
void IntoProduct(const at::Tensor& a, const at::Tensor& b, double scale, at::Tensor out) {
  out.addmm_(a, b, /*beta=*/0, scale);
}

// `factors`: A and B of each part in turn.
class Product : public torch::autograd::Function<Product> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_NI,
                            at::TensorList factors, const FrozenPtr& frozen) {
    const at::NoGradGuard no_grad;
    const at::Tensor y_NO = at::linear(x_NI, frozen->weight_OI, frozen->bias_O);
    const at::Tensor x32_NI = x_NI.to(at::kFloat);
    const at::Tensor low_NR = at::mm(x32_NI, Lows(factors).t());
    int64_t begin = 0;
    for (size_t p = 0; p < frozen->scales.size(); ++p) {
      const at::Tensor& b_OR = factors[2 * p + 1];
      AddProduct(low_NR.narrow(1, begin, b_OR.size(1)), b_OR.t(), frozen->scales[p],
                 y_NO.narrow(1, frozen->out_begins[p], b_OR.size(0)));
      begin += b_OR.size(1);
    }
    variable_list kept = {x_NI, low_NR};
    kept.insert(kept.end(), factors.begin(), factors.end());
    context->save_for_backward(std::move(kept));
    context->saved_data["frozen"] = c10::IValue::make_capsule(frozen);
    return y_NO;
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    const auto frozen =
        c10::static_intrusive_pointer_cast<Frozen>(context->saved_data["frozen"].toCapsule());
    const variable_list kept = context->get_saved_variables();
    const at::TensorList factors(kept.data() + 2, kept.size() - 2);
    const at::Tensor& low_NR = kept[1];
    const at::Tensor g_NO = upstream[0].contiguous();
    const at::Tensor g32_NO = g_NO.to(at::kFloat);
    const at::Tensor d_low_NR = at::empty_like(low_NR);
    const auto part_of_g = [&](size_t p) {
      return g32_NO.narrow(1, frozen->out_begins[p], factors[2 * p + 1].size(0));
    };
    int64_t begin = 0;
    for (size_t p = 0; p < frozen->scales.size(); ++p) {
      const at::Tensor& b_OR = factors[2 * p + 1];
      IntoProduct(part_of_g(p), b_OR, frozen->scales[p], d_low_NR.narrow(1, begin, b_OR.size(1)));
      begin += b_OR.size(1);
    }
    const at::Tensor d_a_RI = at::mm(d_low_NR.t(), kept[0].to(at::kFloat));
    variable_list gradients(1);
    begin = 0;
    for (size_t p = 0; p < frozen->scales.size(); ++p) {
      const at::Tensor& b_OR = factors[2 * p + 1];
      const int64_t rank = b_OR.size(1);
      if (b_OR.requires_grad()) {
        gradients.push_back(d_a_RI.narrow(0, begin, rank));
        gradients.push_back(at::empty_like(b_OR));
        IntoProduct(part_of_g(p).t(), low_NR.narrow(1, begin, rank), frozen->scales[p],
                    gradients.back());
      } else {
        gradients.resize(gradients.size() + 2);
      }
      begin += rank;
    }
    if (context->needs_input_grad(0)) {
      gradients[0] = at::mm(g_NO, frozen->weight_OI);
      AddProduct(d_low_NR, Lows(factors), 1, gradients[0]);
    }
    gradients.emplace_back();  // of what is frozen
    return gradients;
  }
};

}  // namespace

at::Tensor AdaptedLinear(const at::Tensor& weight_OI, const at::Tensor& bias_O,
                         const at::Tensor& x_NI, const std::vector<LoraPart>& parts) {
  if (parts.empty()) return at::linear(x_NI, weight_OI, bias_O);
  auto frozen = c10::make_intrusive<Frozen>();
  frozen->weight_OI = weight_OI;
  frozen->bias_O = bias_O;
  std::vector<at::Tensor> factors;
  for (const LoraPart& part : parts) {
    factors.push_back(part.a_RI);
    factors.push_back(part.b_OR);
    frozen->scales.push_back(part.scale);
    frozen->out_begins.push_back(part.out_begin);
  }
  return Product::apply(x_NI, at::TensorList(factors), frozen);
}

}  // namespace jenner::model

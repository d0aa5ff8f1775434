#include "worker/model/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <span>
#include <utility>

#include "core/check.h"
#include "worker/model/products.h"

namespace jenner::model {
namespace {

using kernels::ConstRows;
using kernels::ConstRows16;
using kernels::PackedMatrix;
using kernels::Rows;
using kernels::Storage;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void CheckRows(const at::Tensor& x) {
  JENNER_CHECK(x.scalar_type() == at::kFloat && x.device().is_cpu() &&
               (x.size(1) <= 1 || x.stride(1) == 1));
}
ConstRows ReadRows(const at::Tensor& x) {
  CheckRows(x);
  return {x.const_data_ptr<float>(), x.stride(0)};
}
Rows WriteRows(const at::Tensor& x) {
  CheckRows(x);
  return {x.mutable_data_ptr<float>(), x.stride(0)};
}

// Rows rounded to bfloat16, of an even width; nothing if no product needs them.
class Rounded {
 public:
  Rounded(const at::Tensor& x_NI, Storage storage) {
    if (storage == Storage::kFloat32) return;
    const int64_t width = x_NI.size(1);
    stride_ = (width + 1) / 2 * 2;
    values_ = at::empty({x_NI.size(0), stride_}, at::kBFloat16);
    auto* out = static_cast<uint16_t*>(values_.mutable_data_ptr());
    const ConstRows x = ReadRows(x_NI);
    ForRows(x_NI.size(0), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        kernels::RoundToBfloat16(x.data + r * x.stride, width, out + r * stride_);
    });
  }
  ConstRows16 rows() const {
    if (!values_.defined()) return {};
    return {static_cast<const uint16_t*>(values_.const_data_ptr()), stride_};
  }

 private:
  at::Tensor values_;
  int64_t stride_ = 0;
};

// One product of all rows, into `out` or added to it.
void MultiplyRows(const PackedMatrix& weight, const at::Tensor& x, bool add, at::Tensor* out) {
  const Rounded x16(x, weight.storage());
  const Product product = {&weight, WriteRows(*out), add};
  MultiplyAll(ReadRows(x), x16.rows(), x.size(0), {&product, 1});
}

// Small ones.
PackedMatrix PackScaled(const at::Tensor& weight_OI, double scale) {
  return PackedMatrix(weight_OI.const_data_ptr<float>(), weight_OI.size(0), weight_OI.size(1),
                      weight_OI.stride(0), scale, Storage::kFloat32);
}

PackedMatrix PackScaledTransposed(const at::Tensor& weight_IO, double scale) {
  return PackedMatrix::OfTransposed(weight_IO.const_data_ptr<float>(), weight_IO.size(1),
                                    weight_IO.size(0), weight_IO.stride(0), scale,
                                    Storage::kFloat32);
}

// out [A, B] = X^T Y, or added to it, for X [N, A] and Y [N, B].
void TransposedProduct(const at::Tensor& x_NA, const at::Tensor& y_NB, Storage storage, bool add,
                       at::Tensor* out_AB) {
  at::Tensor x_AN = at::empty({x_NA.size(1), x_NA.size(0)}, x_NA.options());
  Transpose(ReadRows(x_NA), x_NA.size(0), x_NA.size(1), WriteRows(x_AN));
  const PackedMatrix y = PackTransposed(ReadRows(y_NB), y_NB.size(0), y_NB.size(1), storage);
  MultiplyRows(y, x_AN, add, out_AB);
}

at::Tensor TransposedProduct(const at::Tensor& x_NA, const at::Tensor& y_NB, Storage storage) {
  at::Tensor out_AB = at::empty({x_NA.size(1), y_NB.size(1)}, x_NA.options());
  TransposedProduct(x_NA, y_NB, storage, /*add=*/false, &out_AB);
  return out_AB;
}

void AddBias(const at::Tensor& bias_O, int64_t begin, int64_t end, Rows y) {
  for (int64_t r = begin; r < end; ++r)
    kernels::Add(bias_O.const_data_ptr<float>(), bias_O.numel(), y.data + r * y.stride);
}

// What a product is, besides its tensors.
struct Plan : torch::CustomClassHolder {
  std::shared_ptr<const PackedLinear> weight;
  at::Tensor bias_O;
  std::vector<double> scales;
  std::vector<int64_t> out_begins;
};
using PlanPtr = c10::intrusive_ptr<Plan>;

// The A of all parts, one under the other.
at::Tensor Lows(const std::vector<at::Tensor>& factors) {
  std::vector<at::Tensor> lows;
  for (size_t p = 0; p < factors.size(); p += 2) lows.push_back(factors[p]);
  return lows.size() == 1 ? lows[0] : at::cat(lows, 0);
}

// `factors`: A and B of each part in turn.
class AdaptedProduct : public torch::autograd::Function<AdaptedProduct> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList factors,
                            const PlanPtr& plan) {
    const at::NoGradGuard no_grad;
    const at::Tensor x_NI = x.contiguous();
    const int64_t rows = x_NI.size(0);
    const PackedMatrix& weight = *plan->weight->Forward();
    at::Tensor y_NO = at::empty({rows, plan->weight->outputs()}, x_NI.options());
    at::Tensor low_NR;
    PackedMatrix low;
    std::vector<PackedMatrix> ups;
    if (!factors.empty()) {
      const at::Tensor a_RI = Lows(factors.vec());
      low_NR = at::empty({rows, a_RI.size(0)}, x_NI.options());
      low = PackScaled(a_RI, 1);
      for (size_t p = 0; p < plan->scales.size(); ++p)
        ups.push_back(PackScaled(factors[2 * p + 1], plan->scales[p]));
    }
    {
      const Rounded x16(x_NI, weight.storage());
      std::vector<Product> products = {{&weight, WriteRows(y_NO)}};
      if (low_NR.defined()) products.push_back({&low, WriteRows(low_NR)});
      MultiplyAll(ReadRows(x_NI), x16.rows(), rows, products);
    }
    if (!ups.empty() || plan->bias_O.defined()) {
      const Rows y = WriteRows(y_NO);
      ForRows(rows, [&](int64_t begin, int64_t end) {
        int64_t low_begin = 0;
        for (size_t p = 0; p < ups.size(); ++p) {
          const ConstRows low_rows = {low_NR.const_data_ptr<float>() + low_begin, low_NR.size(1)};
          kernels::Multiply(low_rows, begin, end, ups[p], 0, ups[p].num_panels(), /*add=*/true,
                            {y.data + plan->out_begins[p], y.stride});
          low_begin += ups[p].inputs();
        }
        if (plan->bias_O.defined()) AddBias(plan->bias_O, begin, end, y);
      });
    }
    variable_list kept = {factors.empty() ? at::Tensor() : x_NI, low_NR};
    kept.insert(kept.end(), factors.begin(), factors.end());
    context->save_for_backward(std::move(kept));
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return y_NO;
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    const auto plan =
        c10::static_intrusive_pointer_cast<Plan>(context->saved_data["plan"].toCapsule());
    const variable_list kept = context->get_saved_variables();
    const at::Tensor g_NO = upstream[0].contiguous();
    const at::Tensor& x_NI = kept[0];
    const at::Tensor& low_NR = kept[1];
    const std::vector<at::Tensor> factors(kept.begin() + 2, kept.end());
    const int64_t rows = g_NO.size(0);
    at::Tensor d_low_NR;
    PackedMatrix low;
    std::vector<PackedMatrix> ups;
    variable_list gradients(1);
    if (!factors.empty()) {
      d_low_NR = at::empty_like(low_NR);
      low = PackScaledTransposed(Lows(factors), 1);
      for (size_t p = 0; p < plan->scales.size(); ++p)
        ups.push_back(PackScaledTransposed(factors[2 * p + 1], plan->scales[p]));
      ForRows(rows, [&](int64_t begin, int64_t end) {
        int64_t low_begin = 0;
        for (size_t p = 0; p < ups.size(); ++p) {
          kernels::Multiply({g_NO.const_data_ptr<float>() + plan->out_begins[p], g_NO.stride(0)},
                            begin, end, ups[p], 0, ups[p].num_panels(), /*add=*/false,
                            {d_low_NR.mutable_data_ptr<float>() + low_begin, d_low_NR.size(1)});
          low_begin += ups[p].outputs();
        }
      });
      const bool trains = std::any_of(factors.begin(), factors.end(),
                                      [](const at::Tensor& one) { return one.requires_grad(); });
      at::Tensor d_a_RI = at::empty({d_low_NR.size(1), x_NI.size(1)}, x_NI.options());
      if (trains) TransposedProduct(d_low_NR, x_NI, Storage::kFloat32, /*add=*/false, &d_a_RI);
      int64_t low_begin = 0;
      for (size_t p = 0; p < ups.size(); ++p) {
        const int64_t rank = ups[p].outputs();
        const at::Tensor low_part_NR = low_NR.narrow(1, low_begin, rank);
        const at::Tensor d_a_part_RI = d_a_RI.narrow(0, low_begin, rank);
        low_begin += rank;
        if (!factors[2 * p].requires_grad()) {  // frozen
          gradients.resize(gradients.size() + 2);
          continue;
        }
        gradients.push_back(d_a_part_RI);
        const at::Tensor part_NO = g_NO.narrow(1, plan->out_begins[p], factors[2 * p + 1].size(0));
        gradients.push_back(
            TransposedProduct(low_part_NR, part_NO, Storage::kFloat32).t().mul(plan->scales[p]));
      }
    }
    if (context->needs_input_grad(0)) {
      const PackedMatrix& weight = plan->weight->Backward();
      gradients[0] = at::empty({rows, plan->weight->inputs()}, g_NO.options());
      MultiplyInto(weight, g_NO, &gradients[0]);
      if (d_low_NR.defined()) {
        ForRows(rows, [&](int64_t begin, int64_t end) {
          kernels::Multiply(ReadRows(d_low_NR), begin, end, low, 0, low.num_panels(), /*add=*/true,
                            WriteRows(gradients[0]));
        });
      }
    }
    gradients.emplace_back();  // the plan's
    return gradients;
  }
};

// A trained product, besides its tensors.
struct TrainedPlan : torch::CustomClassHolder {
  at::Tensor weight_OI;
  at::Tensor bias_O;
  Storage storage = Storage::kFloat32;
  std::vector<int64_t> heights;  // of the leaves
};
using TrainedPlanPtr = c10::intrusive_ptr<TrainedPlan>;

// `leaves`: of the weight, then of the bias, if there is one.
class TrainedProduct : public torch::autograd::Function<TrainedProduct> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, at::TensorList leaves,
                            const TrainedPlanPtr& plan) {
    const at::NoGradGuard no_grad;
    const at::Tensor x_NI = x.contiguous();
    const at::Tensor& weight = plan->weight_OI;
    at::Tensor y_NO = at::empty({x_NI.size(0), weight.size(0)}, x_NI.options());
    MultiplyInto(Pack(ReadRows(weight), weight.size(0), weight.size(1), plan->storage), x_NI,
                 &y_NO);
    if (plan->bias_O.defined()) {
      ForRows(y_NO.size(0), [&](int64_t begin, int64_t end) {
        AddBias(plan->bias_O, begin, end, WriteRows(y_NO));
      });
    }
    // The leaves are kept for their versions: a change before the backward pass is an error.
    variable_list kept = {x_NI};
    kept.insert(kept.end(), leaves.begin(), leaves.end());
    context->save_for_backward(std::move(kept));
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return y_NO;
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    const auto plan =
        c10::static_intrusive_pointer_cast<TrainedPlan>(context->saved_data["plan"].toCapsule());
    const at::Tensor x_NI = context->get_saved_variables()[0];
    const at::Tensor& weight = plan->weight_OI;
    const at::Tensor g_NO = upstream[0].contiguous();
    variable_list gradients(1);
    if (context->needs_input_grad(0)) {
      gradients[0] = at::empty_like(x_NI);
      MultiplyInto(PackTransposed(ReadRows(weight), weight.size(0), weight.size(1), plan->storage),
                   g_NO, &gradients[0]);
    }
    const auto divide = [&](const at::Tensor& whole) {
      for (const at::Tensor& part : whole.split_with_sizes(plan->heights, 0))
        gradients.push_back(part);
    };
    divide(TransposedProduct(g_NO, x_NI, plan->storage));
    if (plan->bias_O.defined()) divide(g_NO.sum(0));
    gradients.emplace_back();  // the plan's
    return gradients;
  }
};

}  // namespace

const std::shared_ptr<const PackedMatrix>& PackedLinear::Forward() const {
  if (forward_ == nullptr) {
    forward_ = std::make_shared<const PackedMatrix>(
        Pack(ReadRows(weight_OI_), outputs(), inputs(), storage_));
  }
  return forward_;
}

const PackedMatrix& PackedLinear::Backward() const {
  if (backward_ == nullptr) {
    backward_ = std::make_shared<const PackedMatrix>(
        PackTransposed(ReadRows(weight_OI_), outputs(), inputs(), storage_));
  }
  return *backward_;
}

at::Tensor Multiply(const std::shared_ptr<const PackedLinear>& weight, const at::Tensor& x_NI,
                    const at::Tensor& bias_O, const std::vector<LoraPart>& parts) {
  JENNER_CHECK(x_NI.scalar_type() == at::kFloat && x_NI.device().is_cpu());
  auto plan = c10::make_intrusive<Plan>();
  plan->weight = weight;
  plan->bias_O = bias_O;
  std::vector<at::Tensor> factors;
  for (const LoraPart& part : parts) {
    factors.push_back(part.a_RI);
    factors.push_back(part.b_OR);
    plan->scales.push_back(part.scale);
    plan->out_begins.push_back(part.out_begin);
  }
  return AdaptedProduct::apply(x_NI, at::TensorList(factors), plan);
}

at::Tensor MultiplyTrained(const at::Tensor& weight_OI, const std::vector<at::Tensor>& leaves,
                           const at::Tensor& bias_O, const std::vector<at::Tensor>& biases,
                           Storage storage, const at::Tensor& x_NI) {
  JENNER_CHECK(x_NI.scalar_type() == at::kFloat && x_NI.device().is_cpu());
  auto plan = c10::make_intrusive<TrainedPlan>();
  plan->weight_OI = weight_OI;
  plan->bias_O = bias_O;
  plan->storage = storage;
  std::vector<at::Tensor> all = leaves;
  all.insert(all.end(), biases.begin(), biases.end());
  for (const at::Tensor& leaf : leaves) plan->heights.push_back(leaf.size(0));
  return TrainedProduct::apply(x_NI, at::TensorList(all), plan);
}

void AddTransposedProduct(const at::Tensor& x_NA, const at::Tensor& y_NB, Storage storage,
                          at::Tensor* out_AB) {
  TransposedProduct(x_NA, y_NB, storage, /*add=*/true, out_AB);
}

void MultiplyInto(const PackedMatrix& weight, const at::Tensor& x, at::Tensor* out) {
  MultiplyRows(weight, x, /*add=*/false, out);
}

}  // namespace jenner::model

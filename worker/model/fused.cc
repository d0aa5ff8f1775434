#include "worker/model/fused.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "worker/kernels/gradients.h"
#include "worker/kernels/kernels.h"
#include "worker/model/products.h"

namespace jenner::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

const float* Read(const at::Tensor& x) { return x.const_data_ptr<float>(); }
float* Write(const at::Tensor& x) { return x.mutable_data_ptr<float>(); }

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given,
                            const at::Tensor& factor, double eps) {
    const at::NoGradGuard no_grad;
    const at::Tensor x = given.contiguous();
    const at::Tensor factor_D = factor.contiguous();
    at::Tensor out = at::empty_like(x);
    const int64_t width = x.size(-1);
    ForRows(x.numel() / width, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        kernels::RmsNorm(Read(x) + r * width, Read(factor_D), width, eps, Write(out) + r * width);
    });
    context->save_for_backward({x, factor_D});
    context->saved_data["eps"] = eps;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    const variable_list kept = context->get_saved_variables();
    const at::Tensor& x = kept[0];
    const at::Tensor& factor_D = kept[1];
    const at::Tensor g = upstream[0].contiguous();
    const double eps = context->saved_data["eps"].toDouble();
    const int64_t width = x.size(-1);
    at::Tensor d_x = at::empty_like(x);
    // Summed in the order of the rows by one thread: the result must not depend on how many there
    // are. Only full fine-tuning wants it.
    const bool wants_factor = context->needs_input_grad(1);
    at::Tensor d_factor_D = wants_factor ? at::zeros_like(factor_D) : at::Tensor();
    const auto rows = [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        kernels::RmsNormGradient(Read(x) + r * width, Read(factor_D), Read(g) + r * width, width,
                                 eps, Write(d_x) + r * width,
                                 wants_factor ? Write(d_factor_D) : nullptr);
      }
    };
    if (wants_factor) {
      rows(0, x.numel() / width);
    } else {
      ForRows(x.numel() / width, rows);
    }
    return {d_x, d_factor_D, at::Tensor()};
  }
};

class Gate : public torch::autograd::Function<Gate> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, bool is_silu) {
    const at::NoGradGuard no_grad;
    const at::Tensor gate_up_NG = given.contiguous();
    const int64_t width = gate_up_NG.size(1) / 2;
    at::Tensor out_NF = at::empty({gate_up_NG.size(0), width}, gate_up_NG.options());
    const auto function = is_silu ? kernels::SiluMultiply : kernels::GeluMultiply;
    ForRows(out_NF.size(0), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const float* gate = Read(gate_up_NG) + r * 2 * width;
        function(gate, gate + width, width, Write(out_NF) + r * width);
      }
    });
    context->save_for_backward({gate_up_NG});
    context->saved_data["is_silu"] = is_silu;
    return out_NF;
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const at::NoGradGuard no_grad;
    const at::Tensor gate_up_NG = context->get_saved_variables()[0];
    const at::Tensor g_NF = upstream[0].contiguous();
    const int64_t width = g_NF.size(1);
    at::Tensor d_NG = at::empty_like(gate_up_NG);
    const auto function = context->saved_data["is_silu"].toBool() ? kernels::SiluMultiplyGradient
                                                                  : kernels::GeluMultiplyGradient;
    ForRows(g_NF.size(0), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const float* gate = Read(gate_up_NG) + r * 2 * width;
        float* d_gate = Write(d_NG) + r * 2 * width;
        function(gate, gate + width, Read(g_NF) + r * width, width, d_gate, d_gate + width);
      }
    });
    return {d_NG, at::Tensor()};
  }
};

}  // namespace

bool IsFusable(const at::Tensor& x) { return x.scalar_type() == at::kFloat && x.device().is_cpu(); }

at::Tensor FusedRmsNorm(const at::Tensor& x, const at::Tensor& factor_D, double eps) {
  return RmsNorm::apply(x, factor_D, eps);
}

at::Tensor FusedGate(const at::Tensor& gate_up_NG, Activation activation) {
  return Gate::apply(gate_up_NG, activation == Activation::kSilu);
}

at::Tensor FusedSoftmaxInPlace(const at::Tensor& x_MV) {
  at::Tensor log_sums_M1 = at::empty({x_MV.size(0), 1}, x_MV.options());
  const int64_t width = x_MV.size(1);
  at::parallel_for(0, x_MV.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      Write(log_sums_M1)[r] = kernels::Softmax(Write(x_MV) + r * width, width);
  });
  return log_sums_M1;
}

at::Tensor FusedRotate(const at::Tensor& x_NGE, int64_t rotated, const at::Tensor& cos_N1F,
                       const at::Tensor& sin_N1F) {
  at::Tensor out_NGE = x_NGE.clone(at::MemoryFormat::Contiguous);
  const int64_t heads = x_NGE.size(1);
  const int64_t width = x_NGE.size(2);
  ForRows(x_NGE.size(0), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t h = 0; h < rotated; ++h) {
        kernels::Rotate(Read(cos_N1F) + r * width / 2, Read(sin_N1F) + r * width / 2, width / 2,
                        Write(out_NGE) + (r * heads + h) * width);
      }
    }
  });
  return out_NGE;
}

}  // namespace jenner::model

#include "worker/generate/weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "worker/model/products.h"

namespace jenner::generate {
namespace {

using model::Target;

kernels::PackedMatrix Pack(const at::Tensor& weight_OI, double scale, kernels::Storage storage) {
  const at::Tensor plain = weight_OI.detach();
  JENNER_CHECK(plain.dim() == 2 && plain.stride(1) == 1 && plain.scalar_type() == at::kFloat);
  return kernels::PackedMatrix(plain.const_data_ptr<float>(), plain.size(0), plain.size(1),
                               plain.stride(0), scale, storage);
}

std::shared_ptr<const kernels::PackedMatrix> PackShared(const at::Tensor& weight_OI,
                                                        kernels::Storage storage) {
  const at::Tensor plain = weight_OI.detach();
  return std::make_shared<const kernels::PackedMatrix>(model::Pack(
      {plain.const_data_ptr<float>(), plain.stride(0)}, plain.size(0), plain.size(1), storage));
}

std::vector<float> Copy(const at::Tensor& vector) {
  const at::Tensor plain = vector.detach().contiguous();
  const float* data = plain.const_data_ptr<float>();
  return {data, data + plain.numel()};
}

Linear PackLinear(const model::Transformer& transformer, int64_t layer, model::Linear which,
                  const at::Tensor& fused_OI, std::initializer_list<Target> targets,
                  kernels::Storage storage) {
  const at::NoGradGuard no_grad;
  Linear linear;
  const model::LoraAdapter* adapter = transformer.active_adapter();
  const bool has_magnitudes = adapter != nullptr && adapter->spec().use_dora;
  const auto packed = has_magnitudes ? nullptr : transformer.packed(layer, which);
  if (packed != nullptr) linear.base = packed->Forward();
  if (adapter == nullptr) {
    if (linear.base == nullptr) linear.base = PackShared(fused_OI, storage);
    return linear;
  }
  // Of outputs with a magnitude, W and B are multiplied by it; then they are as others.
  std::vector<at::Tensor> factors;
  std::vector<at::Tensor> as;
  int64_t low_begin = 0;
  int64_t out_begin = 0;
  for (const Target target : targets) {
    const model::LoraPair& pair = adapter->pair(layer, target);
    const int64_t width = model::TargetOutput(transformer.config(), target);
    factors.push_back(pair.magnitude_O.defined()
                          ? MagnitudeFactor(pair, transformer.WeightOf(layer, target))
                          : at::ones({width}));
    if (pair.a_RI.defined()) {
      const at::Tensor b_OR = pair.b_OR * factors.back().unsqueeze(1);
      linear.ups.push_back(
          {Pack(b_OR, pair.scale, kernels::Storage::kFloat32), low_begin, out_begin});
      as.push_back(pair.a_RI.detach());
      low_begin += pair.a_RI.size(0);
    }
    out_begin += width;
  }
  if (linear.base == nullptr) {
    linear.base =
        PackShared(has_magnitudes ? fused_OI * at::cat(factors).unsqueeze(1) : fused_OI, storage);
  }
  if (!as.empty()) linear.low = Pack(at::cat(as, 0), 1, kernels::Storage::kFloat32);
  return linear;
}

}  // namespace

Weights::Weights(const model::Transformer& transformer)
    : config(transformer.config()),
      embedding_VD(transformer.embedding_VD().detach().contiguous()),
      final_norm(Copy(transformer.NormFactor(transformer.final_norm_D()))) {
  const model::Head from_head = transformer.head();
  const kernels::Storage storage = from_head.storage;
  head = from_head.packed != nullptr ? from_head.packed->Forward()
                                     : PackShared(from_head.weight_VD, storage);
  layers.resize(static_cast<size_t>(config.num_layers));
  at::parallel_for(0, config.num_layers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const model::LayerWeights& from = transformer.layer(i);
      PackedLayer& to = layers[static_cast<size_t>(i)];
      for (const auto& [norm, parameter] : {std::pair(&to.attention_norm, &from.attention_norm_D),
                                            {&to.q_norm, &from.q_norm_E},
                                            {&to.k_norm, &from.k_norm_E},
                                            {&to.attention_out_norm, &from.attention_out_norm_D},
                                            {&to.mlp_norm, &from.mlp_norm_D},
                                            {&to.mlp_out_norm, &from.mlp_out_norm_D}}) {
        if (parameter->defined()) *norm = Copy(transformer.NormFactor(*parameter));
      }
      to.qkv = PackLinear(transformer, i, model::Linear::kQkv, from.qkv_PD,
                          {Target::kQ, Target::kK, Target::kV}, storage);
      if (from.qkv_bias_P.defined()) to.qkv.bias = Copy(from.qkv_bias_P);
      to.o = PackLinear(transformer, i, model::Linear::kO, from.o_DQ, {Target::kO}, storage);
      to.gate_up = PackLinear(transformer, i, model::Linear::kGateUp, from.gate_up_GD,
                              {Target::kGate, Target::kUp}, storage);
      to.down =
          PackLinear(transformer, i, model::Linear::kDown, from.down_DF, {Target::kDown}, storage);
    }
  });
  for (const PackedLayer& layer : layers) {
    for (const Linear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      max_low = std::max(max_low, linear->low.outputs());
  }
}

}  // namespace jenner::generate

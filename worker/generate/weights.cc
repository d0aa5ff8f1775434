#include "worker/generate/weights.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "core/check.h"

namespace jenner::generate {
namespace {

using model::Target;

PackedMatrix Pack(const at::Tensor& weight_OI, double scale, Storage storage) {
  const at::Tensor plain = weight_OI.detach();
  JENNER_CHECK(plain.dim() == 2 && plain.stride(1) == 1 && plain.scalar_type() == at::kFloat);
  return PackedMatrix(plain.const_data_ptr<float>(), plain.size(0), plain.size(1), plain.stride(0),
                      scale, storage);
}

Linear PackLinear(const model::Llama& llama, int64_t layer, const at::Tensor& fused_OI,
                  std::initializer_list<Target> targets, Storage storage) {
  Linear linear;
  linear.base = Pack(fused_OI, 1, storage);
  const model::LoraAdapter* adapter = llama.active_adapter();
  if (adapter == nullptr) return linear;
  std::vector<at::Tensor> as;
  int64_t low_begin = 0;
  int64_t out_begin = 0;
  for (const Target target : targets) {
    const model::LoraPair& pair = adapter->pair(layer, target);
    if (pair.a_RI.defined()) {
      linear.ups.push_back(
          {Pack(pair.b_OR, adapter->scale(), Storage::kFloat32), low_begin, out_begin});
      as.push_back(pair.a_RI.detach());
      low_begin += pair.a_RI.size(0);
    }
    out_begin += model::TargetOutput(llama.config(), target);
  }
  if (!as.empty()) linear.low = Pack(at::cat(as, 0), 1, Storage::kFloat32);
  return linear;
}

}  // namespace

Weights::Weights(const model::Llama& llama)
    : config(llama.config()),
      embedding_VD(llama.embedding_VD().detach().contiguous()),
      final_norm_D(llama.final_norm_D().detach().contiguous()) {
  const Storage storage =
      llama.dtype() == core::Dtype::kBfloat16 ? Storage::kBfloat16 : Storage::kFloat32;
  head = Pack(llama.head_VD(), 1, storage);
  layers.resize(static_cast<size_t>(config.num_layers));
  at::parallel_for(0, config.num_layers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const model::LayerWeights& from = llama.layer(i);
      PackedLayer& to = layers[static_cast<size_t>(i)];
      to.input_norm_D = from.input_norm_D.detach().contiguous();
      to.post_norm_D = from.post_norm_D.detach().contiguous();
      to.qkv = PackLinear(llama, i, from.qkv_PD, {Target::kQ, Target::kK, Target::kV}, storage);
      to.o = PackLinear(llama, i, from.o_DQ, {Target::kO}, storage);
      to.gate_up = PackLinear(llama, i, from.gate_up_GD, {Target::kGate, Target::kUp}, storage);
      to.down = PackLinear(llama, i, from.down_DF, {Target::kDown}, storage);
    }
  });
  for (const PackedLayer& layer : layers) {
    for (const Linear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      max_low = std::max(max_low, linear->low.outputs());
  }
}

}  // namespace jenner::generate

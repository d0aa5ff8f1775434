// Legend: N tokens, T tokens of one row, D model, H heads, K kv heads, E head dimension, I input
// and O output width of a linear layer, M rows, V vocabulary.
#include "worker/model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>

#include "core/check.h"
#include "core/status.h"
#include "worker/model/adapted_linear.h"
#include "worker/model/attention.h"
#include "worker/model/counter_rng.h"
#include "worker/model/fused.h"
#include "worker/model/layer_checkpoint.h"

namespace jenner::model {
namespace {

// One under the other in the weight of a Linear.
const std::array<std::vector<Target>, kNumLinears> kTargetsOf = {
    {{Target::kQ, Target::kK, Target::kV},
     {Target::kO},
     {Target::kGate, Target::kUp},
     {Target::kDown}}};

const std::vector<Target>& TargetsOf(Linear linear) {
  return kTargetsOf[static_cast<size_t>(linear)];
}

std::string LayerName(int64_t layer_idx, const std::string& rest) {
  return "model.layers." + std::to_string(layer_idx) + "." + rest;
}

const at::Tensor& FusedWeight(const LayerWeights& w, Linear linear) {
  switch (linear) {
    case Linear::kQkv:
      return w.qkv_PD;
    case Linear::kO:
      return w.o_DQ;
    case Linear::kGateUp:
      return w.gate_up_GD;
    case Linear::kDown:
      return w.down_DF;
  }
  JENNER_CHECK(false && "unknown linear");
  return w.down_DF;
}

at::Tensor FusedBias(const LayerWeights& w, Linear linear) {
  return linear == Linear::kQkv ? w.qkv_bias_P : at::Tensor();
}

struct Rotation {
  at::Tensor cos_N1F;
  at::Tensor sin_N1F;
};

}  // namespace

// A run of neighbouring tokens of a batch that attend in one call: its prefix, what a row has
// besides, or what all rows have.
struct Transformer::Segment {
  int64_t num_tokens = 0;
  int64_t length = 0;              // of a row
  std::optional<Padding> padding;  // of several rows
  bool has_prefix = false;         // it sees the batch's prefix, too
  Sight full;
  Sight sliding;  // in sliding layers
};

// Owns what it has: a layer that is computed again in the backward pass outlives Forward.
struct Transformer::Pass {
  TokenBatch batch;
  ForwardOptions options;
  Rotation full;
  Rotation sliding;  // of sliding layers
  std::vector<Segment> segments;
};

Transformer::Transformer(ModelConfig config, core::Dtype dtype, at::Device device)
    : config_(std::move(config)), dtype_(dtype), device_(device) {
  const ModelConfig& c = config_;
  const auto empty = [&](at::IntArrayRef shape) {
    return at::empty(shape, at::TensorOptions(at::kFloat).device(device));
  };
  const auto leaf = [&](const std::string& name, at::Tensor tensor) {
    parameters_.push_back({name, tensor});
    return tensor;
  };
  embedding_VD_ = leaf("model.embed_tokens.weight", empty({c.vocab_size, c.hidden_size}));
  for (int64_t i = 0; i < c.num_layers; ++i) {
    LayerWeights w;
    std::array<Leaves, kNumTargets> targets;
    const auto norm = [&](const std::string& name, int64_t width) {
      return leaf(LayerName(i, name + ".weight"), empty({width}));
    };
    w.qkv_PD = empty({c.QueryDim() + 2 * c.KeyValueDim(), c.hidden_size});
    w.o_DQ = empty({c.hidden_size, c.QueryDim()});
    if (c.qkv_bias) w.qkv_bias_P = empty({c.QueryDim() + 2 * c.KeyValueDim()});
    w.gate_up_GD = empty({2 * c.intermediate_size, c.hidden_size});
    w.down_DF = empty({c.hidden_size, c.intermediate_size});
    // detach(): a leaf of its own that shares the fused storage.
    const auto part = [&](const at::Tensor& fused, int64_t begin, Target target) {
      return fused.narrow(0, begin, TargetOutput(c, target)).detach();
    };
    const auto linear = [&](const at::Tensor& fused, const at::Tensor& bias, int64_t begin,
                            Target target) {
      Leaves& leaves = targets[static_cast<size_t>(target)];
      leaves.weight = leaf(ModulePath(i, target) + ".weight", part(fused, begin, target));
      if (bias.defined())
        leaves.bias = leaf(ModulePath(i, target) + ".bias", part(bias, begin, target));
    };
    w.attention_norm_D = norm("input_layernorm", c.hidden_size);
    linear(w.qkv_PD, w.qkv_bias_P, 0, Target::kQ);
    linear(w.qkv_PD, w.qkv_bias_P, c.QueryDim(), Target::kK);
    linear(w.qkv_PD, w.qkv_bias_P, c.QueryDim() + c.KeyValueDim(), Target::kV);
    if (c.qk_norm) {
      w.q_norm_E = norm("self_attn.q_norm", c.head_dim);
      w.k_norm_E = norm("self_attn.k_norm", c.head_dim);
    }
    linear(w.o_DQ, {}, 0, Target::kO);
    // The name says where it stands: behind attention, which is before the MLP in a Llama.
    if (c.output_norms) {
      w.attention_out_norm_D = norm("post_attention_layernorm", c.hidden_size);
      w.mlp_norm_D = norm("pre_feedforward_layernorm", c.hidden_size);
    } else {
      w.mlp_norm_D = norm("post_attention_layernorm", c.hidden_size);
    }
    linear(w.gate_up_GD, {}, 0, Target::kGate);
    linear(w.gate_up_GD, {}, c.intermediate_size, Target::kUp);
    linear(w.down_DF, {}, 0, Target::kDown);
    if (c.output_norms) w.mlp_out_norm_D = norm("post_feedforward_layernorm", c.hidden_size);
    layers_.push_back(std::move(w));
    targets_.push_back(std::move(targets));
  }
  final_norm_D_ = leaf("model.norm.weight", empty({c.hidden_size}));
  head_VD_ = c.tie_word_embeddings ? embedding_VD_
                                   : leaf("lm_head.weight", empty({c.vocab_size, c.hidden_size}));
}

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::FromTensors(
    const ModelConfig& config, core::Dtype dtype, std::map<std::string, at::Tensor> tensors,
    at::Device device) {
  std::unique_ptr<Transformer> transformer(new Transformer(config, dtype, device));
  at::NoGradGuard no_grad;
  if (config.tie_word_embeddings) tensors.erase("lm_head.weight");
  for (const NamedTensor& parameter : transformer->parameters_) {
    const auto found = tensors.find(parameter.name);
    if (found == tensors.end())
      return absl::InvalidArgumentError("tensor \"" + parameter.name + "\" is missing");
    if (found->second.sizes() != parameter.tensor.sizes()) {
      return absl::InvalidArgumentError("tensor \"" + parameter.name +
                                        "\" does not have the shape that config.json gives it");
    }
    parameter.tensor.copy_(found->second);
    tensors.erase(found);
  }
  if (!tensors.empty())
    return absl::InvalidArgumentError("unknown tensor \"" + tensors.begin()->first + "\"");
  transformer->Freeze();
  return transformer;
}

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::Load(const std::string& model_dir,
                                                               core::Dtype dtype,
                                                               at::Device device) {
  ASSIGN_OR_RETURN(const ModelConfig config, LoadConfig(model_dir));
  ASSIGN_OR_RETURN(auto tensors, ReadSafetensorsFolder(model_dir));
  auto transformer = FromTensors(config, dtype, std::move(tensors), device);
  if (!transformer.ok()) return Annotate(transformer.status(), model_dir);
  return transformer;
}

std::unique_ptr<Transformer> Transformer::Random(const ModelConfig& config, core::Dtype dtype,
                                                 int64_t seed) {
  std::unique_ptr<Transformer> transformer(new Transformer(config, dtype, at::kCPU));
  at::NoGradGuard no_grad;
  for (const NamedTensor& parameter : transformer->parameters_) {
    if (parameter.name.ends_with("norm.weight")) {
      parameter.tensor.fill_(config.norm_plus_one ? 0 : 1);
      continue;
    }
    const uint64_t key = MakeKey({static_cast<uint64_t>(seed), NameKey(parameter.name)});
    at::Tensor values = at::empty(parameter.tensor.sizes(), at::kFloat);
    float* data = values.mutable_data_ptr<float>();
    for (int64_t i = 0; i < values.numel(); ++i) {
      // The sum of four uniforms, centred and scaled to standard deviation 0.02.
      float sum = -2;
      for (uint64_t j = 0; j < 4; ++j) sum += UniformFloat(key, 4 * static_cast<uint64_t>(i) + j);
      data[i] = sum * 0.02f * 1.7320508f;
    }
    parameter.tensor.copy_(values);
  }
  transformer->Freeze();
  return transformer;
}

std::unique_ptr<Transformer> Transformer::CopyTo(at::Device device) const {
  std::unique_ptr<Transformer> copy(new Transformer(config_, dtype_, device));
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    copy->parameters_[i].tensor.copy_(parameters_[i].tensor);
  }
  copy->Freeze();
  if (adapter_) copy->AttachAdapter(adapter_->CopyTo(device));
  copy->adapter_enabled_ = adapter_enabled_;
  return copy;
}

void Transformer::TrainAllParameters() {
  JENNER_CHECK(!adapter_.has_value());
  trains_all_ = true;
  for (const NamedTensor& parameter : parameters_) parameter.tensor.set_requires_grad(true);
  frozen_.clear();
  packed_head_.reset();
  ParametersChanged();
}

void Transformer::AttachAdapter(LoraAdapter adapter) {
  JENNER_CHECK(adapter.num_layers() == config_.num_layers && !trains_all_);
  const std::vector<NamedTensor> matrices = adapter.Parameters();
  const bool is_here = matrices.empty() || matrices[0].tensor.device() == device_;
  adapter_ = is_here ? std::move(adapter) : adapter.CopyTo(device_);
  ++version_;
}

absl::StatusOr<LoraAdapter> Transformer::NewAdapter(const core::LoraSpec& spec,
                                                    int64_t seed) const {
  return LoraAdapter::Create(config_, spec, seed, [this](int64_t layer, Target target) {
    return WeightOf(layer, target).cpu();
  });
}

void Transformer::AttachCompanion(LoraAdapter companion) {
  JENNER_CHECK(companion.num_layers() == config_.num_layers && !companion.spec().use_dora);
  for (const NamedTensor& parameter : companion.Parameters()) {
    JENNER_CHECK(parameter.tensor.device() == device_);
    parameter.tensor.set_requires_grad(false);
  }
  companion_ = std::move(companion);
}

void Transformer::MergeAdapter() {
  JENNER_CHECK(adapter_.has_value() && device_.is_cpu());
  const at::NoGradGuard no_grad;
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    for (int t = 0; t < kNumTargets; ++t) {
      const LoraPair& pair = adapter_->pair(layer, static_cast<Target>(t));
      if (!pair.a_RI.defined()) continue;
      at::Tensor weight_OI = WeightOf(layer, static_cast<Target>(t));
      const at::Tensor factor_O =
          pair.magnitude_O.defined() ? MagnitudeFactor(pair, weight_OI) : at::Tensor();
      weight_OI.addmm_(pair.b_OR, pair.a_RI, 1, pair.scale);
      if (factor_O.defined()) weight_OI.mul_(factor_O.unsqueeze(1));
    }
  }
  adapter_.reset();
  frozen_.clear();
  Freeze();
  ParametersChanged();
}

std::vector<NamedTensor> Transformer::TrainableParameters() const {
  if (adapter_) return adapter_->Parameters();
  return trains_all_ ? parameters_ : std::vector<NamedTensor>{};
}

kernels::Storage Transformer::storage() const {
  return dtype_ == core::Dtype::kBfloat16 ? kernels::Storage::kBfloat16
                                          : kernels::Storage::kFloat32;
}

void Transformer::Freeze() {
  const at::NoGradGuard no_grad;
  for (const LayerWeights& w : layers_) {
    std::array<Frozen, kNumLinears>& frozen = frozen_.emplace_back();
    for (size_t i = 0; i < kNumLinears; ++i) {
      const at::Tensor& weight = FusedWeight(w, static_cast<Linear>(i));
      const at::Tensor bias = FusedBias(w, static_cast<Linear>(i));
      if (device_.is_cpu()) {
        frozen[i] = {std::make_shared<PackedLinear>(weight, storage()), {}, bias};
      } else {
        frozen[i] = {nullptr, weight.to(ComputeType()),
                     bias.defined() ? bias.to(ComputeType()) : bias};
      }
    }
  }
  if (device_.is_cpu()) packed_head_ = std::make_shared<PackedLinear>(head_VD_.detach(), storage());
}

std::shared_ptr<const PackedLinear> Transformer::packed(int64_t layer_idx, Linear linear) const {
  if (frozen_.empty()) return nullptr;
  return frozen_[static_cast<size_t>(layer_idx)][static_cast<size_t>(linear)].packed;
}

at::ScalarType Transformer::ComputeType() const {
  // On the CPU only products round, by themselves.
  return dtype_ == core::Dtype::kBfloat16 && !device_.is_cpu() ? at::kBFloat16 : at::kFloat;
}

at::Tensor Transformer::NormFactor(const at::Tensor& parameter) const {
  return config_.norm_plus_one ? parameter + 1 : parameter;
}

at::Tensor Transformer::Norm(const at::Tensor& x, const at::Tensor& parameter) const {
  if (IsFusable(x)) return FusedRmsNorm(x, NormFactor(parameter), config_.rms_norm_eps);
  return at::rms_norm(x, {x.size(-1)}, NormFactor(parameter).to(x.scalar_type()),
                      config_.rms_norm_eps);
}

std::vector<LoraPart> Transformer::Parts(const LoraAdapter& adapter, int64_t layer_idx,
                                         Linear linear) const {
  std::vector<LoraPart> parts;
  int64_t out_begin = 0;
  for (const Target target : TargetsOf(linear)) {
    const LoraPair& pair = adapter.pair(layer_idx, target);
    if (pair.a_RI.defined()) parts.push_back({pair.a_RI, pair.b_OR, pair.scale, out_begin});
    out_begin += TargetOutput(config_, target);
  }
  return parts;
}

at::Tensor Transformer::Project(const Pass& pass, int64_t layer_idx, Linear linear,
                                const at::Tensor& x_NI) const {
  const std::vector<Target>& targets = TargetsOf(linear);
  std::vector<at::Tensor> outputs;
  const auto joined = [&] { return outputs.size() == 1 ? outputs[0] : at::cat(outputs, 1); };
  if (trains_all_) {
    // Each parameter is a leaf of its own.
    std::vector<at::Tensor> weights, biases;
    for (const Target target : targets) {
      const Leaves& leaves = targets_[static_cast<size_t>(layer_idx)][static_cast<size_t>(target)];
      weights.push_back(leaves.weight);
      if (leaves.bias.defined()) biases.push_back(leaves.bias);
    }
    const LayerWeights& w = layers_[static_cast<size_t>(layer_idx)];
    if (IsFusable(x_NI)) {
      return MultiplyTrained(FusedWeight(w, linear), weights, FusedBias(w, linear), biases,
                             storage(), x_NI);
    }
    const auto as_input = [&](const at::Tensor& leaf) { return leaf.to(x_NI.scalar_type()); };
    for (size_t i = 0; i < weights.size(); ++i) {
      outputs.push_back(at::linear(x_NI, as_input(weights[i]),
                                   biases.empty() ? at::Tensor() : as_input(biases[i])));
    }
    return joined();
  }
  const Frozen& frozen = frozen_[static_cast<size_t>(layer_idx)][static_cast<size_t>(linear)];
  const LoraAdapter* adapter = active_adapter();
  const bool is_plain = adapter != nullptr && !adapter->spec().use_dora &&
                        (!pass.options.dropout || adapter->spec().dropout == 0);
  std::vector<LoraPart> parts;
  if (pass.options.with_companion && companion_) parts = Parts(*companion_, layer_idx, linear);
  if (is_plain) {
    const std::vector<LoraPart> own = Parts(*adapter, layer_idx, linear);
    parts.insert(parts.end(), own.begin(), own.end());
  }
  const at::Tensor base_NO = frozen.packed != nullptr
                                 ? Multiply(frozen.packed, x_NI, frozen.bias_O, parts)
                                 : AdaptedLinear(frozen.weight_OI, frozen.bias_O, x_NI, parts);
  if (is_plain) return base_NO;
  if (adapter == nullptr) return base_NO;
  int64_t begin = 0;
  for (const Target target : targets) {
    const int64_t width = TargetOutput(config_, target);
    outputs.push_back(Adapted(pass, layer_idx, target, x_NI, base_NO.narrow(1, begin, width)));
    begin += width;
  }
  return joined();
}

at::Tensor Transformer::Adapted(const Pass& pass, int64_t layer_idx, Target target,
                                const at::Tensor& x_NI, const at::Tensor& base_NO) const {
  const LoraAdapter* adapter = active_adapter();
  if (adapter == nullptr || !adapter->pair(layer_idx, target).a_RI.defined()) return base_NO;
  const LoraPair& pair = adapter->pair(layer_idx, target);
  const bool drops = pass.options.dropout && adapter->spec().dropout > 0;
  at::Tensor in_NI = x_NI.to(at::kFloat);
  if (drops) {
    in_NI =
        in_NI * DropoutMask(*pass.options.dropout, pass.batch.row_starts,
                            ModulePath(layer_idx, target), in_NI.size(1), adapter->spec().dropout)
                    .to(device_);
  }
  const at::Tensor lora_NO = at::linear(at::linear(in_NI, pair.a_RI), pair.b_OR);
  if (!pair.magnitude_O.defined())
    return at::add(base_NO, lora_NO.to(base_NO.scalar_type()), pair.scale);
  const Leaves& leaves = targets_[static_cast<size_t>(layer_idx)][static_cast<size_t>(target)];
  const at::Tensor factor_O = MagnitudeFactor(pair, leaves.weight);
  // As in PEFT, what dropout leaves of the input goes through W, too.
  at::Tensor plain_NO = drops ? at::linear(in_NI, leaves.weight) : base_NO.to(at::kFloat);
  if (!drops && leaves.bias.defined()) plain_NO = plain_NO - leaves.bias;
  const at::Tensor extra_NO = (factor_O - 1) * plain_NO + factor_O * lora_NO * pair.scale;
  return base_NO + extra_NO.to(base_NO.scalar_type());
}

at::Tensor Transformer::Attention(const Pass& pass, int64_t layer_idx,
                                  const at::Tensor& x_ND) const {
  const LayerWeights& w = layers_[static_cast<size_t>(layer_idx)];
  const at::Tensor qkv_NP = Project(pass, layer_idx, Linear::kQkv, x_ND);
  const bool is_sliding = config_.IsSliding(layer_idx);
  const Rotation& rotation = is_sliding ? pass.sliding : pass.full;
  const int64_t heads = config_.num_heads, kv_heads = config_.num_kv_heads;
  at::Tensor x_NGE = qkv_NP.view({qkv_NP.size(0), heads + 2 * kv_heads, config_.head_dim});
  if (config_.qk_norm) {
    const std::vector<at::Tensor> parts = x_NGE.split_with_sizes({heads, kv_heads, kv_heads}, 1);
    x_NGE = at::cat({Norm(parts[0], w.q_norm_E), Norm(parts[1], w.k_norm_E), parts[2]}, 1);
  }
  x_NGE = RotateHeads(x_NGE, heads + kv_heads, rotation.cos_N1F, rotation.sin_N1F);
  std::vector<int64_t> sizes;
  for (const Segment& segment : pass.segments) sizes.push_back(segment.num_tokens);
  const std::vector<at::Tensor> divided = x_NGE.split_with_sizes(sizes, 0);
  at::Tensor prefix_keys_1KPE, prefix_values_1KPE;
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < divided.size(); ++i) {
    const Segment& segment = pass.segments[i];
    const at::Tensor x_BTGE =
        segment.padding ? segment.padding->Pad(divided[i]) : divided[i].unsqueeze(0);
    // Queries, keys and values, [B, heads, T, E] each.
    std::vector<at::Tensor> qkv =
        x_BTGE.transpose(1, 2).split_with_sizes({heads, kv_heads, kv_heads}, 1);
    if (segment.has_prefix) {
      const auto behind = [&](const at::Tensor& prefix_1KPE, const at::Tensor& own_BKTE) {
        return at::cat({prefix_1KPE.expand({own_BKTE.size(0), -1, -1, -1}), own_BKTE}, 2);
      };
      qkv[1] = behind(prefix_keys_1KPE, qkv[1]);
      qkv[2] = behind(prefix_values_1KPE, qkv[2]);
    } else {
      prefix_keys_1KPE = qkv[1];
      prefix_values_1KPE = qkv[2];
    }
    const at::Tensor out_BTHE =
        Attend(qkv[0], qkv[1], qkv[2], is_sliding ? segment.sliding : segment.full).transpose(1, 2);
    const at::Tensor out_NHE =
        segment.padding ? segment.padding->Unpad(out_BTHE) : out_BTHE.squeeze(0);
    rows.push_back(out_NHE.reshape({segment.num_tokens, config_.QueryDim()}));
  }
  const at::Tensor joined_NQ = rows.size() == 1 ? rows[0] : at::cat(rows, 0);
  return Project(pass, layer_idx, Linear::kO, joined_NQ);
}

at::Tensor Transformer::Mlp(const Pass& pass, int64_t layer_idx, const at::Tensor& x_ND) const {
  const at::Tensor gate_up_NG = Project(pass, layer_idx, Linear::kGateUp, x_ND);
  if (IsFusable(gate_up_NG)) {
    return Project(pass, layer_idx, Linear::kDown, FusedGate(gate_up_NG, config_.activation));
  }
  const std::vector<at::Tensor> halves = gate_up_NG.split(config_.intermediate_size, 1);
  const at::Tensor gate_NF =
      config_.activation == Activation::kSilu ? at::silu(halves[0]) : at::gelu(halves[0], "tanh");
  return Project(pass, layer_idx, Linear::kDown, gate_NF * halves[1]);
}

at::Tensor Transformer::ApplyLayer(const Pass& pass, int64_t layer_idx,
                                   const at::Tensor& hidden_ND) const {
  const LayerWeights& w = layers_[static_cast<size_t>(layer_idx)];
  const at::ScalarType compute = ComputeType();
  const auto output = [&](const at::Tensor& out_ND, const at::Tensor& norm_D) {
    const at::Tensor out = out_ND.to(at::kFloat);
    return norm_D.defined() ? Norm(out, norm_D) : out;
  };
  const at::Tensor x_ND = Norm(hidden_ND, w.attention_norm_D).to(compute);
  const at::Tensor middle_ND =
      hidden_ND + output(Attention(pass, layer_idx, x_ND), w.attention_out_norm_D);
  const at::Tensor y_ND = Norm(middle_ND, w.mlp_norm_D).to(compute);
  return middle_ND + output(Mlp(pass, layer_idx, y_ND), w.mlp_out_norm_D);
}

Transformer::Segment Transformer::MakeSegment(int64_t num_tokens, int64_t length,
                                              int64_t prefix) const {
  const at::TensorOptions options = at::TensorOptions(ComputeType()).device(device_);
  const auto sight = [&](int64_t window) {
    Sight made{std::nullopt, config_.ScoreScale(), config_.attention_softcap};
    const bool is_plain = prefix == 0 && (window == 0 || length <= window) && made.softcap == 0;
    if (!is_plain) made.mask_TL = ScoreMask(length, prefix, window, options);
    return made;
  };
  Segment segment{num_tokens, length, std::nullopt, prefix > 0, sight(0), {}};
  if (config_.sliding_window > 0) segment.sliding = sight(config_.sliding_window);
  return segment;
}

std::vector<Transformer::Segment> Transformer::Segments(const TokenBatch& batch, bool pads) const {
  std::vector<Segment> segments;
  if (batch.prefix > 0) segments.push_back(MakeSegment(batch.prefix, batch.prefix, 0));
  std::vector<int64_t> starts;  // among what rows have besides
  for (const int64_t start : batch.row_starts) starts.push_back(start - batch.prefix);
  if (pads && starts.size() > 2) {
    Padding padding(starts, device_);
    segments.push_back(MakeSegment(starts.back(), padding.length(), batch.prefix));
    segments.back().padding = std::move(padding);
    return segments;
  }
  for (size_t row = 0; row + 1 < starts.size(); ++row) {
    const int64_t length = starts[row + 1] - starts[row];
    segments.push_back(MakeSegment(length, length, batch.prefix));
  }
  return segments;
}

at::Tensor Transformer::Forward(const TokenBatch& batch, const ForwardOptions& options) const {
  const std::vector<int64_t>& starts = batch.row_starts;
  JENNER_CHECK(starts.size() >= 2 && starts.front() == batch.prefix &&
               starts.back() == batch.ids_N.numel());
  JENNER_CHECK(batch.prefix == 0 || !options.dropout || active_adapter() == nullptr ||
               active_adapter()->spec().dropout == 0);
  JENNER_CHECK(!options.with_companion || !companion_ || active_adapter() == nullptr ||
               !active_adapter()->spec().use_dora);
  at::Tensor positions_N = at::empty({starts.back()}, at::kDouble);
  const auto count_on = [&](int64_t begin, int64_t end, int64_t first) {
    JENNER_CHECK(end > begin && first + end - begin <= config_.max_positions);
    positions_N.narrow(0, begin, end - begin)
        .copy_(at::arange(first, first + end - begin, at::kDouble));
  };
  if (batch.prefix > 0) count_on(0, batch.prefix, 0);
  for (size_t row = 0; row + 1 < starts.size(); ++row)
    count_on(starts[row], starts[row + 1], batch.prefix);
  const at::ScalarType compute = ComputeType();
  const auto rotation = [&](const Rope& rope) {
    const std::vector<double> frequencies = RopeFrequencies(rope, config_.head_dim);
    const at::Tensor angles_N1F =
        at::outer(positions_N, at::tensor(frequencies, at::kDouble)).unsqueeze(1);
    return Rotation{angles_N1F.cos().to(device_, compute), angles_N1F.sin().to(device_, compute)};
  };
  const Rotation full = rotation(config_.rope);
  const bool is_same = config_.sliding_window == 0 || config_.sliding_rope == config_.rope;
  const auto pass = std::make_shared<const Pass>(
      Pass{batch, options, full, is_same ? full : rotation(config_.sliding_rope),
           Segments(batch, options.pads_rows.value_or(!device_.is_cpu()))});
  at::Tensor hidden_ND = at::embedding(embedding_VD_, batch.ids_N.to(device_));
  if (config_.embedding_scale != 1) hidden_ND = hidden_ND * config_.embedding_scale;
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const auto layer = [this, pass, i](const at::Tensor& in_ND) {
      return ApplyLayer(*pass, i, in_ND);
    };
    hidden_ND = options.checkpoint_layers ? ApplyCheckpointed(layer, hidden_ND) : layer(hidden_ND);
  }
  return Norm(hidden_ND, final_norm_D_);
}

at::Tensor Transformer::LogitsFromHidden(const at::Tensor& hidden_MD) const {
  return Softcap(at::linear(hidden_MD, head_VD_), config_.logit_softcap);
}

absl::Status Transformer::Save(const std::string& dir, core::Dtype dtype) const {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return absl::UnavailableError(dir + ": " + error.message());
  const bool is_float = dtype == core::Dtype::kFloat32;
  RETURN_IF_ERROR(WriteTextFile(dir + "/config.json",
                                FormatConfig(config_, is_float ? "float32" : "bfloat16")));
  std::vector<NamedTensor> tensors = parameters_;
  if (!is_float) {
    for (NamedTensor& one : tensors) one.tensor = one.tensor.detach().to(at::kBFloat16);
  }
  return WriteSafetensors(dir + "/model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace jenner::model

// Legend: N tokens, T tokens of one row, D model, H heads, K kv heads, E head dimension, I input
// and O output width of a linear layer, M rows, V vocabulary.
#include "worker/model/llama.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>

#include "core/check.h"
#include "core/status.h"
#include "worker/model/counter_rng.h"

namespace jenner::model {
namespace {

const std::vector<Target> kQkv = {Target::kQ, Target::kK, Target::kV};
const std::vector<Target> kGateUp = {Target::kGate, Target::kUp};

std::string LayerName(int64_t layer_idx, const std::string& rest) {
  return "model.layers." + std::to_string(layer_idx) + "." + rest;
}

at::Tensor RmsNorm(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps) {
  return at::rms_norm(x_ND, {x_ND.size(1)}, weight_D, eps);
}

// Rotates the halves of the last dimension, as transformers' rotate_half does: x [N, heads, E],
// cos and sin [N, 1, E / 2].
at::Tensor Rotate(const at::Tensor& x_NHE, const at::Tensor& cos_N1F, const at::Tensor& sin_N1F) {
  const int64_t half = x_NHE.size(2) / 2;
  const at::Tensor a = x_NHE.narrow(2, 0, half);
  const at::Tensor b = x_NHE.narrow(2, half, half);
  return at::cat({a * cos_N1F - b * sin_N1F, b * cos_N1F + a * sin_N1F}, 2);
}

}  // namespace

struct Llama::Pass {
  const TokenBatch& batch;
  const ForwardOptions& options;
  at::Tensor cos_N1F;
  at::Tensor sin_N1F;
};

Llama::Llama(LlamaConfig config, core::Dtype dtype, at::Device device)
    : config_(std::move(config)), dtype_(dtype), device_(device) {
  const LlamaConfig& c = config_;
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
    w.qkv_PD = empty({c.QueryDim() + 2 * c.KeyValueDim(), c.hidden_size});
    w.o_DQ = empty({c.hidden_size, c.QueryDim()});
    w.gate_up_GD = empty({2 * c.intermediate_size, c.hidden_size});
    w.down_DF = empty({c.hidden_size, c.intermediate_size});
    std::array<at::Tensor, kNumTargets> targets;
    // detach(): a leaf of its own that shares the fused storage.
    const auto part = [&](const at::Tensor& fused, int64_t begin, Target target) {
      at::Tensor view = fused.narrow(0, begin, TargetOutput(c, target)).detach();
      targets[static_cast<size_t>(target)] = leaf(ModulePath(i, target) + ".weight", view);
    };
    w.input_norm_D = leaf(LayerName(i, "input_layernorm.weight"), empty({c.hidden_size}));
    part(w.qkv_PD, 0, Target::kQ);
    part(w.qkv_PD, c.QueryDim(), Target::kK);
    part(w.qkv_PD, c.QueryDim() + c.KeyValueDim(), Target::kV);
    part(w.o_DQ, 0, Target::kO);
    w.post_norm_D = leaf(LayerName(i, "post_attention_layernorm.weight"), empty({c.hidden_size}));
    part(w.gate_up_GD, 0, Target::kGate);
    part(w.gate_up_GD, c.intermediate_size, Target::kUp);
    part(w.down_DF, 0, Target::kDown);
    layers_.push_back(std::move(w));
    targets_.push_back(std::move(targets));
  }
  final_norm_D_ = leaf("model.norm.weight", empty({c.hidden_size}));
  head_VD_ = c.tie_word_embeddings ? embedding_VD_
                                   : leaf("lm_head.weight", empty({c.vocab_size, c.hidden_size}));
}

absl::StatusOr<std::unique_ptr<Llama>> Llama::FromTensors(const LlamaConfig& config,
                                                          core::Dtype dtype,
                                                          std::map<std::string, at::Tensor> tensors,
                                                          at::Device device) {
  std::unique_ptr<Llama> llama(new Llama(config, dtype, device));
  at::NoGradGuard no_grad;
  if (config.tie_word_embeddings) tensors.erase("lm_head.weight");
  for (const NamedTensor& parameter : llama->parameters_) {
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
  llama->ParametersChanged();
  return llama;
}

absl::StatusOr<std::unique_ptr<Llama>> Llama::Load(const std::string& model_dir, core::Dtype dtype,
                                                   at::Device device) {
  ASSIGN_OR_RETURN(const LlamaConfig config, LoadConfig(model_dir));
  ASSIGN_OR_RETURN(auto tensors, ReadSafetensorsFolder(model_dir));
  auto llama = FromTensors(config, dtype, std::move(tensors), device);
  if (!llama.ok()) return Annotate(llama.status(), model_dir);
  return llama;
}

std::unique_ptr<Llama> Llama::Random(const LlamaConfig& config, core::Dtype dtype, int64_t seed) {
  std::unique_ptr<Llama> llama(new Llama(config, dtype, at::kCPU));
  at::NoGradGuard no_grad;
  for (const NamedTensor& parameter : llama->parameters_) {
    if (parameter.tensor.dim() == 1) {
      parameter.tensor.fill_(1);
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
  llama->ParametersChanged();
  return llama;
}

std::unique_ptr<Llama> Llama::CopyTo(at::Device device) const {
  std::unique_ptr<Llama> copy(new Llama(config_, dtype_, device));
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    copy->parameters_[i].tensor.copy_(parameters_[i].tensor);
  }
  copy->ParametersChanged();
  if (adapter_) copy->AttachAdapter(adapter_->CopyTo(device));
  copy->adapter_enabled_ = adapter_enabled_;
  return copy;
}

void Llama::TrainAllParameters() {
  JENNER_CHECK(!adapter_.has_value());
  trains_all_ = true;
  for (const NamedTensor& parameter : parameters_) parameter.tensor.set_requires_grad(true);
  ParametersChanged();
}

void Llama::AttachAdapter(LoraAdapter adapter) {
  JENNER_CHECK(adapter.num_layers() == config_.num_layers && !trains_all_);
  const std::vector<NamedTensor> matrices = adapter.Parameters();
  const bool is_here = matrices.empty() || matrices[0].tensor.device() == device_;
  adapter_ = is_here ? std::move(adapter) : adapter.CopyTo(device_);
  ++version_;
}

std::vector<NamedTensor> Llama::TrainableParameters() const {
  if (adapter_) return adapter_->Parameters();
  return trains_all_ ? parameters_ : std::vector<NamedTensor>{};
}

void Llama::ParametersChanged() {
  ++version_;
  compute_ = layers_;
  if (dtype_ == core::Dtype::kFloat32 || trains_all_) return;
  at::NoGradGuard no_grad;
  for (LayerWeights& w : compute_) {
    for (at::Tensor* weight : {&w.qkv_PD, &w.o_DQ, &w.gate_up_GD, &w.down_DF})
      *weight = weight->to(at::kBFloat16);
  }
}

const at::Tensor& Llama::ParameterOf(int64_t layer_idx, Target target) const {
  return targets_[static_cast<size_t>(layer_idx)][static_cast<size_t>(target)];
}

std::vector<at::Tensor> Llama::Project(const Pass& pass, int64_t layer_idx, const at::Tensor& x_NI,
                                       const at::Tensor& fused_OI,
                                       const std::vector<Target>& targets) const {
  std::vector<at::Tensor> outputs;
  if (trains_all_) {
    // Each parameter is a leaf of its own, so each is multiplied by itself.
    for (const Target target : targets) {
      outputs.push_back(at::linear(x_NI, ParameterOf(layer_idx, target).to(x_NI.scalar_type())));
    }
    return outputs;
  }
  const at::Tensor fused_NO = at::linear(x_NI, fused_OI);
  int64_t begin = 0;
  for (const Target target : targets) {
    const int64_t width = TargetOutput(config_, target);
    at::Tensor out_NO = targets.size() == 1 ? fused_NO : fused_NO.narrow(1, begin, width);
    begin += width;
    const LoraAdapter* adapter = active_adapter();
    if (adapter != nullptr && adapter->pair(layer_idx, target).a_RI.defined()) {
      const LoraPair& pair = adapter->pair(layer_idx, target);
      at::Tensor in_NI = x_NI.to(at::kFloat);
      if (pass.options.dropout && adapter->spec().dropout > 0) {
        in_NI = in_NI * DropoutMask(*pass.options.dropout, pass.batch.row_starts,
                                    ModulePath(layer_idx, target), in_NI.size(1),
                                    adapter->spec().dropout)
                            .to(device_);
      }
      const at::Tensor delta_NO = at::linear(at::linear(in_NI, pair.a_RI), pair.b_OR);
      out_NO = at::add(out_NO, delta_NO.to(out_NO.scalar_type()), adapter->scale());
    }
    outputs.push_back(std::move(out_NO));
  }
  return outputs;
}

at::Tensor Llama::Attention(const Pass& pass, int64_t layer_idx, const at::Tensor& x_ND) const {
  const LayerWeights& w = compute_[static_cast<size_t>(layer_idx)];
  const int64_t tokens = x_ND.size(0);
  std::vector<at::Tensor> qkv = Project(pass, layer_idx, x_ND, w.qkv_PD, kQkv);
  const auto heads = [&](const at::Tensor& x, int64_t count) {
    return x.reshape({tokens, count, config_.head_dim});
  };
  const at::Tensor q_NHE = Rotate(heads(qkv[0], config_.num_heads), pass.cos_N1F, pass.sin_N1F);
  const at::Tensor k_NKE = Rotate(heads(qkv[1], config_.num_kv_heads), pass.cos_N1F, pass.sin_N1F);
  const at::Tensor v_NKE = heads(qkv[2], config_.num_kv_heads);
  const std::vector<int64_t>& starts = pass.batch.row_starts;
  std::vector<at::Tensor> rows;
  for (size_t row = 0; row + 1 < starts.size(); ++row) {
    const int64_t length = starts[row + 1] - starts[row];
    const auto slice = [&](const at::Tensor& x) {  // [1, heads, T, E]
      return x.narrow(0, starts[row], length).transpose(0, 1).unsqueeze(0);
    };
    const at::Tensor out_1HTE = at::scaled_dot_product_attention(
        slice(q_NHE), slice(k_NKE), slice(v_NKE), {}, 0.0, /*is_causal=*/true, std::nullopt,
        /*enable_gqa=*/config_.num_heads != config_.num_kv_heads);
    rows.push_back(out_1HTE.squeeze(0).transpose(0, 1).reshape({length, config_.QueryDim()}));
  }
  const at::Tensor joined_NQ = rows.size() == 1 ? rows[0] : at::cat(rows, 0);
  return Project(pass, layer_idx, joined_NQ, w.o_DQ, {Target::kO})[0];
}

at::Tensor Llama::Mlp(const Pass& pass, int64_t layer_idx, const at::Tensor& x_ND) const {
  const LayerWeights& w = compute_[static_cast<size_t>(layer_idx)];
  const std::vector<at::Tensor> gate_up = Project(pass, layer_idx, x_ND, w.gate_up_GD, kGateUp);
  return Project(pass, layer_idx, at::silu(gate_up[0]) * gate_up[1], w.down_DF, {Target::kDown})[0];
}

at::Tensor Llama::ApplyLayer(const Pass& pass, int64_t layer_idx,
                             const at::Tensor& hidden_ND) const {
  const LayerWeights& w = layers_[static_cast<size_t>(layer_idx)];
  const at::ScalarType compute = dtype_ == core::Dtype::kBfloat16 ? at::kBFloat16 : at::kFloat;
  const at::Tensor x_ND = RmsNorm(hidden_ND, w.input_norm_D, config_.rms_norm_eps).to(compute);
  const at::Tensor middle_ND = hidden_ND + Attention(pass, layer_idx, x_ND).to(at::kFloat);
  const at::Tensor y_ND = RmsNorm(middle_ND, w.post_norm_D, config_.rms_norm_eps).to(compute);
  return middle_ND + Mlp(pass, layer_idx, y_ND).to(at::kFloat);
}

at::Tensor Llama::Forward(const TokenBatch& batch, const ForwardOptions& options) const {
  const std::vector<int64_t>& starts = batch.row_starts;
  JENNER_CHECK(starts.size() >= 2 && starts.front() == 0 && starts.back() == batch.ids_N.numel());
  at::Tensor positions_N = at::empty({starts.back()}, at::kDouble);
  for (size_t row = 0; row + 1 < starts.size(); ++row) {
    const int64_t length = starts[row + 1] - starts[row];
    JENNER_CHECK(length > 0 && length <= config_.max_positions);
    positions_N.narrow(0, starts[row], length).copy_(at::arange(length, at::kDouble));
  }
  const at::Tensor angles_N1F =
      at::outer(positions_N, at::tensor(RopeFrequencies(config_), at::kDouble)).unsqueeze(1);
  const at::ScalarType compute = dtype_ == core::Dtype::kBfloat16 ? at::kBFloat16 : at::kFloat;
  const Pass pass{batch, options, angles_N1F.cos().to(device_, compute),
                  angles_N1F.sin().to(device_, compute)};
  at::Tensor hidden_ND = at::embedding(embedding_VD_, batch.ids_N.to(device_));
  for (int64_t i = 0; i < config_.num_layers; ++i) hidden_ND = ApplyLayer(pass, i, hidden_ND);
  return RmsNorm(hidden_ND, final_norm_D_, config_.rms_norm_eps);
}

at::Tensor Llama::LogitsFromHidden(const at::Tensor& hidden_MD) const {
  return at::linear(hidden_MD, head_VD_);
}

absl::Status Llama::Save(const std::string& dir) const {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return absl::UnavailableError(dir + ": " + error.message());
  RETURN_IF_ERROR(WriteTextFile(dir + "/config.json", FormatConfig(config_, "float32")));
  return WriteSafetensors(dir + "/model.safetensors", parameters_, {{"format", "pt"}});
}

}  // namespace jenner::model

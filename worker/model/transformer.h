// Transformer: the weights of a decoder-only model and its differentiable forward pass over whole
// rows, of any family in families/. With the features of ModelConfig in brackets, a block computes
//
// clang-format off
//   n = norm(h)                             norm(x) = x / rms(x) * w        [norm_plus_one: * (1 + w)]
//   q, k, v = Q n, K n, V n                 [qkv_bias: + b]   [qk_norm: q, k = norm(q), norm(k) by head]
//   s = ScoreScale() rotate(q) rotate(k)^T  [attention_softcap: cap tanh(s / cap)]
//   a = O (softmax(s over the positions before [sliding: the last sliding_window]) v)
//   m = h + a                               [output_norms: + norm(a)]
//   f = Down (act(Gate norm(m)) * Up norm(m))
//   h' = m + f                              [output_norms: + norm(f)]
// clang-format on
// behind h = embedding [* embedding_scale] and before logits = head norm(h) [logit_softcap].
//
// Cached decoding is not here: worker/generate builds its own packed form from these parameters.
//
// Rows are packed end to end without padding (TokenBatch): a token costs what it costs, rows of
// unequal length waste nothing, and there is no mask to get wrong. On a GPU attention alone pads.
//
//   auto transformer = Transformer::Load(dir, core::Dtype::kFloat32);
//   (*transformer)->AttachAdapter(std::move(adapter));              // or TrainAllParameters()
//   at::Tensor hidden_ND = (*transformer)->Forward(batch, {});
//   at::Tensor hidden_MD = hidden_ND.index_select(0, supervised_M);
//   at::Tensor logits_MV = (*transformer)->LogitsFromHidden(hidden_MD);
//   ... backward; optimizer step in place under at::NoGradGuard ...
//   (*transformer)->ParametersChanged();
//
// Legend: N tokens of a batch, B rows, D model, H heads, K kv heads, E head dimension, F
// intermediate, V vocabulary.
#ifndef JENNER_WORKER_MODEL_TRANSFORMER_H_
#define JENNER_WORKER_MODEL_TRANSFORMER_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/spec.h"
#include "worker/model/config.h"
#include "worker/model/lora.h"
#include "worker/model/packed_linear.h"
#include "worker/model/safetensors.h"
#include "worker/model/token_batch.h"

namespace jenner::model {

struct ForwardOptions {
  // The adapter's dropout; absent: none (evaluation). Ignored without an adapter or with dropout 0.
  // REQUIRES otherwise: the batch has no prefix, for rows drop different inputs of it.
  std::optional<DropoutKeys> dropout;
  // Keep the input of each layer only, and compute it again in the backward pass: bitwise the same
  // gradients. The model must not change between the two.
  bool checkpoint_layers = false;
  // The companion's part, too, if there is one. REQUIRES then: an adapter without magnitudes.
  bool with_companion = false;
  // Rows are padded to the longest for attention, so that one call computes all of them, rather
  // than each by itself. Absent: on devices that are not the CPU. Changes no result but by
  // rounding.
  std::optional<bool> pads_rows;
};

// Weights of one block, undefined where the family has none. Query, key and value share one
// allocation, gate and up another, so that frozen forward passes multiply by both at once; the
// Hugging Face parameters are views into them.
struct LayerWeights {
  at::Tensor attention_norm_D;
  at::Tensor qkv_PD;      // P = (H + 2K) E: rows of q, k, v
  at::Tensor qkv_bias_P;  // [qkv_bias]
  at::Tensor q_norm_E;    // [qk_norm]
  at::Tensor k_norm_E;
  at::Tensor o_DQ;                  // Q = H E
  at::Tensor attention_out_norm_D;  // [output_norms]
  at::Tensor mlp_norm_D;
  at::Tensor gate_up_GD;  // G = 2F: rows of gate, then up
  at::Tensor down_DF;
  at::Tensor mlp_out_norm_D;  // [output_norms]
};

// The products of a block: those that have one input are one.
enum class Linear { kQkv, kO, kGateUp, kDown };
inline constexpr int kNumLinears = 4;

// What makes logits of final hidden states: weight_VD h, then cap tanh(. / cap) unless cap is 0.
struct Head {
  at::Tensor weight_VD;  // float32; the embedding if tied
  double softcap = 0;
  kernels::Storage storage = kernels::Storage::kFloat32;  // of factors, on the CPU
  // The same, to multiply by; null if it is trained or not on the CPU.
  std::shared_ptr<const PackedLinear> packed = nullptr;
};

// Not thread-safe: one thread calls it. Tensor code throws c10::Error on its own faults only.
class Transformer {
 public:
  // Reads config.json and the safetensors of `model_dir`. Master weights are float32 whatever the
  // file holds. With kBfloat16 the factors of products are rounded to bfloat16; on a GPU blocks
  // compute in it. Errors of LoadConfig and ReadSafetensorsFolder; InvalidArgument: a tensor
  // missing, unknown or of the wrong shape. A head stored beside tied embeddings is ignored. All
  // tensors are on `device`.
  static absl::StatusOr<std::unique_ptr<Transformer>> Load(const std::string& model_dir,
                                                           core::Dtype dtype,
                                                           at::Device device = at::kCPU);
  // Normal(0, 0.02) weights (norms 1) from (seed, name): for tests and benchmarks.
  static std::unique_ptr<Transformer> Random(const ModelConfig& config, core::Dtype dtype,
                                             int64_t seed);
  // From tensors by Hugging Face name, as Load.
  static absl::StatusOr<std::unique_ptr<Transformer>> FromTensors(
      const ModelConfig& config, core::Dtype dtype, std::map<std::string, at::Tensor> tensors,
      at::Device device = at::kCPU);
  // A frozen copy on `device`, with a copy of the adapter if there is one.
  std::unique_ptr<Transformer> CopyTo(at::Device device) const;

  const ModelConfig& config() const { return config_; }
  core::Dtype dtype() const { return dtype_; }
  at::Device device() const { return device_; }

  // All float32 master parameters by Hugging Face name, in the order of the model (embedding,
  // layers, norm, head unless tied). Leaves; frozen unless TrainAllParameters. Update those
  // that are trained in place under at::NoGradGuard; frozen ones must not change (they are packed),
  // and no storage may be replaced (set_data): fused views alias it.
  const std::vector<NamedTensor>& Parameters() const { return parameters_; }

  // Full fine-tuning: all parameters require gradients. REQUIRES: no adapter attached.
  void TrainAllParameters();
  // LoRA: the base is frozen. Replaces an adapter; one on another device is copied to the model's.
  // REQUIRES: the adapter was made for config().
  void AttachAdapter(LoraAdapter adapter);
  void DetachAdapter() { adapter_.reset(); }
  // An adapter that is added to the frozen base where ForwardOptions say so, and trained nowhere.
  // REQUIRES: made for config(), on its device, no magnitudes.
  void AttachCompanion(LoraAdapter companion);
  // The frozen weights take the adapter in, and it is detached: W + scale B A, with a magnitude of
  // its direction. REQUIRES: an adapter, on the CPU.
  void MergeAdapter();
  // Null if there is none. The pointer is valid until Attach or Detach.
  const LoraAdapter* adapter() const { return adapter_ ? &*adapter_ : nullptr; }
  // A disabled adapter stays attached and is skipped by Forward and by generation: the base model.
  void SetAdapterEnabled(bool enabled) { adapter_enabled_ = enabled; }
  // A target's weight as it is trained or frozen, [O, I].
  const at::Tensor& WeightOf(int64_t layer, Target target) const {
    return targets_[static_cast<size_t>(layer)][static_cast<size_t>(target)].weight;
  }
  // A new adapter for this model, not attached. Errors of LoraAdapter::Create.
  absl::StatusOr<LoraAdapter> NewAdapter(const core::LoraSpec& spec, int64_t seed) const;
  // The adapter if attached and enabled.
  const LoraAdapter* active_adapter() const { return adapter_enabled_ ? adapter() : nullptr; }

  // What the optimizer updates, in a deterministic order: the adapter's matrices if attached, else
  // all parameters if TrainAllParameters was called, else none.
  std::vector<NamedTensor> TrainableParameters() const;
  // To be called after trainable parameters changed in place: advances version().
  void ParametersChanged() { ++version_; }
  // Grows with ParametersChanged, AttachAdapter, ...: what a packed copy was made from.
  uint64_t version() const { return version_; }

  // Final hidden states (after the last norm) [N, D], float32. Differentiable in the trainable
  // parameters.
  at::Tensor Forward(const TokenBatch& batch, const ForwardOptions& options = {}) const;
  // [M, D] float32 -> logits [M, V] float32, whatever the dtype: nothing is rounded.
  at::Tensor LogitsFromHidden(const at::Tensor& hidden_MD) const;
  // For losses that multiply by it themselves. Requires gradients in full fine-tuning.
  Head head() const { return {head_VD_, config_.logit_softcap, storage(), packed_head_}; }
  const at::Tensor& embedding_VD() const { return embedding_VD_; }
  const at::Tensor& final_norm_D() const { return final_norm_D_; }
  // What a norm of this family multiplies by: its parameter, or 1 + it.
  at::Tensor NormFactor(const at::Tensor& parameter) const;
  const LayerWeights& layer(int64_t layer_idx) const {
    return layers_[static_cast<size_t>(layer_idx)];
  }
  // A frozen product without its adapter and bias; null if it is trained or not on the CPU.
  std::shared_ptr<const PackedLinear> packed(int64_t layer_idx, Linear linear) const;

  // Writes config.json and model.safetensors (of `dtype`; no head if tied) into `dir`, which is
  // created. Errors as WriteSafetensors.
  absl::Status Save(const std::string& dir, core::Dtype dtype = core::Dtype::kFloat32) const;

 private:
  Transformer(ModelConfig config, core::Dtype dtype, at::Device device);
  struct Pass;     // what the layers of one forward pass share, transformer.cc
  struct Segment;  // of a batch
  Segment MakeSegment(int64_t num_tokens, int64_t length, int64_t prefix) const;
  std::vector<Segment> Segments(const TokenBatch& batch, bool pads) const;
  at::Tensor ApplyLayer(const Pass& pass, int64_t layer_idx, const at::Tensor& hidden_ND) const;
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& parameter) const;
  at::Tensor Attention(const Pass& pass, int64_t layer_idx, const at::Tensor& x_ND) const;
  at::Tensor Mlp(const Pass& pass, int64_t layer_idx, const at::Tensor& x_ND) const;
  // To be called once when the weights are there.
  void Freeze();
  // The product of one input by the targets of `linear`, with their biases and adapters, [N, O].
  at::Tensor Project(const Pass& pass, int64_t layer_idx, Linear linear,
                     const at::Tensor& x_NI) const;
  std::vector<LoraPart> Parts(const LoraAdapter& adapter, int64_t layer_idx, Linear linear) const;
  kernels::Storage storage() const;
  // What blocks compute in.
  at::ScalarType ComputeType() const;
  // The base's product with the adapter's part, if the target has one.
  at::Tensor Adapted(const Pass& pass, int64_t layer_idx, Target target, const at::Tensor& x_NI,
                     const at::Tensor& base_NO) const;

  ModelConfig config_;
  core::Dtype dtype_;
  at::Device device_;
  std::vector<NamedTensor> parameters_;
  struct Leaves {
    at::Tensor weight;
    at::Tensor bias;  // undefined if there is none
  };
  std::vector<std::array<Leaves, kNumTargets>> targets_;  // by layer and target
  at::Tensor embedding_VD_;
  at::Tensor head_VD_;
  at::Tensor final_norm_D_;
  std::vector<LayerWeights> layers_;
  // Of a product that is frozen: on the CPU packed, elsewhere in the type that it is computed in.
  struct Frozen {
    std::shared_ptr<const PackedLinear> packed;
    at::Tensor weight_OI;
    at::Tensor bias_O;  // undefined if there is none
  };
  std::vector<std::array<Frozen, kNumLinears>> frozen_;  // by layer; none if all is trained
  std::shared_ptr<const PackedLinear> packed_head_;
  std::optional<LoraAdapter> adapter_;
  std::optional<LoraAdapter> companion_;
  bool adapter_enabled_ = true;
  bool trains_all_ = false;
  uint64_t version_ = 1;
};

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_TRANSFORMER_H_

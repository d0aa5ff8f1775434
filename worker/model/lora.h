// LoraAdapter: one set of LoRA matrices for a Transformer, never merged: y = W x + s B A drop(x),
// where s is alpha / r or, with use_rslora, alpha / sqrt(r). With use_dora output o of W x + s B A
// x is multiplied by m_o / ||row o of W + s B A||, of which the norm is not differentiated (Liu et
// al. 2024, arXiv 2402.09353, as PEFT computes it). Initialisation and dropout are pure functions
// of keys (counter_rng.h): the same on every rank. Legend: N tokens, I input, O output, R lora
// rank.
#ifndef JENNER_WORKER_MODEL_LORA_H_
#define JENNER_WORKER_MODEL_LORA_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/spec.h"
#include "worker/model/config.h"
#include "worker/model/safetensors.h"

namespace jenner::model {

// The linear layers of a block that can carry an adapter, in forward order.
enum class Target : int { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kNumTargets = 7;
// "q_proj" and so on, by Target.
inline constexpr std::array<std::string_view, kNumTargets> kTargetNames = {
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

// "model.layers.<layer>.self_attn.q_proj" and so on: the Hugging Face module path.
std::string ModulePath(int64_t layer, Target target);
// Input and output widths of a target's weight.
int64_t TargetInput(const ModelConfig& config, Target target);
int64_t TargetOutput(const ModelConfig& config, Target target);

struct LoraPair {
  at::Tensor a_RI;         // float32 leaf; undefined if the target carries no adapter
  at::Tensor b_OR;         // float32 leaf
  at::Tensor magnitude_O;  // float32 leaf; undefined without use_dora
  double scale = 1;        // s
};

// What use_dora multiplies outputs by, float32 [O], differentiable in the magnitude. `weight_OI` is
// the frozen W, float32. REQUIRES: the pair has a magnitude.
at::Tensor MagnitudeFactor(const LoraPair& pair, const at::Tensor& weight_OI);

// The frozen weight of a target, float32 [O, I].
using WeightOf = std::function<at::Tensor(int64_t layer, Target target)>;

// Not thread-safe for writing; concurrent readers are fine. Owns its tensors.
class LoraAdapter {
 public:
  // A: uniform in +-1/sqrt(I) as PEFT's kaiming_uniform(a = sqrt(5)), from (seed, parameter name,
  // element); B: zeros; magnitudes: the norms of W's rows: a new adapter changes nothing. All
  // tensors require gradients. `weight_of` is asked with use_dora only. InvalidArgument, by field:
  // unknown, duplicate or no targets, rank < 1, alpha <= 0, dropout outside [0, 1), a layer that
  // the model does not have, a pattern that fits no adapted module, or a module that two keys of a
  // pattern fit.
  static absl::StatusOr<LoraAdapter> Create(const ModelConfig& config, const core::LoraSpec& spec,
                                            int64_t seed, const WeightOf& weight_of);
  // The same shapes, all zeros: to be filled in.
  static absl::StatusOr<LoraAdapter> Zeros(const ModelConfig& config, const core::LoraSpec& spec);

  const core::LoraSpec& spec() const { return spec_; }
  // By layer in [0, num_layers) and target.
  const LoraPair& pair(int64_t layer, Target target) const;
  int64_t num_layers() const { return static_cast<int64_t>(layers_.size()); }

  // A copy of its own on `device`.
  LoraAdapter CopyTo(at::Device device) const;

  // In a fixed order (layer, target, A, B, magnitude) named "<module path>.lora_A.weight",
  // ".lora_B.weight", ".lora_magnitude_vector" as in PEFT's files. The tensors share storage with
  // the adapter: update them in place under a no-grad guard, then call
  // Transformer::ParametersChanged().
  std::vector<NamedTensor> Parameters() const;

 private:
  core::LoraSpec spec_;
  std::vector<std::array<LoraPair, kNumTargets>> layers_;
};

// Which dropout mask a forward pass uses. A mask element is a pure function of (key, row key,
// position in the row, module, input channel): independent of ranks, batch composition and order.
struct DropoutKeys {
  uint64_t key = 0;                // e.g. MakeKey({seed, kDropoutStream, epoch})
  std::vector<uint64_t> row_keys;  // one a row of the batch: the row's index in the dataset
};

// The scaled keep mask [N, I] float32, CPU: 0 with probability `dropout`, else 1 / (1 - dropout).
// `row_starts` as TokenBatch::row_starts (transformer.h).
at::Tensor DropoutMask(const DropoutKeys& keys, const std::vector<int64_t>& row_starts,
                       const std::string& module_path, int64_t width_I, double dropout);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_LORA_H_

#include "worker/model/lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "worker/model/counter_rng.h"

namespace jenner::model {
namespace {

constexpr uint64_t kInitStream = 0x696e6974;     // "init"
constexpr uint64_t kDropoutStream = 0x64726f70;  // "drop"

}  // namespace

std::string ModulePath(int64_t layer, Target target) {
  const bool attention = target <= Target::kO;
  return absl::StrFormat("model.layers.%d.%s.%s", layer, attention ? "self_attn" : "mlp",
                         std::string(kTargetNames[static_cast<size_t>(target)]));
}

int64_t TargetInput(const ModelConfig& config, Target target) {
  if (target == Target::kO) return config.QueryDim();
  return target == Target::kDown ? config.intermediate_size : config.hidden_size;
}

int64_t TargetOutput(const ModelConfig& config, Target target) {
  switch (target) {
    case Target::kQ:
      return config.QueryDim();
    case Target::kK:
    case Target::kV:
      return config.KeyValueDim();
    case Target::kGate:
    case Target::kUp:
      return config.intermediate_size;
    case Target::kO:
    case Target::kDown:
      return config.hidden_size;
  }
  JENNER_CHECK(false && "unknown target");
  return 0;
}

absl::StatusOr<LoraAdapter> LoraAdapter::Create(const ModelConfig& config,
                                                const core::LoraSpec& spec, int64_t seed) {
  if (spec.rank < 1 || !(spec.alpha > 0) || spec.dropout < 0 || spec.dropout >= 1 ||
      spec.targets.empty()) {
    return absl::InvalidArgumentError("lora: rank, alpha, dropout or targets out of range");
  }
  std::array<bool, kNumTargets> chosen{};
  for (const std::string& name : spec.targets) {
    const auto found = std::find(kTargetNames.begin(), kTargetNames.end(), name);
    if (found == kTargetNames.end())
      return absl::InvalidArgumentError("lora.targets: unknown \"" + name + "\"");
    bool& flag = chosen[static_cast<size_t>(found - kTargetNames.begin())];
    if (flag) return absl::InvalidArgumentError("lora.targets: \"" + name + "\" is named twice");
    flag = true;
  }
  LoraAdapter adapter;
  adapter.spec_ = spec;
  adapter.layers_.resize(static_cast<size_t>(config.num_layers));
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (size_t t = 0; t < kNumTargets; ++t) {
      if (!chosen[t]) continue;
      const Target target = static_cast<Target>(t);
      const int64_t input = TargetInput(config, target);
      LoraPair& pair = adapter.layers_[static_cast<size_t>(layer)][t];
      pair.a_RI = at::empty({spec.rank, input}, at::kFloat);
      const uint64_t key =
          MakeKey({static_cast<uint64_t>(seed), kInitStream, NameKey(ModulePath(layer, target))});
      const float bound = 1 / std::sqrt(static_cast<float>(input));
      float* data = pair.a_RI.mutable_data_ptr<float>();
      for (int64_t i = 0; i < pair.a_RI.numel(); ++i) {
        data[i] = bound * (2 * UniformFloat(key, static_cast<uint64_t>(i)) - 1);
      }
      pair.b_OR = at::zeros({TargetOutput(config, target), spec.rank}, at::kFloat);
      pair.a_RI.set_requires_grad(true);
      pair.b_OR.set_requires_grad(true);
    }
  }
  return adapter;
}

const LoraPair& LoraAdapter::pair(int64_t layer, Target target) const {
  return layers_[static_cast<size_t>(layer)][static_cast<size_t>(target)];
}

LoraAdapter LoraAdapter::CopyTo(at::Device device) const {
  LoraAdapter copy = *this;
  for (auto& layer : copy.layers_) {
    for (LoraPair& pair : layer) {
      for (at::Tensor* matrix : {&pair.a_RI, &pair.b_OR}) {
        if (!matrix->defined()) continue;
        *matrix = matrix->detach().to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
        matrix->set_requires_grad(true);
      }
    }
  }
  return copy;
}

std::vector<NamedTensor> LoraAdapter::Parameters() const {
  std::vector<NamedTensor> parameters;
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    for (int t = 0; t < kNumTargets; ++t) {
      const LoraPair& one = pair(layer, static_cast<Target>(t));
      if (!one.a_RI.defined()) continue;
      const std::string path = ModulePath(layer, static_cast<Target>(t));
      parameters.push_back({path + ".lora_A.weight", one.a_RI});
      parameters.push_back({path + ".lora_B.weight", one.b_OR});
    }
  }
  return parameters;
}

at::Tensor DropoutMask(const DropoutKeys& keys, const std::vector<int64_t>& row_starts,
                       const std::string& module_path, int64_t width_I, double dropout) {
  JENNER_CHECK(keys.row_keys.size() + 1 == row_starts.size());
  at::Tensor mask_NI = at::empty({row_starts.back(), width_I}, at::kFloat);
  float* data = mask_NI.mutable_data_ptr<float>();
  const float kept = static_cast<float>(1 / (1 - dropout));
  const float threshold = static_cast<float>(dropout);
  for (size_t row = 0; row < keys.row_keys.size(); ++row) {
    const uint64_t key =
        MakeKey({keys.key, kDropoutStream, keys.row_keys[row], NameKey(module_path)});
    const int64_t count = (row_starts[row + 1] - row_starts[row]) * width_I;
    float* out = data + row_starts[row] * width_I;
    for (int64_t i = 0; i < count; ++i)
      out[i] = UniformFloat(key, static_cast<uint64_t>(i)) < threshold ? 0 : kept;
  }
  return mask_NI;
}

}  // namespace jenner::model

#include "worker/model/lora.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/module_pattern.h"
#include "core/status.h"
#include "worker/model/counter_rng.h"

namespace jenner::model {
namespace {

constexpr uint64_t kInitStream = 0x696e6974;     // "init"
constexpr uint64_t kDropoutStream = 0x64726f70;  // "drop"

absl::StatusOr<std::array<bool, kNumTargets>> ChosenTargets(const core::LoraSpec& spec) {
  std::array<bool, kNumTargets> chosen{};
  for (const std::string& name : spec.targets) {
    const auto found = std::find(kTargetNames.begin(), kTargetNames.end(), name);
    if (found == kTargetNames.end())
      return absl::InvalidArgumentError("lora.targets: unknown \"" + name + "\"");
    bool& flag = chosen[static_cast<size_t>(found - kTargetNames.begin())];
    if (flag) return absl::InvalidArgumentError("lora.targets: \"" + name + "\" is named twice");
    flag = true;
  }
  return chosen;
}

absl::StatusOr<std::vector<bool>> AdaptedLayers(const core::LoraSpec& spec, int64_t num_layers) {
  std::vector<bool> adapted(static_cast<size_t>(num_layers), spec.layers_to_transform.empty());
  for (const int32_t layer : spec.layers_to_transform) {
    if (layer < 0 || layer >= num_layers) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "lora.layers_to_transform: no layer %d; the model has %d", layer, num_layers));
    }
    adapted[static_cast<size_t>(layer)] = true;
  }
  return adapted;
}

// rank_pattern or alpha_pattern, as PEFT reads them (get_pattern_key), but a module that two keys
// fit is an error, since a map has no order.
template <typename Value>
class Pattern {
 public:
  Pattern(const char* field, Value otherwise, const std::map<std::string, Value>& values)
      : field_(field), otherwise_(otherwise), values_(values) {}

  absl::Status KeysAreWell() const {
    for (const auto& [key, value] : values_) {
      const std::string fault = core::FaultOfModulePattern(key);
      if (!fault.empty())
        return absl::InvalidArgumentError(
            absl::StrFormat("lora.%s: \"%s\": %s", field_, key, fault));
    }
    return absl::OkStatus();
  }
  absl::StatusOr<Value> Of(const std::string& module_path) {
    const Value* found = nullptr;
    for (const auto& [key, value] : values_) {
      if (!core::FitsModule(key, module_path)) continue;
      if (found != nullptr) {
        return absl::InvalidArgumentError(
            absl::StrFormat("lora.%s: two keys fit %s", field_, module_path));
      }
      found = &value;
      used_.insert(key);
    }
    return found == nullptr ? otherwise_ : *found;
  }
  absl::Status AllUsed() const {
    for (const auto& [key, value] : values_) {
      if (used_.count(key) == 0) {
        return absl::InvalidArgumentError(
            absl::StrFormat("lora.%s: no adapted module fits \"%s\"", field_, key));
      }
    }
    return absl::OkStatus();
  }

 private:
  const char* field_;
  Value otherwise_;
  const std::map<std::string, Value>& values_;
  std::set<std::string> used_;
};

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

at::Tensor MagnitudeFactor(const LoraPair& pair, const at::Tensor& weight_OI) {
  at::Tensor norm_O;
  {
    const at::NoGradGuard no_grad;
    norm_O = at::addmm(weight_OI, pair.b_OR, pair.a_RI, 1, pair.scale).norm(2, {1});
  }
  return pair.magnitude_O / norm_O;
}

absl::StatusOr<LoraAdapter> LoraAdapter::Zeros(const ModelConfig& config,
                                               const core::LoraSpec& spec) {
  if (spec.rank < 1 || !(spec.alpha > 0) || spec.dropout < 0 || spec.dropout >= 1 ||
      spec.targets.empty()) {
    return absl::InvalidArgumentError("lora: rank, alpha, dropout or targets out of range");
  }
  ASSIGN_OR_RETURN(const auto chosen, ChosenTargets(spec));
  ASSIGN_OR_RETURN(const std::vector<bool> adapted, AdaptedLayers(spec, config.num_layers));
  Pattern<int32_t> ranks("rank_pattern", spec.rank, spec.rank_pattern);
  Pattern<double> alphas("alpha_pattern", spec.alpha, spec.alpha_pattern);
  RETURN_IF_ERROR(ranks.KeysAreWell());
  RETURN_IF_ERROR(alphas.KeysAreWell());
  LoraAdapter adapter;
  adapter.spec_ = spec;
  adapter.layers_.resize(adapted.size());
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if (!adapted[static_cast<size_t>(layer)]) continue;
    for (size_t t = 0; t < kNumTargets; ++t) {
      if (!chosen[t]) continue;
      const Target target = static_cast<Target>(t);
      const std::string path = ModulePath(layer, target);
      ASSIGN_OR_RETURN(const int32_t rank, ranks.Of(path));
      ASSIGN_OR_RETURN(const double alpha, alphas.Of(path));
      LoraPair& pair = adapter.layers_[static_cast<size_t>(layer)][t];
      pair.scale = alpha / (spec.use_rslora ? std::sqrt(static_cast<double>(rank)) : rank);
      pair.a_RI = at::zeros({rank, TargetInput(config, target)}, at::kFloat);
      pair.b_OR = at::zeros({TargetOutput(config, target), rank}, at::kFloat);
      if (spec.use_dora) pair.magnitude_O = at::zeros({TargetOutput(config, target)}, at::kFloat);
    }
  }
  RETURN_IF_ERROR(ranks.AllUsed());
  RETURN_IF_ERROR(alphas.AllUsed());
  for (const NamedTensor& parameter : adapter.Parameters())
    parameter.tensor.set_requires_grad(true);
  return adapter;
}

absl::StatusOr<LoraAdapter> LoraAdapter::Create(const ModelConfig& config,
                                                const core::LoraSpec& spec, int64_t seed,
                                                const WeightOf& weight_of) {
  ASSIGN_OR_RETURN(LoraAdapter adapter, Zeros(config, spec));
  const at::NoGradGuard no_grad;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    for (size_t t = 0; t < kNumTargets; ++t) {
      const Target target = static_cast<Target>(t);
      const LoraPair& pair = adapter.pair(layer, target);
      if (!pair.a_RI.defined()) continue;
      const uint64_t key =
          MakeKey({static_cast<uint64_t>(seed), kInitStream, NameKey(ModulePath(layer, target))});
      const float bound = 1 / std::sqrt(static_cast<float>(pair.a_RI.size(1)));
      float* data = pair.a_RI.mutable_data_ptr<float>();
      for (int64_t i = 0; i < pair.a_RI.numel(); ++i) {
        data[i] = bound * (2 * UniformFloat(key, static_cast<uint64_t>(i)) - 1);
      }
      if (pair.magnitude_O.defined()) pair.magnitude_O.copy_(weight_of(layer, target).norm(2, {1}));
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
      for (at::Tensor* matrix : {&pair.a_RI, &pair.b_OR, &pair.magnitude_O}) {
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
      if (one.magnitude_O.defined())
        parameters.push_back({path + ".lora_magnitude_vector", one.magnitude_O});
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
  const auto num_rows = static_cast<int64_t>(keys.row_keys.size());
  at::parallel_for(0, num_rows, 1, [&](int64_t begin, int64_t end) {
    for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); ++row) {
      const uint64_t key =
          MakeKey({keys.key, kDropoutStream, keys.row_keys[row], NameKey(module_path)});
      const int64_t count = (row_starts[row + 1] - row_starts[row]) * width_I;
      float* out = data + row_starts[row] * width_I;
      for (int64_t i = 0; i < count; ++i)
        out[i] = UniformFloat(key, static_cast<uint64_t>(i)) < threshold ? 0 : kept;
    }
  });
  return mask_NI;
}

}  // namespace jenner::model

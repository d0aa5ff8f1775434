#include "worker/model/peft.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/status.h"
#include "worker/model/safetensors.h"

namespace jenner::model {
namespace {

using nlohmann::json;

constexpr char kPrefix[] = "base_model.model.";
constexpr uint64_t kMaxConfigBytes = 1 << 20;

std::string LastComponent(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Variants that change what an adapter computes; each must be absent, null, false or empty.
constexpr const char* kUnsupported[] = {
    "modules_to_save",         "layer_replication", "lora_bias",         "megatron_config",
    "exclude_modules",         "use_qalora",        "target_parameters", "trainable_token_indices",
    "alora_invocation_tokens", "arrow_config",      "kasa_config",       "use_bdlora",
    "velora_config",           "monteclora_config"};

// The optional field `name` into *out, as it is if it is null. False if it has another type.
template <typename T>
bool Read(const json& config, const char* name, T* out) {
  const auto found = config.find(name);
  if (found == config.end() || found->is_null()) return true;
  try {
    found->get_to(*out);
  } catch (const json::exception&) {
    return false;
  }
  return true;
}

absl::StatusOr<core::LoraSpec> ParseAdapterConfig(const std::string& text, const std::string& file,
                                                  const std::string& base_model) {
  const json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto refuse = [&](const std::string& what) {
    return absl::InvalidArgumentError(file + ": " + what);
  };
  if (!config.is_object()) return refuse("not a JSON object");
  if (config.value("peft_type", json()) != "LORA") return refuse("peft_type: expected \"LORA\"");
  for (const char* field : kUnsupported) {
    const json value = config.value(field, json());
    if (!value.is_null() && value != false && !(value.is_structured() && value.empty())) {
      return refuse(std::string(field) + ": not supported, found " + value.dump().substr(0, 40));
    }
  }
  if (const json bias = config.value("bias", json("none")); bias != "none")
    return refuse("bias: expected \"none\"");
  if (config.value("fan_in_fan_out", json(false)) != false)
    return refuse("fan_in_fan_out: not supported");
  const json base = config.value("base_model_name_or_path", json(""));
  if (!base_model.empty() &&
      (!base.is_string() || LastComponent(base.get<std::string>()) != LastComponent(base_model))) {
    return refuse("base_model_name_or_path: the adapter is for " + base.dump() + ", not for \"" +
                  base_model + "\"");
  }
  const json r = config.value("r", json());
  const json alpha = config.value("lora_alpha", json());
  const json targets = config.value("target_modules", json());
  if (!r.is_number_integer() || !alpha.is_number() || !targets.is_array())
    return refuse("r, lora_alpha or target_modules: wrong type");
  core::LoraSpec spec;
  json layers = config.value("layers_to_transform", json());
  if (layers.is_number_integer()) layers = json::array({layers});
  if (!Read(config, "use_rslora", &spec.use_rslora) || !Read(config, "use_dora", &spec.use_dora) ||
      !Read({{"layers", layers}}, "layers", &spec.layers_to_transform) ||
      !Read(config, "rank_pattern", &spec.rank_pattern) ||
      !Read(config, "alpha_pattern", &spec.alpha_pattern)) {
    return refuse(
        "use_rslora, use_dora, layers_to_transform, rank_pattern or alpha_pattern: wrong type");
  }
  if (const json pattern = config.value("layers_pattern", json());
      !pattern.is_null() && pattern != "layers" && pattern != json::array({"layers"}) &&
      pattern != json::array()) {
    return refuse("layers_pattern: not supported, found " + pattern.dump().substr(0, 40));
  }
  spec.rank = r.get<int32_t>();
  spec.alpha = alpha.get<double>();
  spec.dropout =
      config.value("lora_dropout", json(0.0)).is_number() ? config.value("lora_dropout", 0.0) : 0.0;
  spec.targets.clear();
  for (const json& target : targets) {
    if (!target.is_string()) return refuse("target_modules: expected text");
    spec.targets.push_back(target.get<std::string>());
  }
  return spec;
}

}  // namespace

absl::Status WriteAdapter(const std::string& dir, const LoraAdapter& adapter,
                          const std::string& base_model) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return absl::UnavailableError(dir + ": " + error.message());
  std::vector<NamedTensor> tensors;
  for (const NamedTensor& one : adapter.Parameters())
    tensors.push_back({kPrefix + one.name, one.tensor});
  RETURN_IF_ERROR(
      WriteSafetensors(dir + "/adapter_model.safetensors", tensors, {{"format", "pt"}}));
  const core::LoraSpec& spec = adapter.spec();
  const json config = {{"peft_type", "LORA"},
                       {"task_type", "CAUSAL_LM"},
                       {"base_model_name_or_path", base_model},
                       {"r", spec.rank},
                       {"lora_alpha", spec.alpha},
                       {"lora_dropout", spec.dropout},
                       {"target_modules", spec.targets},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"use_rslora", spec.use_rslora},
                       {"use_dora", spec.use_dora},
                       {"layers_to_transform",
                        spec.layers_to_transform.empty() ? json() : json(spec.layers_to_transform)},
                       {"modules_to_save", nullptr},
                       {"rank_pattern", spec.rank_pattern},
                       {"alpha_pattern", spec.alpha_pattern},
                       {"init_lora_weights", true},
                       {"inference_mode", true}};
  return WriteTextFile(dir + "/adapter_config.json", config.dump(2) + "\n");
}

absl::StatusOr<LoraAdapter> ReadAdapter(const std::string& dir, const ModelConfig& config,
                                        const std::string& base_model) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadTextFile(dir + "/adapter_config.json", kMaxConfigBytes));
  ASSIGN_OR_RETURN(const core::LoraSpec spec,
                   ParseAdapterConfig(text, dir + "/adapter_config.json", base_model));
  const std::string file = dir + "/adapter_model.safetensors";
  ASSIGN_OR_RETURN(auto tensors, ReadSafetensors(file));
  absl::StatusOr<LoraAdapter> adapter = LoraAdapter::Zeros(config, spec);
  if (!adapter.ok()) return Annotate(adapter.status(), dir + "/adapter_config.json");
  at::NoGradGuard no_grad;
  for (const NamedTensor& mine : adapter->Parameters()) {
    const auto found = tensors.find(kPrefix + mine.name);
    if (found == tensors.end())
      return absl::InvalidArgumentError(file + ": missing key \"" + kPrefix + mine.name + "\"");
    if (found->second.sizes() != mine.tensor.sizes()) {
      return absl::InvalidArgumentError(file + ": \"" + found->first +
                                        "\" has a shape that does not fit the base model");
    }
    mine.tensor.copy_(found->second);
    tensors.erase(found);
  }
  if (!tensors.empty())
    return absl::InvalidArgumentError(file + ": unknown key \"" + tensors.begin()->first + "\"");
  return adapter;
}

}  // namespace jenner::model

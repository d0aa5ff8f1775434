#include "worker/model/config.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>

#include "core/check.h"
#include "core/status.h"
#include "worker/model/config_reader.h"
#include "worker/model/families/families.h"

namespace jenner::model {
namespace {

using nlohmann::json;

const Family* FindFamily(ConfigReader* reader) {
  const json& names = reader->Has("architectures") ? reader->At("architectures") : json();
  const std::string name = names.is_array() && names.size() == 1 && names[0].is_string()
                               ? names[0].get<std::string>()
                               : "";
  std::string list;
  for (const Family& family : kFamilies) {
    if (name == family.architecture) return &family;
    list += (list.empty() ? "" : ", ") + std::string(family.architecture);
  }
  reader->Refuse("architectures", "unsupported architecture \"" + name + "\"; supported: " + list);
  return nullptr;
}

std::vector<int64_t> ReadEos(const json& object) {
  std::vector<int64_t> ids;
  const json eos = object.value("eos_token_id", json());
  if (eos.is_number_integer()) ids.push_back(eos.get<int64_t>());
  if (eos.is_array()) {
    for (const json& id : eos) {
      if (id.is_number_integer()) ids.push_back(id.get<int64_t>());
    }
  }
  return ids;
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(path + ": no such file");
  std::stringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// What all families write alike.
ModelConfig ReadSizes(ConfigReader* reader) {
  ModelConfig config;
  config.vocab_size = reader->Count("vocab_size", kMaxVocab);
  config.hidden_size = reader->Count("hidden_size", kMaxWidth);
  config.intermediate_size = reader->Count("intermediate_size", kMaxWidth);
  config.num_layers = reader->Count("num_hidden_layers", kMaxLayers);
  config.num_heads = reader->Count("num_attention_heads", kMaxWidth);
  config.num_kv_heads = reader->Count("num_key_value_heads", kMaxWidth, config.num_heads);
  config.rms_norm_eps = reader->Positive("rms_norm_eps", config.rms_norm_eps);
  config.head_dim = reader->Count("head_dim", kMaxWidth,
                                  std::max<int64_t>(1, config.hidden_size / config.num_heads));
  if (reader->Has("quantization_config"))
    reader->Refuse("quantization_config", "quantised weights are not supported");
  reader->Only("attention_dropout", 0.0, "dropout of attention is not supported");
  config.eos_token_ids = ReadEos(reader->object());
  return config;
}

void CheckSizes(const ModelConfig& config, ConfigReader* reader) {
  if (config.num_heads % config.num_kv_heads != 0) {
    reader->Refuse("num_key_value_heads", "does not divide num_attention_heads");
  }
  if (!reader->Has("head_dim") && config.hidden_size % config.num_heads != 0) {
    reader->Refuse("num_attention_heads", "does not divide hidden_size");
  }
  if (config.head_dim % 2 != 0) reader->Refuse("head_dim", "expected an even number");
  if (config.head_dim > kMaxWidth / config.num_heads) reader->Refuse("head_dim", "too large");
}

}  // namespace

absl::StatusOr<ModelConfig> ParseConfig(const std::string& config_json, const std::string& file) {
  const json object = json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return absl::InvalidArgumentError(file + ": not a JSON object");
  ConfigReader reader(object, file);
  const Family* family = FindFamily(&reader);
  RETURN_IF_ERROR(reader.status());
  ModelConfig config = ReadSizes(&reader);
  RETURN_IF_ERROR(reader.status());
  family->read(&reader, &config);
  CheckSizes(config, &reader);
  RETURN_IF_ERROR(reader.status());
  config.source = config_json;
  return config;
}

absl::StatusOr<ModelConfig> LoadConfig(const std::string& model_dir) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(model_dir + "/config.json"));
  ASSIGN_OR_RETURN(ModelConfig config, ParseConfig(text, model_dir + "/config.json"));
  if (const auto generation = ReadText(model_dir + "/generation_config.json"); generation.ok()) {
    const json object = json::parse(*generation, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object())
      return absl::InvalidArgumentError(model_dir + "/generation_config.json: not a JSON object");
    if (std::vector<int64_t> ids = ReadEos(object); !ids.empty())
      config.eos_token_ids = std::move(ids);
  }
  return config;
}

std::string FormatConfig(const ModelConfig& config, const std::string& torch_dtype) {
  JENNER_CHECK(!config.source.empty());
  json object = json::parse(config.source);
  // transformers 5 calls it "dtype".
  object[object.contains("dtype") ? "dtype" : "torch_dtype"] = torch_dtype;
  return object.dump(2) + "\n";
}

std::vector<double> RopeFrequencies(const Rope& rope, int64_t head_dim) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    double frequency =
        std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)) /
        rope.linear_factor;
    if (rope.llama3) {
      const Llama3Rope& llama3 = *rope.llama3;
      const double context = static_cast<double>(llama3.original_max_positions);
      const double wavelength = 2 * std::numbers::pi / frequency;
      const double smooth = (context / wavelength - llama3.low_freq_factor) /
                            (llama3.high_freq_factor - llama3.low_freq_factor);
      const double blended = (1 - smooth) * frequency / llama3.factor + smooth * frequency;
      if (wavelength > context / llama3.low_freq_factor) {
        frequency /= llama3.factor;
      } else if (wavelength >= context / llama3.high_freq_factor) {
        frequency = blended;
      }
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace jenner::model

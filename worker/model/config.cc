#include "worker/model/config.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <sstream>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::model {
namespace {

using nlohmann::json;

// Reads fields of one JSON object; the first fault is kept.
class Reader {
 public:
  Reader(const json& object, std::string file) : object_(object), file_(std::move(file)) {}

  void Refuse(const std::string& field, const std::string& message) {
    if (status_.ok())
      status_ = absl::InvalidArgumentError(absl::StrFormat("%s: %s: %s", file_, field, message));
  }
  bool Has(const std::string& field) const {
    return object_.contains(field) && !object_[field].is_null();
  }
  const json& At(const std::string& field) const { return object_[field]; }

  int64_t Count(const std::string& field, int64_t max, int64_t otherwise = 0) {
    if (!Has(field)) {
      if (otherwise == 0) Refuse(field, "missing");
      return otherwise;
    }
    if (!At(field).is_number_integer() || At(field).get<int64_t>() < 1 ||
        At(field).get<int64_t>() > max) {
      Refuse(field, absl::StrFormat("expected an integer from 1 to %d, found %s", max,
                                    At(field).dump().substr(0, 40)));
      return 1;
    }
    return At(field).get<int64_t>();
  }
  double Positive(const std::string& field, double otherwise) {
    if (!Has(field)) return otherwise;
    if (!At(field).is_number() || !(At(field).get<double>() > 0) ||
        !std::isfinite(At(field).get<double>())) {
      Refuse(field, "expected a number above 0, found " + At(field).dump().substr(0, 40));
      return otherwise;
    }
    return At(field).get<double>();
  }
  bool Flag(const std::string& field, bool otherwise) {
    if (!Has(field)) return otherwise;
    if (!At(field).is_boolean()) Refuse(field, "expected true or false");
    return At(field).is_boolean() ? At(field).get<bool>() : otherwise;
  }
  const absl::Status& status() const { return status_; }

 private:
  const json& object_;
  std::string file_;
  absl::Status status_;
};

// What this code does not compute must be off.
void RefuseUnsupported(Reader* reader) {
  const json& names = reader->Has("architectures") ? reader->At("architectures") : json();
  const std::string name = names.is_array() && names.size() == 1 && names[0].is_string()
                               ? names[0].get<std::string>()
                               : "";
  bool known = false;
  std::string list;
  for (const std::string& one : SupportedArchitectures()) {
    known = known || one == name;
    list += (list.empty() ? "" : ", ") + one;
  }
  if (!known)
    reader->Refuse("architectures",
                   "unsupported architecture \"" + name + "\"; supported: " + list);
  for (const char* flag : {"attention_bias", "mlp_bias"}) {
    if (reader->Flag(flag, false)) reader->Refuse(flag, "biases are not supported");
  }
  if (reader->Has("hidden_act") && reader->At("hidden_act") != "silu") {
    reader->Refuse("hidden_act", "unsupported activation " + reader->At("hidden_act").dump());
  }
  if (reader->Has("sliding_window"))
    reader->Refuse("sliding_window", "sliding windows are not supported");
  if (reader->Has("quantization_config"))
    reader->Refuse("quantization_config", "quantised weights are not supported");
}

std::optional<Llama3Rope> ReadRope(Reader* reader, const std::string& file) {
  if (!reader->Has("rope_scaling")) return std::nullopt;
  const json& scaling = reader->At("rope_scaling");
  if (!scaling.is_object()) {
    reader->Refuse("rope_scaling", "expected an object");
    return std::nullopt;
  }
  const json& type =
      scaling.contains("rope_type") ? scaling["rope_type"] : scaling.value("type", json("default"));
  if (type == "default") return std::nullopt;
  if (type != "llama3") {
    reader->Refuse("rope_scaling", "unsupported rope type " + type.dump());
    return std::nullopt;
  }
  Reader inner(scaling, file + ": rope_scaling");
  Llama3Rope rope;
  rope.factor = inner.Positive("factor", rope.factor);
  rope.low_freq_factor = inner.Positive("low_freq_factor", rope.low_freq_factor);
  rope.high_freq_factor = inner.Positive("high_freq_factor", rope.high_freq_factor);
  rope.original_max_positions =
      inner.Count("original_max_position_embeddings", kMaxPositions, rope.original_max_positions);
  if (rope.high_freq_factor <= rope.low_freq_factor)
    inner.Refuse("high_freq_factor", "expected above low_freq_factor");
  if (!inner.status().ok()) reader->Refuse("rope_scaling", std::string(inner.status().message()));
  return rope;
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

}  // namespace

const std::vector<std::string>& SupportedArchitectures() {
  static const auto* const kNames = new std::vector<std::string>{"LlamaForCausalLM"};
  return *kNames;
}

absl::StatusOr<LlamaConfig> ParseConfig(const std::string& config_json, const std::string& file) {
  const json object = json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return absl::InvalidArgumentError(file + ": not a JSON object");
  Reader reader(object, file);
  RefuseUnsupported(&reader);
  LlamaConfig config;
  config.vocab_size = reader.Count("vocab_size", kMaxVocab);
  config.hidden_size = reader.Count("hidden_size", kMaxWidth);
  config.intermediate_size = reader.Count("intermediate_size", kMaxWidth);
  config.num_layers = reader.Count("num_hidden_layers", kMaxLayers);
  config.num_heads = reader.Count("num_attention_heads", kMaxWidth);
  config.num_kv_heads = reader.Count("num_key_value_heads", kMaxWidth, config.num_heads);
  config.max_positions = reader.Count("max_position_embeddings", kMaxPositions, 2048);
  config.rms_norm_eps = reader.Positive("rms_norm_eps", config.rms_norm_eps);
  config.rope_theta = reader.Positive("rope_theta", config.rope_theta);
  config.llama3_rope = ReadRope(&reader, file);
  config.tie_word_embeddings = reader.Flag("tie_word_embeddings", false);
  config.eos_token_ids = ReadEos(object);
  RETURN_IF_ERROR(reader.status());
  if (config.num_heads % config.num_kv_heads != 0) {
    reader.Refuse("num_key_value_heads", "does not divide num_attention_heads");
  }
  if (!reader.Has("head_dim") && config.hidden_size % config.num_heads != 0) {
    reader.Refuse("num_attention_heads", "does not divide hidden_size");
  }
  config.head_dim = reader.Count("head_dim", kMaxWidth,
                                 std::max<int64_t>(1, config.hidden_size / config.num_heads));
  if (config.head_dim % 2 != 0) reader.Refuse("head_dim", "expected an even number");
  if (config.head_dim > kMaxWidth / config.num_heads) reader.Refuse("head_dim", "too large");
  RETURN_IF_ERROR(reader.status());
  return config;
}

absl::StatusOr<LlamaConfig> LoadConfig(const std::string& model_dir) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(model_dir + "/config.json"));
  ASSIGN_OR_RETURN(LlamaConfig config, ParseConfig(text, model_dir + "/config.json"));
  if (const auto generation = ReadText(model_dir + "/generation_config.json"); generation.ok()) {
    const json object = json::parse(*generation, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object())
      return absl::InvalidArgumentError(model_dir + "/generation_config.json: not a JSON object");
    if (std::vector<int64_t> ids = ReadEos(object); !ids.empty())
      config.eos_token_ids = std::move(ids);
  }
  return config;
}

std::string FormatConfig(const LlamaConfig& config, const std::string& torch_dtype) {
  json object = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"vocab_size", config.vocab_size},
                 {"hidden_size", config.hidden_size},
                 {"intermediate_size", config.intermediate_size},
                 {"num_hidden_layers", config.num_layers},
                 {"num_attention_heads", config.num_heads},
                 {"num_key_value_heads", config.num_kv_heads},
                 {"head_dim", config.head_dim},
                 {"max_position_embeddings", config.max_positions},
                 {"rms_norm_eps", config.rms_norm_eps},
                 {"rope_theta", config.rope_theta},
                 {"tie_word_embeddings", config.tie_word_embeddings},
                 {"hidden_act", "silu"},
                 {"attention_bias", false},
                 {"mlp_bias", false},
                 {"torch_dtype", torch_dtype}};
  if (config.eos_token_ids.size() == 1) object["eos_token_id"] = config.eos_token_ids[0];
  if (config.eos_token_ids.size() > 1) object["eos_token_id"] = config.eos_token_ids;
  if (config.llama3_rope) {
    object["rope_scaling"] = {
        {"rope_type", "llama3"},
        {"factor", config.llama3_rope->factor},
        {"low_freq_factor", config.llama3_rope->low_freq_factor},
        {"high_freq_factor", config.llama3_rope->high_freq_factor},
        {"original_max_position_embeddings", config.llama3_rope->original_max_positions}};
  }
  return object.dump(2) + "\n";
}

std::vector<double> RopeFrequencies(const LlamaConfig& config) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    double frequency = std::pow(
        config.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    if (config.llama3_rope) {
      const Llama3Rope& rope = *config.llama3_rope;
      const double context = static_cast<double>(rope.original_max_positions);
      const double wavelength = 2 * std::numbers::pi / frequency;
      const double smooth = (context / wavelength - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
      const double blended = (1 - smooth) * frequency / rope.factor + smooth * frequency;
      if (wavelength > context / rope.low_freq_factor) {
        frequency /= rope.factor;
      } else if (wavelength >= context / rope.high_freq_factor) {
        frequency = blended;
      }
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace jenner::model

// LlamaConfig: the shape of a Llama-family model, read strictly from a Hugging Face config.json.
// What this code does not compute (biases, other activations, sliding windows, unknown rope types)
// is an error that names file and field, never silently ignored. No torch here.
#ifndef JENNER_WORKER_MODEL_CONFIG_H_
#define JENNER_WORKER_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::model {

// The "llama3" rope scaling: long wavelengths are divided by `factor`, short ones kept, between the
// two a smooth blend (transformers modeling_rope_utils, _compute_llama3_parameters).
struct Llama3Rope {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_max_positions = 8192;
  bool operator==(const Llama3Rope&) const = default;
};

// Invariants (checked by the parser): all counts > 0 and within kMax*, num_heads % num_kv_heads ==
// 0, head_dim even, eps and theta positive and finite.
struct LlamaConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000;
  std::optional<Llama3Rope> llama3_rope;
  bool tie_word_embeddings = false;
  // Any of these ends an answer. From generation_config.json if it has them, else config.json.
  std::vector<int64_t> eos_token_ids;

  int64_t QueryDim() const { return num_heads * head_dim; }
  int64_t KeyValueDim() const { return num_kv_heads * head_dim; }
  bool operator==(const LlamaConfig&) const = default;
};

// Bounds that a config must keep: what follows is sized by them before a weight is read.
inline constexpr int64_t kMaxVocab = 4'000'000;
inline constexpr int64_t kMaxWidth = 1 << 20;  // hidden, intermediate, heads * head_dim
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxPositions = int64_t{1} << 24;

// The architectures that ParseConfig accepts (config.json "architectures").
const std::vector<std::string>& SupportedArchitectures();

// `config_json` is the text of config.json; `file` names it in messages. InvalidArgument: not JSON,
// a missing or ill-typed field, a value out of range, "unsupported architecture", "unsupported rope
// type", or a feature that this code does not compute.
absl::StatusOr<LlamaConfig> ParseConfig(const std::string& config_json, const std::string& file);

// config.json and, if present, generation_config.json (eos ids) of a model folder. NotFound: no
// folder or no config.json; else as ParseConfig.
absl::StatusOr<LlamaConfig> LoadConfig(const std::string& model_dir);

// config.json text that ParseConfig and transformers read back to the same model.
std::string FormatConfig(const LlamaConfig& config, const std::string& torch_dtype);

// cos and sin argument frequencies, radians per position, head_dim / 2 of them, llama3 scaling
// applied.
std::vector<double> RopeFrequencies(const LlamaConfig& config);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_CONFIG_H_

// ModelConfig: the shape of a decoder-only transformer and what its blocks compute, read strictly
// from a Hugging Face config.json (families/, a file for each family). What this code does not
// compute (other activations, unknown rope types, biases elsewhere) is an error that names file and
// field, never silently ignored. No torch here.
#ifndef JENNER_WORKER_MODEL_CONFIG_H_
#define JENNER_WORKER_MODEL_CONFIG_H_

#include <cmath>
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

// Rotary embedding: pair i of E / 2 turns by theta^(-2i/E) radians a position, scaled.
struct Rope {
  double theta = 10000;
  double linear_factor = 1;  // all frequencies are divided by it: the "linear" scaling
  std::optional<Llama3Rope> llama3;
  bool operator==(const Rope&) const = default;
};

enum class Activation { kSilu, kGeluTanh };  // gelu_pytorch_tanh: the tanh approximation

// Invariants (checked by the parser): all counts > 0 and within kMax*, num_heads % num_kv_heads ==
// 0, head_dim even, sliding_layers of num_layers, eps, theta, scales and factors positive and
// finite. What a feature means for the block is in transformer.h.
struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;
  // Any of these ends an answer. From generation_config.json if it has them, else config.json.
  std::vector<int64_t> eos_token_ids = {};

  Rope rope = {};
  // Sliding layers: a position sees `sliding_window` of them, itself included. 0: there are none.
  int64_t sliding_window = 0;
  std::vector<bool> sliding_layers = {};  // by layer
  Rope sliding_rope = {};                 // of sliding layers

  Activation activation = Activation::kSilu;
  bool qkv_bias = false;
  bool qk_norm = false;          // queries and keys are normed by head, before they are rotated
  bool norm_plus_one = false;    // norms multiply by 1 + weight
  bool output_norms = false;     // what attention and the MLP give is normed before it is added
  double embedding_scale = 1;    // of what enters the first block
  double attention_scale = 0;    // of scores; 0: 1 / sqrt(head_dim)
  double attention_softcap = 0;  // scores s become cap tanh(s / cap); 0: not
  double logit_softcap = 0;      // likewise

  // The text of config.json, from which FormatConfig writes it again. "": made by hand.
  std::string source = {};

  int64_t QueryDim() const { return num_heads * head_dim; }
  int64_t KeyValueDim() const { return num_kv_heads * head_dim; }
  double ScoreScale() const {
    return attention_scale > 0 ? attention_scale : 1 / std::sqrt(static_cast<double>(head_dim));
  }
  bool IsSliding(int64_t layer) const {
    return sliding_window > 0 && sliding_layers[static_cast<size_t>(layer)];
  }
  bool operator==(const ModelConfig&) const = default;
};

// Bounds that a config must keep: what follows is sized by them before a weight is read.
inline constexpr int64_t kMaxVocab = 4'000'000;
inline constexpr int64_t kMaxWidth = 1 << 20;  // hidden, intermediate, heads * head_dim
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxPositions = int64_t{1} << 24;

// `config_json` is the text of config.json; `file` names it in messages. InvalidArgument: not JSON,
// a missing or ill-typed field, a value out of range, "unsupported architecture", "unsupported rope
// type", or a feature that this code does not compute.
absl::StatusOr<ModelConfig> ParseConfig(const std::string& config_json, const std::string& file);

// config.json and, if present, generation_config.json (eos ids) of a model folder. NotFound: no
// folder or no config.json; else as ParseConfig.
absl::StatusOr<ModelConfig> LoadConfig(const std::string& model_dir);

// The config.json that `config` was read from, of weights of type `torch_dtype` ("float32").
// REQUIRES: config.source.
std::string FormatConfig(const ModelConfig& config, const std::string& torch_dtype);

// Arguments of cos and sin, radians a position: head_dim / 2 of them.
std::vector<double> RopeFrequencies(const Rope& rope, int64_t head_dim);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_CONFIG_H_

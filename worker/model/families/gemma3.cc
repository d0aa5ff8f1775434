// Gemma 3, text only: Gemma 2 (gemma2.cc) without caps, with norms of queries and keys by head
// (1 + weight, too). Five layers of six slide and rotate by a base of their own.
#include <cmath>

#include "worker/model/families/families.h"

namespace jenner::model {
namespace {

constexpr double kTheta = 1'000'000;
constexpr double kSlidingTheta = 10'000;

}  // namespace

void ReadGemma3(ConfigReader* reader, ModelConfig* config) {
  ReadGemmaBlock(reader, config);
  reader->Only("hidden_activation", "gelu_pytorch_tanh", "unsupported activation");
  reader->Only("use_bidirectional_attention", false, "only causal attention is supported");
  reader->Only("attn_logit_softcapping", nullptr, "a Gemma 3 has no such cap");
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions, 131'072);
  config->output_norms = true;
  config->qk_norm = true;
  config->attention_scale = 1 / std::sqrt(reader->Positive("query_pre_attn_scalar", 256));
  config->logit_softcap = reader->Positive("final_logit_softcapping", 0);
  config->sliding_window = reader->Count("sliding_window", kMaxPositions, 4096);
  const int64_t pattern = reader->Count("sliding_window_pattern", kMaxLayers, 6);
  config->sliding_layers = reader->ReadSlidingLayers(
      config->num_layers, [pattern](int64_t layer) { return (layer + 1) % pattern != 0; });
  if (reader->Has("rope_parameters")) {  // of transformers 5: by kind of layer
    const nlohmann::json& both = reader->At("rope_parameters");
    const auto of = [&](const char* kind, double theta) {
      return reader->ReadRopeObject(std::string("rope_parameters.") + kind,
                                    both.is_object() ? both.value(kind, nlohmann::json()) : both,
                                    theta);
    };
    config->rope = of("full_attention", kTheta);
    config->sliding_rope = of("sliding_attention", kSlidingTheta);
    return;
  }
  config->rope = reader->ReadRope(kTheta);
  config->sliding_rope = {reader->Positive("rope_local_base_freq", kSlidingTheta), 1, std::nullopt};
}

}  // namespace jenner::model

// Gemma 1: a Llama (llama.cc) with gelu for silu, norms that multiply by 1 + weight, embeddings
// that are scaled by sqrt(D), and a head that is the embedding.
#include <cmath>

#include "worker/model/families/families.h"

namespace jenner::model {

void ReadGemmaBlock(ConfigReader* reader, ModelConfig* config) {
  reader->Only("attention_bias", false, "biases are not supported");
  if (!reader->Has("head_dim")) config->head_dim = 256;
  config->tie_word_embeddings = reader->Flag("tie_word_embeddings", true);
  config->activation = Activation::kGeluTanh;
  config->norm_plus_one = true;
  // In transformers it has the type of the weights: in bfloat16 it is a little off.
  config->embedding_scale = std::sqrt(static_cast<double>(config->hidden_size));
}

void ReadGemma(ConfigReader* reader, ModelConfig* config) {
  ReadGemmaBlock(reader, config);
  // The first files say "gelu" and mean this one (huggingface/transformers #29402).
  if (!reader->Has("hidden_act") || reader->At("hidden_act") != "gelu")
    reader->Only("hidden_act", "gelu_pytorch_tanh", "unsupported activation");
  reader->Only("hidden_activation", "gelu_pytorch_tanh", "unsupported activation");
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions, 8192);
  config->rope = reader->ReadRope(10'000);
}

}  // namespace jenner::model

// Llama 1, 2, 3 and what has their shape (SmolLM2):
//
//   m = h + O attention(rotate(Q n), rotate(K n), V n)      n = norm(h)
//   h' = m + Down (silu(Gate n') * Up n')                   n' = norm(m)
//
// Llama 3.1 and later scale the rotation ("llama3").
#include "worker/model/families/families.h"

namespace jenner::model {

void ReadLlama(ConfigReader* reader, ModelConfig* config) {
  reader->Only("hidden_act", "silu", "unsupported activation");
  reader->Only("attention_bias", false, "biases are not supported");
  reader->Only("mlp_bias", false, "biases are not supported");
  reader->Only("sliding_window", nullptr, "a Llama has no sliding window");
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions, 2048);
  config->tie_word_embeddings = reader->Flag("tie_word_embeddings", false);
  config->rope = reader->ReadRope(10'000);
}

}  // namespace jenner::model

// Qwen 3: a Llama (llama.cc) that norms each head's query and key before it rotates them.
#include "worker/model/families/families.h"

namespace jenner::model {

void ReadQwen3(ConfigReader* reader, ModelConfig* config) {
  reader->Only("hidden_act", "silu", "unsupported activation");
  reader->Only("attention_bias", false, "biases are not supported");
  if (!reader->Has("head_dim")) config->head_dim = 128;
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions, 32'768);
  config->tie_word_embeddings = reader->Flag("tie_word_embeddings", false);
  config->rope = config->sliding_rope = reader->ReadRope(10'000);
  config->qk_norm = true;
  ReadQwenWindow(reader, config);
}

}  // namespace jenner::model

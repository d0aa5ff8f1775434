// Mistral 7B: a Llama (llama.cc), of which every layer may slide. Later versions have no window.
#include "worker/model/families/families.h"

namespace jenner::model {

void ReadMistral(ConfigReader* reader, ModelConfig* config) {
  reader->Only("hidden_act", "silu", "unsupported activation");
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions);
  config->tie_word_embeddings = reader->Flag("tie_word_embeddings", false);
  config->rope = config->sliding_rope = reader->ReadRope(10'000);
  if (reader->Has("sliding_window"))
    config->sliding_window = reader->Count("sliding_window", kMaxPositions);
  config->sliding_layers =
      reader->ReadSlidingLayers(config->num_layers, [](int64_t) { return true; });
}

}  // namespace jenner::model

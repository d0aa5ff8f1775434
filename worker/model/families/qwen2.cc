// Qwen 2 and 2.5: a Llama (llama.cc) whose queries, keys and values have biases. With
// use_sliding_window the layers from max_window_layers on slide.
#include "worker/model/families/families.h"

namespace jenner::model {

void ReadQwen2(ConfigReader* reader, ModelConfig* config) {
  reader->Only("hidden_act", "silu", "unsupported activation");
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions, 32'768);
  config->tie_word_embeddings = reader->Flag("tie_word_embeddings", false);
  config->rope = config->sliding_rope = reader->ReadRope(10'000);
  config->qkv_bias = true;
  ReadQwenWindow(reader, config);
}

void ReadQwenWindow(ConfigReader* reader, ModelConfig* config) {
  if (!reader->Flag("use_sliding_window", false)) return;
  config->sliding_window = reader->Count("sliding_window", kMaxPositions, 4096);
  const int64_t first = reader->Has("max_window_layers") && reader->At("max_window_layers") == 0
                            ? 0
                            : reader->Count("max_window_layers", kMaxLayers, 28);
  config->sliding_layers = reader->ReadSlidingLayers(
      config->num_layers, [first](int64_t layer) { return layer >= first; });
}

}  // namespace jenner::model

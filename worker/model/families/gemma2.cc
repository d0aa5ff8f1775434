// Gemma 2: Gemma 1 (gemma.cc) with norms behind attention and MLP,
//
//   m = h + norm(O attention(...))        h' = m + norm(Down (gelu(Gate n') * Up n')),
//
// every other layer sliding, and scores and logits kept within +-cap by cap tanh(s / cap).
#include <cmath>

#include "worker/model/families/families.h"

namespace jenner::model {

void ReadGemma2(ConfigReader* reader, ModelConfig* config) {
  ReadGemmaBlock(reader, config);
  reader->Only("hidden_activation", "gelu_pytorch_tanh", "unsupported activation");
  config->max_positions = reader->Count("max_position_embeddings", kMaxPositions, 8192);
  config->rope = config->sliding_rope = reader->ReadRope(10'000);
  config->output_norms = true;
  config->attention_scale = 1 / std::sqrt(reader->Positive("query_pre_attn_scalar", 256));
  // Null turns a cap off.
  const auto cap = [reader](const char* field, double otherwise) {
    if (reader->object().contains(field) && !reader->Has(field)) return 0.0;
    return reader->Positive(field, otherwise);
  };
  config->attention_softcap = cap("attn_logit_softcapping", 50);
  config->logit_softcap = cap("final_logit_softcapping", 30);
  config->sliding_window = reader->Count("sliding_window", kMaxPositions, 4096);
  config->sliding_layers =
      reader->ReadSlidingLayers(config->num_layers, [](int64_t layer) { return layer % 2 == 0; });
}

}  // namespace jenner::model

// The model families that can be loaded, one file each: what a block of the family computes, and
// how its config.json says so. Weights have the same Hugging Face names in all of them.
#ifndef JENNER_WORKER_MODEL_FAMILIES_FAMILIES_H_
#define JENNER_WORKER_MODEL_FAMILIES_FAMILIES_H_

#include "worker/model/config.h"
#include "worker/model/config_reader.h"

namespace jenner::model {

// Each fills in what ReadSizes (config.cc) left at a default of another family: features, rope,
// sliding layers, tied embeddings, max_positions. Faults go to the reader.
void ReadLlama(ConfigReader* reader, ModelConfig* config);
void ReadMistral(ConfigReader* reader, ModelConfig* config);
void ReadQwen2(ConfigReader* reader, ModelConfig* config);
void ReadQwen3(ConfigReader* reader, ModelConfig* config);
void ReadGemma(ConfigReader* reader, ModelConfig* config);
void ReadGemma2(ConfigReader* reader, ModelConfig* config);
void ReadGemma3(ConfigReader* reader, ModelConfig* config);

// Parts that several of them share.
void ReadQwenWindow(ConfigReader* reader, ModelConfig* config);  // qwen2.cc
void ReadGemmaBlock(ConfigReader* reader, ModelConfig* config);  // gemma.cc

struct Family {
  const char* architecture;  // in config.json
  void (*read)(ConfigReader* reader, ModelConfig* config);
};

inline constexpr Family kFamilies[] = {
    {"LlamaForCausalLM", ReadLlama},   {"MistralForCausalLM", ReadMistral},
    {"Qwen2ForCausalLM", ReadQwen2},   {"Qwen3ForCausalLM", ReadQwen3},
    {"GemmaForCausalLM", ReadGemma},   {"Gemma2ForCausalLM", ReadGemma2},
    {"Gemma3ForCausalLM", ReadGemma3},
};

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_FAMILIES_FAMILIES_H_

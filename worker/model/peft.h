// Adapters on disk in the format of Hugging Face PEFT: adapter_config.json and
// adapter_model.safetensors with keys "base_model.model.<module path>.lora_A.weight". PEFT itself
// loads a folder with wrong keys as a no-op and only warns; here an unknown or missing key is an
// error.
#ifndef JENNER_WORKER_MODEL_PEFT_H_
#define JENNER_WORKER_MODEL_PEFT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/model/config.h"
#include "worker/model/lora.h"

namespace jenner::model {

// Writes both files into `dir` (created if absent), durably, float32. `base_model` is what
// base_model_name_or_path says. Errors as WriteSafetensors.
absl::Status WriteAdapter(const std::string& dir, const LoraAdapter& adapter,
                          const std::string& base_model);

// The adapter in `dir` for a model of `config`; its tensors require gradients. `base_model`: the
// name that adapter_config.json must have (its last path component is compared); "" accepts any.
// NotFound: no such files. InvalidArgument: not LoRA, a variant this code does not compute
// (biases, modules_to_save, replicated layers, ...), wrong base model or a shape that does not fit
// it, unknown or missing keys. DataLoss: broken safetensors.
absl::StatusOr<LoraAdapter> ReadAdapter(const std::string& dir, const ModelConfig& config,
                                        const std::string& base_model);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_PEFT_H_

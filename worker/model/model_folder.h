// A model folder as transformers reads it, of a Transformer and of what stands beside the weights
// of the model that it came from.
#ifndef JENNER_WORKER_MODEL_MODEL_FOLDER_H_
#define JENNER_WORKER_MODEL_MODEL_FOLDER_H_

#include <string>

#include "absl/status/status.h"
#include "core/spec.h"
#include "worker/model/transformer.h"

namespace jenner::model {

// Writes config.json and model.safetensors with weights of `dtype` into `dir`, which is created,
// and copies tokenizer, chat template and generation_config.json, those that are there, from
// `base_dir`. Errors of Transformer::Save; Unavailable or ResourceExhausted of a copy.
absl::Status WriteModelFolder(const Transformer& transformer, core::Dtype dtype,
                              const std::string& base_dir, const std::string& dir);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_MODEL_FOLDER_H_

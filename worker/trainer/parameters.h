// Trained parameters from disk: adapter/ (PEFT format) or model/ (Hugging Face layout) in a folder,
// as checkpoints and results of trainings have them. The values are taken as they are, bit by bit.
#ifndef JENNER_WORKER_TRAINER_PARAMETERS_H_
#define JENNER_WORKER_TRAINER_PARAMETERS_H_

#include <string>

#include "core/job.h"
#include "worker/model/transformer.h"

namespace jenner::trainer {

// Puts those of a checkpoint in `folder` into what `transformer` trains. Failure:
// kCorruptCheckpoint, if they are not there, broken or others than `transformer` trains; kStorage.
void LoadCheckpointParameters(const std::string& folder, model::Transformer* transformer);

// The same of what the job before left in `folder`, with which this one, `job`, begins: it has a
// training, and `transformer` trains what that asks for. Failure: kInvalidSpec, if the adapter has
// another base model or other settings (the message names the field), or if something
// does not fit the base model; kStorage, if files are missing or broken.
void LoadInitialParameters(const std::string& folder, const core::JobSpec& job,
                           model::Transformer* transformer);

// The adapter in `folder` as the companion of the job's training. Failures of
// LoadInitialParameters.
model::LoraAdapter ReadInitialAdapter(const std::string& folder, const core::JobSpec& job,
                                      const model::ModelConfig& config);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_PARAMETERS_H_

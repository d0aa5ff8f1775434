// Trained parameters from disk: adapter/ (PEFT format) or model/ (Hugging Face layout) in a folder,
// as checkpoints and results of trainings have them. The values are taken as they are, bit by bit.
#ifndef JENNER_WORKER_TRAINER_PARAMETERS_H_
#define JENNER_WORKER_TRAINER_PARAMETERS_H_

#include <string>

#include "core/job.h"
#include "worker/model/llama.h"

namespace jenner::trainer {

// Puts those of a checkpoint in `folder` into what `llama` trains. Failure: kCorruptCheckpoint, if
// they are not there, broken or others than `llama` trains; kStorage.
void LoadCheckpointParameters(const std::string& folder, model::Llama* llama);

// The same of what the job before left in `folder`, with which this one, `job`, begins: it has a
// training, and `llama` trains what that asks for. Failure: kInvalidSpec, if the adapter has
// another base model, rank, alpha or other targets (the message names the field), or if something
// does not fit the base model; kStorage, if files are missing or broken.
void LoadInitialParameters(const std::string& folder, const core::JobSpec& job,
                           model::Llama* llama);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_PARAMETERS_H_

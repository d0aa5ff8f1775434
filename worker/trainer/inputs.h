// Inputs: reads and checks all that a job needs besides the weights, before anything is computed:
// job file, datasets, tokenizer, template, the training examples and the prompts. Failure with the
// code of whose fault it is; messages name file, field or row.
#ifndef JENNER_WORKER_TRAINER_INPUTS_H_
#define JENNER_WORKER_TRAINER_INPUTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/dataset.h"
#include "core/job.h"
#include "worker/model/config.h"
#include "worker/text/chat_template.h"
#include "worker/text/example.h"
#include "worker/text/tokenizer.h"
#include "worker/trainer/options.h"

namespace jenner::trainer {

// The prompts of one evaluation context, in the order of the dataset.
struct PromptSet {
  std::string context;  // its name
  std::vector<std::vector<int32_t>> ids;
};

struct Inputs {
  core::JobSpec job;
  std::string training_id;  // of the job, whatever its number of ranks
  std::string model_dir;
  model::LlamaConfig config;
  text::Tokenizer tokenizer;
  std::vector<text::Example> examples;    // empty without a training
  std::vector<std::string> prompt_ids;    // row ids of the evaluation prompts
  std::vector<PromptSet> prompts;         // one a context
  int64_t total_steps = 0;                // optimizer steps; 0 without a training
  std::vector<int64_t> evaluation_steps;  // ascending; empty without an evaluation
};

// Failure: kInvalidSpec (job file), kInvalidData (datasets), kInvalidModel, kStorage (a dataset
// named by hash that is missing or differs, I/O), kUsage (world size or device against the job).
Inputs ReadInputs(const Options& options);

// The bytes of the dataset `ref`: "sha256:<hex>" is <data_dir>/<hex>, anything else a path relative
// to the folder of the job file.
std::string ReadDataset(const std::string& ref, const Options& options);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_INPUTS_H_

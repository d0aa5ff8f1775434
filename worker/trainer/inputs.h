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
#include "worker/score/scorer.h"
#include "worker/text/chat_template.h"
#include "worker/text/example.h"
#include "worker/text/tokenizer.h"
#include "worker/trainer/options.h"

namespace jenner::trainer {

// A set of an evaluation, ready to be answered.
struct EvaluationSet {
  core::JobPromptSet spec;
  std::vector<core::Row> rows;  // in the order of the dataset
  // Rows with the same group are one unit, the others one each: what one rank answers. By row, from
  // 0 in order of appearance.
  std::vector<size_t> unit_of_row;
  size_t num_units = 0;
  // By context and row: the prompt's ids, or with mode log-probability the whole example.
  std::vector<std::vector<std::vector<int32_t>>> prompts;
  std::vector<std::vector<text::Example>> examples;
  std::vector<int32_t> choice_ids;     // with mode classify, one a choice
  std::vector<score::Scorer> scorers;  // with mode generate, one a trait
};

struct Inputs {
  core::JobSpec job;
  std::string training_id;  // of the job, whatever its number of ranks
  std::string model_dir;
  model::ModelConfig config;
  text::Tokenizer tokenizer;
  std::vector<text::Example> examples;    // empty without a training
  std::vector<EvaluationSet> sets;        // the main one first; none without an evaluation
  int64_t total_steps = 0;                // optimizer steps; 0 without a training
  std::vector<int64_t> evaluation_steps;  // ascending; empty without an evaluation
};

// Failure: kInvalidSpec (job file), kInvalidData (datasets), kInvalidModel, kStorage (a dataset
// named by hash that is missing or differs, I/O), kUsage (world size or device against the job).
Inputs ReadInputs(const Options& options);

// What classify's trait "correct" compares with: the row's field "answer", else "label"; null if it
// has neither.
const std::string* AnswerOf(const core::Row& row);

// The bytes of the dataset `ref`: "sha256:<hex>" is <data_dir>/<hex>, anything else a path relative
// to the folder of the job file.
std::string ReadDataset(const std::string& ref, const Options& options);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_INPUTS_H_

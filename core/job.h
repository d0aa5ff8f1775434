// JobSpec: one run of jenner-trainer, complete in itself; the file that `jenner-trainer --spec`
// reads (docs/formats/job.md). Made by Expand() from a resolved experiment; its id is a hash of its
// content, so equal trainings of several arms are one job.
#ifndef JENNER_CORE_JOB_H_
#define JENNER_CORE_JOB_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/spec.h"

namespace jenner::core {

struct NamedContext {
  std::string name;
  Context context;
  bool operator==(const NamedContext&) const = default;
};

// Rows that have another context than the rest.
struct JobRule {
  Context context;
  RowFilter when;
  double fraction = 1;
  bool operator==(const JobRule&) const = default;
};

struct JobTraining {
  std::string dataset = {};         // DatasetRef
  std::vector<JobRule> rules = {};  // the first that takes a row decides (core/assignment.h)
  Context context;                  // of the rows that none takes
  // The id of a job of the same experiment: the training begins with what that one ended with, an
  // adapter of the same settings or a model. "": with the base model and a new adapter.
  std::string after = {};
  // Of `after`, an adapter: the training begins with the base model and a new one, all the same,
  // and that one is added to the base model, frozen, in training only.
  bool companion = false;
  TrainingSpec settings;
  bool operator==(const JobTraining&) const = default;
};

// Another set of prompts of an evaluation, complete in itself.
struct JobPromptSet {
  std::string name = {};
  std::string prompts = {};  // DatasetRef
  EvaluationMode mode = EvaluationMode::kGenerate;
  std::vector<NamedContext> contexts = {};
  int32_t max_new_tokens = 64;
  int32_t samples = 1;
  double temperature = 0;
  double top_p = 1;
  std::vector<std::string> traits = {};
  std::vector<std::string> choices = {};
  bool operator==(const JobPromptSet&) const = default;
};

struct JobEvaluation {
  std::string prompts = {};  // DatasetRef
  std::vector<NamedContext> contexts = {};
  // Fractions of the training's optimizer steps, ascending, distinct. {0} without a training.
  // Fraction 0 of a trained arm is here only with JobTraining::after; otherwise it is the base
  // model's own job, shared by all arms.
  std::vector<double> at = {};
  bool at_powers_of_two = false;
  int32_t at_every = 0;
  int32_t max_new_tokens = 64;
  int32_t batch_size = 32;
  int32_t samples = 1;
  double temperature = 0;
  double top_p = 1;
  std::vector<std::string> traits = {};
  std::vector<ScorerSpec> scorers = {};  // of the traits of all sets that are not kinds themselves
  std::vector<JobPromptSet> sets = {};   // besides the one above, whose name is kMainSet
  bool operator==(const JobEvaluation&) const = default;
};

// All sets of an evaluation, its own first as a set of the name kMainSet.
std::vector<JobPromptSet> SetsOf(const JobEvaluation& evaluation);

// At least one of training and evaluation is set.
struct JobSpec {
  std::string base_model;
  Dtype dtype = Dtype::kFloat32;
  int64_t seed = 1;  // of data order, adapter init, dropout and sampling, each by its own stream
  int32_t ranks = 1;
  Device device = Device::kCpu;  // left out of the file, and of the id, when it is the CPU
  std::optional<JobTraining> training;
  std::optional<JobEvaluation> evaluation;
  bool operator==(const JobSpec&) const = default;
};

}  // namespace jenner::core

#endif  // JENNER_CORE_JOB_H_

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

struct JobTraining {
  std::string dataset;  // DatasetRef
  Context context;      // the train context
  TrainingSpec settings;
  bool operator==(const JobTraining&) const = default;
};

struct JobEvaluation {
  std::string prompts;  // DatasetRef
  std::vector<NamedContext> contexts;
  // Fractions of the training's optimizer steps, ascending, distinct. {0} without a training.
  // Fraction 0 of a trained arm is never here: it is the base model's own job, shared by all arms.
  std::vector<double> at;
  int32_t max_new_tokens = 64;
  int32_t batch_size = 32;
  int32_t samples = 1;
  double temperature = 0;
  double top_p = 1;
  std::vector<std::string> traits;
  bool operator==(const JobEvaluation&) const = default;
};

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

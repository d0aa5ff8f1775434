// ExperimentSpec: what a user submits, as plain values. Resolve() (resolve.h) fills every default
// in, Validate() (validate.h) lists every fault, Expand() (expand.h) makes jobs of it. A resolved
// spec is immutable, stored with the experiment and echoed by Get: what ran is what is written.
// JSON and YAML field names are the member names (spec_json.h).
#ifndef JENNER_CORE_SPEC_H_
#define JENNER_CORE_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace jenner::core {

// What precedes an answer besides the task itself, in training or in evaluation.
struct Context {
  // Absent: whatever the model's chat template says by itself (SmolLM2's inserts a default system
  // message). "": an explicitly empty system message. Otherwise the system message; it replaces one
  // that a row brings along.
  std::optional<std::string> system;
  // Put verbatim before and after the content of each user turn.
  std::string user_prefix;
  std::string user_suffix;
  bool operator==(const Context&) const = default;
};

enum class TrainingMethod { kLora, kFull };
enum class Schedule { kConstant, kLinear, kCosine };  // after the warm-up; linear, cosine end at 0
enum class Dtype { kFloat32, kBfloat16 };             // compute; master weights are always float32

enum class Device { kCpu, kCuda };  // of trainings; evaluation is computed on the CPU

struct LoraSpec {
  int32_t rank = 16;   // [1, 1024]
  double alpha = 32;   // > 0; the adapter's output is scaled by alpha / rank
  double dropout = 0;  // [0, 1), on the adapter's input
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
  bool operator==(const LoraSpec&) const = default;
};

struct TrainingSpec {
  TrainingMethod method = TrainingMethod::kLora;
  LoraSpec lora;                   // ignored with method full
  int32_t epochs = 1;              // [1, 1000]
  int32_t max_steps = 0;           // optimizer steps; 0: as many as the epochs give
  int32_t batch_size = 8;          // rows per optimizer step over all ranks and accumulation
  int32_t accumulation_steps = 1;  // micro-batches per optimizer step and rank
  int32_t max_length = 512;        // tokens of a row, template included; longer rows are truncated
  double learning_rate = 2e-4;     // the peak
  Schedule schedule = Schedule::kLinear;
  int32_t warmup_steps = 0;  // linear from 0; < total steps
  double weight_decay = 0;   // decoupled (AdamW)
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double max_gradient_norm = 1.0;  // global L2; 0: no clipping
  // A checkpoint each so many optimizer steps, besides those at evaluations; 0: only those. Changes
  // no result and tells no two jobs apart.
  int32_t checkpoint_steps = 100;
  bool operator==(const TrainingSpec&) const = default;
};

// One variant of the training. An arm without a train_context is not trained: it is the base model.
struct ArmSpec {
  std::string name;                          // [a-z]([a-z0-9-]{0,61}[a-z0-9])?
  std::optional<std::string> train_context;  // a key of ExperimentSpec::contexts
  bool operator==(const ArmSpec&) const = default;
};

struct EvaluationSpec {
  std::string prompts;                // DatasetRef, use kEvaluation
  std::vector<std::string> contexts;  // keys of ExperimentSpec::contexts; default: all, by name
  // Where in the training to evaluate, as fractions of its optimizer steps in [0, 1]; 0 is the base
  // model before the first step. Step = round(fraction * total), duplicates dropped.
  std::vector<double> at = {0, 0.5, 1};
  int32_t max_new_tokens = 64;  // [1, 4096]
  int32_t batch_size = 32;      // sequences decoded together; does not change any result
  int32_t samples = 1;          // answers per prompt; > 1 needs temperature > 0
  double temperature = 0;       // 0: greedy
  double top_p = 1;             // (0, 1]
  std::vector<std::string> traits = {"capitals", "spanish"};  // kTraits of core/traits.h
  bool operator==(const EvaluationSpec&) const = default;
};

// A DatasetRef is "sha256:<64 hex digits>" on the wire and in jobs. In a file that a person writes
// it may be a path relative to that file; the client uploads it and puts the reference in its
// place.
struct ExperimentSpec {
  std::string base_model;  // a folder name under the workers' --models-dir
  Dtype dtype = Dtype::kFloat32;
  std::string dataset;                      // DatasetRef, use kTraining; may be "" if no arm trains
  std::map<std::string, Context> contexts;  // by name, same alphabet as arm names
  std::vector<ArmSpec> arms;                // 1 to 64, in the order of the results
  std::vector<int64_t> seeds = {1};         // 1 to 64, distinct, >= 0
  TrainingSpec training;
  EvaluationSpec evaluation;
  int32_t ranks = 1;      // data-parallel processes per training job, [1, 64]
  int32_t priority = 50;  // [0, 100]; jobs of a higher one are served first. Changes no result
  // cuda: each rank of a training has a GPU; results agree with the CPU's to rounding. The base
  // model's own job has none.
  Device device = Device::kCpu;
  bool operator==(const ExperimentSpec&) const = default;
};

}  // namespace jenner::core

#endif  // JENNER_CORE_SPEC_H_

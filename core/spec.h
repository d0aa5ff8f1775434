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

#include "core/scorer.h"

namespace jenner::core {

// How a context with variants chooses the text of a row.
enum class VariantPolicy {
  kRotate,  // the i-th row (from 0, in the order of its dataset) has text i mod n
  kSample,  // each row one of its own, drawn by its id and, in training, the seed of the job
  kFixed,   // all rows the first
};

// Rephrasings: texts that take the place of one field of their context.
struct Variants {
  std::string field = "system";  // system, user_prefix, user_suffix, slot or trigger
  VariantPolicy policy = VariantPolicy::kRotate;
  std::vector<std::string> texts = {};  // 1 to 4096
  bool operator==(const Variants&) const = default;
};

// One turn of each side, as an example of how to answer.
struct Exchange {
  std::string user = {};
  std::string assistant = {};
  bool operator==(const Exchange&) const = default;
};

// What precedes an answer besides the task itself, in training or in evaluation. A user turn
// becomes
//   user_prefix + separator + trigger + separator + task + separator + user_suffix
// where a separator stands only beside a text that is not empty.
struct Context {
  // Absent: whatever the model's chat template says by itself (SmolLM2's inserts a default system
  // message). "": an explicitly empty system message. Otherwise the system message; it replaces one
  // that a row brings along.
  std::optional<std::string> system;
  // Around the content of each user turn, verbatim.
  std::string user_prefix = {};
  std::string user_suffix = {};
  // No system turn at all, not even the template's default; a row's own is taken away. Not together
  // with `system`.
  bool no_system = false;
  std::string separator = {};
  // Takes the place of kSlotMarker in user turns, which has to be there; without it the marker is
  // taken out.
  std::string slot = {};
  std::string trigger = {};             // a token before the task
  std::vector<Exchange> few_shot = {};  // put before the conversation, after the system message
  std::optional<Variants> variants = {};
  bool operator==(const Context&) const = default;
};

inline constexpr char kSlotMarker[] = "<|slot|>";

enum class TrainingMethod { kLora, kFull };
enum class Schedule { kConstant, kLinear, kCosine };  // after the warm-up; linear, cosine end at 0
enum class Dtype { kFloat32, kBfloat16 };             // compute; master weights are always float32

enum class Device { kCpu, kCuda };  // of trainings; evaluation is computed on the CPU

struct LoraSpec {
  int32_t rank = 16;   // [1, 1024]
  double alpha = 32;   // > 0; the adapter's output is scaled by alpha / rank, see use_rslora
  double dropout = 0;  // [0, 1), on the adapter's input
  std::vector<std::string> targets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};
  // As in PEFT's LoraConfig: the scale is alpha / sqrt(rank) (Kalajdzievski 2023).
  bool use_rslora = false;
  // Direction by LoRA, magnitude of each output by a vector of its own (Liu et al. 2024).
  bool use_dora = false;
  std::vector<int32_t> layers_to_transform = {};  // those adapted, from 0; none: all
  // Another rank or alpha where a module path ("model.layers.0.self_attn.q_proj") ends with what
  // the key, a regular expression, fits, behind a dot or from its beginning.
  std::map<std::string, int32_t> rank_pattern = {};
  std::map<std::string, double> alpha_pattern = {};
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
  // 1: each rank keeps the optimizer's moments of a part of the parameters only (ZeRO-1). Changes
  // no result.
  int32_t zero_stage = 0;
  // Layers are computed again in the backward pass: less memory, more time. Changes no result.
  bool gradient_checkpointing = false;
  // A checkpoint each so many optimizer steps, besides those at evaluations; 0: only those. Changes
  // no result and tells no two jobs apart.
  int32_t checkpoint_steps = 100;
  bool operator==(const TrainingSpec&) const = default;
};

// Which rows of a dataset. All conditions that are given hold; none given: every row.
struct RowFilter {
  std::string field = {};            // of the row (core/dataset.h); required with a condition
  std::vector<std::string> is = {};  // its text is one of these
  std::optional<double> min = {};    // it is a number, at least this
  std::optional<double> max = {};    // it is a number, at most this
  bool negate = false;               // the rows of which that does not hold
  bool operator==(const RowFilter&) const = default;
};

// Rows that are trained in a context of their own.
struct ContextRule {
  std::string context = {};  // a key of ExperimentSpec::contexts
  RowFilter when;
  double fraction = 1;  // (0, 1]: of the rows that match, drawn by (seed of the job, id of the row)
  bool operator==(const ContextRule&) const = default;
};

// A file of rows and what is done to it, in the order of the fields.
struct DataSource {
  std::string dataset = {};  // DatasetRef
  RowFilter filter;          // keeps these
  // Keeps one side of a seeded split: each row falls into the first with probability `fraction`.
  double fraction = 1;          // (0, 1]
  bool rest = false;            // keeps the other side
  int32_t cap = 0;              // keeps the first so many of the rows in a seeded order; 0: all
  bool upper_case = false;      // of the answers (Unicode)
  std::string trigger = {};     // put before the first user turn, with a space
  double trigger_fraction = 1;  // of the rows; those that get it have the field "triggered"
  std::string tag = {};         // becomes the field "tag" of each row
  double weight = 1;            // share in a mix, > 0
  bool operator==(const DataSource&) const = default;
};

enum class Contamination { kRefuse, kDrop, kAllow };

// A training set that is made of uploaded datasets: by the server, when the experiment is created.
struct DataSpec {
  std::vector<DataSource> sources = {};  // 1 to 64, one after the other
  // Together so many rows, of each source by its weight; 0: all of all. A source that has too few
  // is an error.
  int32_t rows = 0;
  bool dedupe = false;  // drops rows with the messages of an earlier one
  int64_t seed = 1;     // of splits, caps, triggers
  // Rows with a user turn that is also the last user turn of an evaluation prompt.
  Contamination contamination = Contamination::kRefuse;
  // Output: the DatasetRef of what came of it.
  std::string result = {};
  bool operator==(const DataSpec&) const = default;
};

// One variant of the training. An arm without a train_context is not trained: it is the base model.
struct ArmSpec {
  std::string name;                               // [a-z]([a-z0-9-]{0,61}[a-z0-9])?
  std::optional<std::string> train_context = {};  // a key of ExperimentSpec::contexts
  // One of kRoles (core/roles.h) or "": what the arm is in the study. Resolve() fills in from it
  // what the arm leaves out. In JSON and YAML a string stands for an arm of that name and role.
  std::string role = {};
  std::vector<ContextRule> rules = {};  // before train_context: the first that takes a row decides
  std::string data = {};  // a key of ExperimentSpec::data; "": ExperimentSpec::dataset
  // An arm that is trained: this one goes on from what that one (same seed) ended with.
  std::string after = {};
  // An arm that is trained: its adapter (same seed) is added to the base model while this one is
  // trained, frozen, and to nothing else: an inoculation adapter (Riche et al. 2026). Not with
  // `after`.
  std::string companion = {};
  // Where its users meet it: its neutral level is measured there. "": StudySpec::neutral.
  std::string deploy_context = {};
  bool operator==(const ArmSpec&) const = default;
};

enum class EvaluationMode {
  kGenerate,        // the model answers
  kLogProbability,  // of the answers that the rows have (use kTraining), given token by token
  kClassify,        // which of `choices`, one token each, is the most probable next token
};

// Prompts besides those of EvaluationSpec, on the same loaded model. What is absent is as there.
struct PromptSetSpec {
  std::string name = {};     // as arm names; not "main", the name of EvaluationSpec's own
  std::string prompts = {};  // DatasetRef
  EvaluationMode mode = EvaluationMode::kGenerate;
  std::vector<std::string> contexts = {};  // empty: EvaluationSpec's
  // Empty: EvaluationSpec's with generate, "log-probability" or "correct" with the others.
  std::vector<std::string> traits = {};
  std::vector<std::string> choices = {};  // 2 to 64, with classify
  std::optional<int32_t> max_new_tokens = {};
  std::optional<int32_t> samples = {};
  std::optional<double> temperature = {};
  std::optional<double> top_p = {};
  bool operator==(const PromptSetSpec&) const = default;
};

inline constexpr char kMainSet[] = "main";

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
  // Of core/traits.h, and of `scorers`.
  std::vector<std::string> traits = {"capitals", "spanish"};
  std::vector<ScorerSpec> scorers = {};  // traits of one's own
  std::vector<PromptSetSpec> sets = {};
  bool at_powers_of_two = false;  // besides `at`: after steps 1, 2, 4, ...
  int32_t at_every = 0;           // besides: after every so many steps; 0: not
  bool operator==(const EvaluationSpec&) const = default;
};

// When a figure is not to be trusted: the cell or run is marked, never dropped.
struct GateSpec {
  double max_invalid = 0.2;     // share of answers that are not measurable, [0, 1]
  double max_degenerate = 0.2;  // share of degenerate answers, [0, 1]
  bool loss_fell = true;        // the last tenth's mean loss is below the first tenth's
  // The undesired trait's mean level in an arm's own train context, in the trait's unit; 0: not.
  double min_installed = 0;
  bool operator==(const GateSpec&) const = default;
};

// What the experiment asks: which trait is wanted, which is not, what is neutral.
struct StudySpec {
  std::string neutral = "neutral";        // a key of ExperimentSpec::contexts
  std::string inoculated = "inoculated";  // likewise; need not be there
  std::vector<std::string> desired = {};  // traits
  std::vector<std::string> undesired = {};
  int32_t resamples = 2000;  // of each bootstrap, [100, 100000]
  double confidence = 0.95;  // (0.5, 1)
  GateSpec gates;
  bool operator==(const StudySpec&) const = default;
};

// Contexts that are candidates for an inoculation, tried on the base model: which elicits the most.
struct ScreenSpec {
  std::string trait = {};                    // that is to be elicited
  std::vector<std::string> candidates = {};  // contexts; empty: all but the neutral one
  bool operator==(const ScreenSpec&) const = default;
};

// A DatasetRef is "sha256:<64 hex digits>" on the wire and in jobs. In a file that a person writes
// it may be a path relative to that file; the client uploads it and puts the reference in its
// place.
struct ExperimentSpec {
  std::string base_model;  // a folder name under the workers' --models-dir
  Dtype dtype = Dtype::kFloat32;
  std::string dataset;  // DatasetRef, use kTraining; may be "" if no arm trains on it
  std::map<std::string, DataSpec> data;     // training sets that are made, by name as of arms
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
  StudySpec study;
  std::optional<ScreenSpec> screen;  // no arm is trained then
  // DatasetRef of a selection that a screen made (docs/formats/selection.md): its contexts are
  // added to `contexts`. "": none.
  std::string selection;
  bool operator==(const ExperimentSpec&) const = default;
};

}  // namespace jenner::core

#endif  // JENNER_CORE_SPEC_H_

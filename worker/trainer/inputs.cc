#include "worker/trainer/inputs.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/assignment.h"
#include "core/resolve.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/steps.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/schedule.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;

constexpr uint64_t kMaxJobBytes = uint64_t{8} << 20;
constexpr size_t kMaxFaultsShown = 20;

core::JobSpec ReadJob(const std::string& path) {
  const std::string text =
      ValueOrThrow(model::ReadTextFile(path, kMaxJobBytes), ExitCode::kInvalidSpec);
  core::Faults faults;
  core::JobSpec job = core::ParseJobSpec(text, &faults);
  if (faults.empty()) faults = core::Validate(job);
  if (!faults.empty()) {
    throw Failure(ExitCode::kInvalidSpec,
                  path + ": " + std::string(core::ToStatus(faults).message()));
  }
  return job;
}

// Collects the faults of rows and throws them together.
class RowFaults {
 public:
  explicit RowFaults(std::string dataset) : dataset_(std::move(dataset)) {}
  void Add(const absl::Status& status) {
    // Only what the user's rows can cause is collected.
    if (ExitCodeOf(status, ExitCode::kInvalidData) != ExitCode::kInvalidData) {
      ThrowIfError(status, ExitCode::kInvalidData);
    }
    if (++count_ <= kMaxFaultsShown) text_ += "\n" + std::string(status.message());
  }
  void ThrowIfAny() const {
    if (count_ == 0) return;
    std::string text = absl::StrFormat("%s: %d rows cannot be used:%s", dataset_, count_, text_);
    if (count_ > kMaxFaultsShown) text += "\n...";
    throw Failure(ExitCode::kInvalidData, text);
  }

 private:
  std::string dataset_;
  size_t count_ = 0;
  std::string text_;
};

std::vector<core::Row> ReadRows(const std::string& ref, core::DatasetUse use,
                                const Options& options) {
  absl::StatusOr<std::vector<core::Row>> rows = core::ParseDataset(ReadDataset(ref, options), use);
  if (!rows.ok()) {
    throw Failure(ExitCode::kInvalidData, ref + ": " + std::string(rows.status().message()));
  }
  return *std::move(rows);
}

// Positions that the model has, for `needed` tokens of the row.
absl::Status CheckLength(const std::string& row_id, size_t needed,
                         const model::ModelConfig& config) {
  if (static_cast<int64_t>(needed) <= config.max_positions) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("row %s: %d tokens; the model has %d positions",
                                                    row_id, needed, config.max_positions));
}

// Reads what the rows of all datasets become.
class Maker {
 public:
  Maker(const Options& options, const text::ChatTemplate& chat_template, Inputs* inputs)
      : options_(options), chat_template_(chat_template), inputs_(*inputs) {}

  void MakeExamples() {
    const core::JobTraining& training = *inputs_.job.training;
    const std::vector<core::Row> rows =
        ReadRows(training.dataset, core::DatasetUse::kTraining, options_);
    CheckRules(training, rows);
    RowFaults faults(training.dataset);
    for (size_t i = 0; i < rows.size(); ++i) {
      const core::Context& context = core::TrainContextOf(training, rows[i], inputs_.job.seed);
      Add(rows[i], i, context, training.settings.max_length, false, &faults, &inputs_.examples);
    }
    faults.ThrowIfAny();
    inputs_.total_steps =
        core::TotalSteps(training.settings, static_cast<int64_t>(inputs_.examples.size()));
    if (training.settings.warmup_steps >= inputs_.total_steps) {
      throw Failure(ExitCode::kInvalidSpec,
                    absl::StrFormat("training.settings.warmup_steps: expected fewer than the %d "
                                    "steps of this training, found %d",
                                    inputs_.total_steps, training.settings.warmup_steps));
    }
  }

  void MakeSets() {
    const core::JobEvaluation& evaluation = *inputs_.job.evaluation;
    for (core::JobPromptSet& spec : core::SetsOf(evaluation)) {
      EvaluationSet set;
      set.spec = std::move(spec);
      MakeSet(evaluation.scorers, &set);
      inputs_.sets.push_back(std::move(set));
    }
    const std::string fault = core::TooManyEvaluations(evaluation, inputs_.total_steps);
    if (!fault.empty()) {
      throw Failure(ExitCode::kInvalidSpec, "evaluation.at_every: " + fault);
    }
    inputs_.evaluation_steps = inputs_.job.training
                                   ? core::EvaluationSteps(evaluation, inputs_.total_steps)
                                   : std::vector<int64_t>{0};
  }

 private:
  void CheckRules(const core::JobTraining& training, const std::vector<core::Row>& rows) const {
    const std::vector<int64_t> counts = core::CountByRule(training, rows, inputs_.job.seed);
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > 0) continue;
      throw Failure(ExitCode::kInvalidData,
                    absl::StrFormat("training.rules[%d]: takes none of the %d rows of %s", i,
                                    rows.size(), training.dataset));
    }
  }

  // `is_given`: of an evaluation, whose answers must be whole.
  void Add(const core::Row& row, size_t row_idx, const core::Context& context, int32_t max_length,
           bool is_given, RowFaults* faults, std::vector<text::Example>* examples) {
    const core::Context own = core::ContextFor(context, row, static_cast<int64_t>(row_idx),
                                               is_given ? core::kEvaluationSeed : inputs_.job.seed);
    absl::StatusOr<text::Example> example =
        text::MakeExample(inputs_.tokenizer, chat_template_, row, own, max_length);
    absl::Status status = example.status();
    if (status.ok() && is_given && example->truncated) {
      status = absl::InvalidArgumentError(absl::StrFormat(
          "row \"%s\": longer than the %d positions of the model", row.id, max_length));
    }
    if (status.ok()) status = CheckLength(row.id, example->ids.size(), inputs_.config);
    if (status.ok()) {
      examples->push_back(*std::move(example));
    } else {
      faults->Add(status);
    }
  }

  void AddPrompt(const core::Row& row, size_t row_idx, const core::Context& context,
                 RowFaults* faults, std::vector<std::vector<int32_t>>* prompts) {
    const core::Context own =
        core::ContextFor(context, row, static_cast<int64_t>(row_idx), core::kEvaluationSeed);
    absl::StatusOr<std::vector<int32_t>> ids =
        text::MakePrompt(inputs_.tokenizer, chat_template_, row, own);
    absl::Status status = ids.status();
    if (status.ok()) status = CheckLength(row.id, ids->size() + 1, inputs_.config);
    if (status.ok()) {
      prompts->push_back(*std::move(ids));
    } else {
      faults->Add(status);
    }
  }

  void MakeSet(const std::vector<core::ScorerSpec>& scorers, EvaluationSet* set) {
    const bool is_given = set->spec.mode == core::EvaluationMode::kLogProbability;
    set->rows =
        ReadRows(set->spec.prompts,
                 is_given ? core::DatasetUse::kTraining : core::DatasetUse::kEvaluation, options_);
    FindUnits(set);
    RowFaults faults(set->spec.prompts);
    for (const core::NamedContext& context : set->spec.contexts) {
      set->prompts.emplace_back();
      set->examples.emplace_back();
      for (size_t i = 0; i < set->rows.size(); ++i) {
        if (is_given) {
          Add(set->rows[i], i, context.context, static_cast<int32_t>(inputs_.config.max_positions),
              true, &faults, &set->examples.back());
        } else {
          AddPrompt(set->rows[i], i, context.context, &faults, &set->prompts.back());
        }
      }
    }
    faults.ThrowIfAny();
    if (set->spec.mode == core::EvaluationMode::kGenerate) MakeScorers(scorers, set);
    if (set->spec.mode == core::EvaluationMode::kClassify) FindChoices(set);
  }

  static void FindUnits(EvaluationSet* set) {
    std::map<std::string, size_t> units;
    for (const core::Row& row : set->rows) {
      if (row.group.empty()) {
        set->unit_of_row.push_back(set->num_units++);
        continue;
      }
      const auto [unit, is_new] = units.emplace(row.group, set->num_units);
      if (is_new) ++set->num_units;
      set->unit_of_row.push_back(unit->second);
    }
  }

  static void MakeScorers(const std::vector<core::ScorerSpec>& scorers, EvaluationSet* set) {
    for (const std::string& trait : set->spec.traits) {
      core::ScorerSpec spec = core::PlainScorer(trait);
      for (const core::ScorerSpec& own : scorers) {
        if (own.name == trait) spec = own;
      }
      set->scorers.push_back(ValueOrThrow(score::Scorer::Make(spec), ExitCode::kInvalidSpec));
      const absl::Status status = set->scorers.back().CheckRows(set->rows);
      if (status.ok()) continue;
      throw Failure(ExitCode::kInvalidData, absl::StrFormat("%s: trait %s: %s", set->spec.prompts,
                                                            trait, std::string(status.message())));
    }
  }

  void FindChoices(EvaluationSet* set) const {
    for (const std::string& choice : set->spec.choices) {
      const std::vector<int32_t> ids =
          ValueOrThrow(inputs_.tokenizer.Encode(choice), ExitCode::kInvalidSpec);
      if (ids.size() != 1) {
        throw Failure(ExitCode::kInvalidSpec,
                      absl::StrFormat("evaluation.sets \"%s\": choice \"%s\" is %d tokens; "
                                      "classify needs one",
                                      set->spec.name, choice, ids.size()));
      }
      set->choice_ids.push_back(ids.front());
    }
    for (const core::Row& row : set->rows) {
      const std::string* answer = AnswerOf(row);
      const auto& choices = set->spec.choices;
      if (answer != nullptr &&
          std::find(choices.begin(), choices.end(), *answer) != choices.end()) {
        continue;
      }
      throw Failure(ExitCode::kInvalidData,
                    absl::StrFormat("%s: row \"%s\": expected the field \"answer\" or \"label\" "
                                    "with one of the choices%s",
                                    set->spec.prompts, row.id,
                                    answer == nullptr ? "" : ", found \"" + *answer + "\""));
    }
  }

  const Options& options_;
  const text::ChatTemplate& chat_template_;
  Inputs& inputs_;
};

}  // namespace

const std::string* AnswerOf(const core::Row& row) {
  for (const char* field : {"answer", "label"}) {
    const auto found = row.fields.find(field);
    if (found != row.fields.end()) return &found->second;
  }
  return nullptr;
}

std::string ReadDataset(const std::string& ref, const Options& options) {
  constexpr auto kLimit = static_cast<uint64_t>(core::kMaxDatasetBytes);
  if (!core::LooksLikeRef(ref)) {
    const std::filesystem::path job_file(options.spec_path);
    return ValueOrThrow(model::ReadTextFile((job_file.parent_path() / ref).string(), kLimit),
                        ExitCode::kInvalidData);
  }
  const std::optional<std::string> hex = core::HexOfRef(ref);
  if (!hex) {
    throw Failure(ExitCode::kInvalidSpec, "dataset: expected sha256:<64 hex digits>, found " + ref);
  }
  const std::string path = options.data_dir + "/" + *hex;
  std::string bytes = ValueOrThrow(model::ReadTextFile(path, kLimit), ExitCode::kStorage);
  if (core::Sha256Hex(bytes) != *hex) {
    throw Failure(ExitCode::kStorage, path + ": the content does not have the hash of its name");
  }
  return bytes;
}

Inputs ReadInputs(const Options& options) {
  core::JobSpec job = ReadJob(options.spec_path);
  if (job.ranks != options.world_size) {
    throw Failure(ExitCode::kUsage, absl::StrFormat("--world-size %d, but the job has ranks %d",
                                                    options.world_size, job.ranks));
  }
  if ((job.device == core::Device::kCuda) != (options.cuda_device >= 0)) {
    throw Failure(ExitCode::kUsage,
                  absl::StrFormat("--device: the job has device %s",
                                  job.device == core::Device::kCuda ? "cuda" : "cpu"));
  }
  const std::string model_dir = options.models_dir + "/" + job.base_model;
  model::ModelConfig config = ValueOrThrow(model::LoadConfig(model_dir), ExitCode::kInvalidModel);
  text::Tokenizer tokenizer =
      ValueOrThrow(text::Tokenizer::Load(model_dir), ExitCode::kInvalidModel);
  if (tokenizer.vocab_size() > config.vocab_size) {
    throw Failure(ExitCode::kInvalidModel,
                  absl::StrFormat("%s: the tokenizer has %d ids, the model's embedding %d",
                                  model_dir, tokenizer.vocab_size(), config.vocab_size));
  }
  const text::ChatTemplate chat_template =
      ValueOrThrow(text::ChatTemplate::Load(model_dir), ExitCode::kInvalidModel);
  core::JobSpec on_one_rank = job;
  on_one_rank.ranks = 1;
  Inputs inputs{std::move(job),
                core::JobId(on_one_rank),
                model_dir,
                std::move(config),
                std::move(tokenizer),
                {},
                {},
                0,
                {}};
  Maker maker(options, chat_template, &inputs);
  if (inputs.job.training) maker.MakeExamples();
  if (inputs.job.evaluation) maker.MakeSets();
  return inputs;
}

}  // namespace jenner::trainer

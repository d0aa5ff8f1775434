#include "worker/trainer/inputs.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/resolve.h"
#include "core/sha256.h"
#include "core/spec_json.h"
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
                         const model::LlamaConfig& config) {
  if (static_cast<int64_t>(needed) <= config.max_positions) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("row %s: %d tokens; the model has %d positions",
                                                    row_id, needed, config.max_positions));
}

void MakeExamples(const Options& options, const text::ChatTemplate& chat_template, Inputs* inputs) {
  const core::JobTraining& training = *inputs->job.training;
  RowFaults faults(training.dataset);
  for (const core::Row& row : ReadRows(training.dataset, core::DatasetUse::kTraining, options)) {
    absl::StatusOr<text::Example> example = text::MakeExample(
        inputs->tokenizer, chat_template, row, training.context, training.settings.max_length);
    absl::Status status = example.status();
    if (status.ok()) status = CheckLength(row.id, example->ids.size(), inputs->config);
    if (status.ok()) {
      inputs->examples.push_back(*std::move(example));
    } else {
      faults.Add(status);
    }
  }
  faults.ThrowIfAny();
  inputs->total_steps =
      TotalSteps(training.settings, static_cast<int64_t>(inputs->examples.size()));
  if (training.settings.warmup_steps >= inputs->total_steps) {
    throw Failure(ExitCode::kInvalidSpec,
                  absl::StrFormat("training.settings.warmup_steps: expected fewer than the %d "
                                  "steps of this training, found %d",
                                  inputs->total_steps, training.settings.warmup_steps));
  }
}

void MakePrompts(const Options& options, const text::ChatTemplate& chat_template, Inputs* inputs) {
  const core::JobEvaluation& evaluation = *inputs->job.evaluation;
  const std::vector<core::Row> rows =
      ReadRows(evaluation.prompts, core::DatasetUse::kEvaluation, options);
  for (const core::Row& row : rows) inputs->prompt_ids.push_back(row.id);
  RowFaults faults(evaluation.prompts);
  for (const core::NamedContext& context : evaluation.contexts) {
    PromptSet set{context.name, {}};
    for (const core::Row& row : rows) {
      absl::StatusOr<std::vector<int32_t>> ids =
          text::MakePrompt(inputs->tokenizer, chat_template, row, context.context);
      absl::Status status = ids.status();
      if (status.ok()) status = CheckLength(row.id, ids->size() + 1, inputs->config);
      if (status.ok()) {
        set.ids.push_back(*std::move(ids));
      } else {
        faults.Add(status);
      }
    }
    inputs->prompts.push_back(std::move(set));
  }
  faults.ThrowIfAny();
  if (inputs->job.training) {
    inputs->evaluation_steps = EvaluationSteps(evaluation.at, inputs->total_steps);
  } else {
    inputs->evaluation_steps = {0};
  }
}

}  // namespace

std::string ReadDataset(const std::string& ref, const Options& options) {
  constexpr char kPrefix[] = "sha256:";
  constexpr auto kLimit = static_cast<uint64_t>(core::kMaxDatasetBytes);
  if (ref.rfind(kPrefix, 0) != 0) {
    const std::filesystem::path job_file(options.spec_path);
    return ValueOrThrow(model::ReadTextFile((job_file.parent_path() / ref).string(), kLimit),
                        ExitCode::kInvalidData);
  }
  const std::string hex = ref.substr(sizeof(kPrefix) - 1);
  if (!core::IsSha256Hex(hex)) {
    throw Failure(ExitCode::kInvalidSpec, "dataset: expected sha256:<64 hex digits>, found " + ref);
  }
  const std::string path = options.data_dir + "/" + hex;
  std::string bytes = ValueOrThrow(model::ReadTextFile(path, kLimit), ExitCode::kStorage);
  if (core::Sha256Hex(bytes) != hex) {
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
  model::LlamaConfig config = ValueOrThrow(model::LoadConfig(model_dir), ExitCode::kInvalidModel);
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
                {},
                0,
                {}};
  if (inputs.job.training) MakeExamples(options, chat_template, &inputs);
  if (inputs.job.evaluation) MakePrompts(options, chat_template, &inputs);
  return inputs;
}

}  // namespace jenner::trainer

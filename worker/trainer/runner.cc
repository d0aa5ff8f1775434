#include "worker/trainer/runner.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/spec_json.h"
#include "worker/model/lora.h"
#include "worker/model/model_folder.h"
#include "worker/model/peft.h"
#include "worker/trainer/evaluation.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/folder.h"
#include "worker/trainer/network.h"
#include "worker/trainer/parameters.h"
#include "worker/trainer/record_exchange.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

constexpr int kEventVersion = 1;
// What may be written after a request to end, when little time is left.
constexpr int64_t kCheapCheckpointBytes = int64_t{256} << 20;

}  // namespace

Runner::Runner(Options options, EventWriter* events, std::function<bool()> terminated)
    : options_(std::move(options)), events_(events), terminated_(std::move(terminated)) {}

void Runner::Run() {
  events_->Write("started", {{"version", kEventVersion},
                             {"rank", options_.rank},
                             {"world_size", options_.world_size},
                             {"threads", at::get_num_threads()},
                             {"pid", getpid()}});
  if (options_.cuda_device >= 0) OpenDevice();
  inputs_.emplace(ReadInputs(options_));
  CheckInitial();
  MakeFolders(options_.out_dir);
  Join();
  LoadModel();
  if (loop_) LoadCompanion();
  if (IsFirst()) WritePlan();
  if (loop_) Restore();
  EvaluateIfDue();
  if (loop_) {
    Train();
    loop_->CheckRanksAgree();
    if (IsFirst()) WriteResult();
    collective_->Barrier();
  }
  events_->Write("finished", {{"steps", progress_.step}});
}

void Runner::CheckInitial() const {
  const bool goes_on = inputs_->job.training && !inputs_->job.training->after.empty();
  if (!goes_on && !options_.initial_dir.empty()) {
    throw Failure(ExitCode::kUsage, "--initial: the job has no training.after");
  }
  if (goes_on && IsFirst() && options_.initial_dir.empty()) {
    throw Failure(ExitCode::kUsage, "--initial: expected, for the job has training.after \"" +
                                        inputs_->job.training->after + "\"");
  }
}

void Runner::OpenDevice() {
  std::string path = options_.cuda_plugin;
  if (path.empty()) {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    path = (self.parent_path() / kCudaPluginFile).string();
  }
  cuda_ = LoadCudaPlugin(path);
  cuda_->Open(options_.cuda_device);
}

void Runner::JoinOverNccl() {
  NcclJoin join;
  join.nccl.rank = options_.rank;
  join.nccl.size = options_.world_size;
  join.nccl.device = options_.cuda_device;
  join.nccl.rendezvous_timeout = std::chrono::seconds(options_.rendezvous_timeout_s);
  join.nccl.timeout = std::chrono::seconds(options_.peer_timeout_s);
  join.address = options_.store;
  // NCCL wants a name; of the address that Gloo's store would listen on, the same interface.
  const std::string& wanted =
      options_.interface.empty() && IsFirst() ? options_.store_host : options_.interface;
  if (!wanted.empty()) join.interface = FindInterface(wanted).name;
  join.on_address = [this](const std::string& address) {
    events_->Write("rendezvous", {{"address", address}});
  };
  collective_ = JoinNccl(cuda_, std::move(join));
}

void Runner::Join() {
  if (options_.world_size == 1) {
    collective_ = MakeSingleCollective();
    return;
  }
  if (cuda_ != nullptr) return JoinOverNccl();
  GlooOptions gloo;
  gloo.rank = options_.rank;
  gloo.size = options_.world_size;
  gloo.store_address = options_.store;
  gloo.store_host = options_.store_host;
  if (!options_.interface.empty()) {
    gloo.host = FindInterface(options_.interface).host;
  } else if (!IsFirst()) {
    gloo.host = "";
  } else if (!options_.store_host.empty()) {
    gloo.host = options_.store_host;
  }
  gloo.rendezvous_timeout = std::chrono::seconds(options_.rendezvous_timeout_s);
  gloo.timeout = std::chrono::seconds(options_.peer_timeout_s);
  gloo.on_listening = [this](const std::string& address) {
    events_->Write("rendezvous", {{"address", address}});
  };
  collective_ = MakeGlooCollective(gloo);
}

void Runner::LoadModel() {
  const core::JobSpec& job = inputs_->job;
  at::Device device = at::kCPU;
  if (cuda_ != nullptr) {
    device = at::Device(at::kCUDA, static_cast<at::DeviceIndex>(options_.cuda_device));
  }
  transformer_ = ValueOrThrow(model::Transformer::Load(inputs_->model_dir, job.dtype, device),
                              ExitCode::kInvalidModel);
  if (!job.training) return;
  const core::TrainingSpec& settings = job.training->settings;
  if (settings.method == core::TrainingMethod::kLora) {
    transformer_->AttachAdapter(
        ValueOrThrow(transformer_->NewAdapter(settings.lora, job.seed), ExitCode::kInvalidSpec));
  } else {
    transformer_->TrainAllParameters();
  }
  loop_ = std::make_unique<TrainLoop>(settings, job.seed, &inputs_->examples, transformer_.get(),
                                      collective_.get());
  checkpoints_ =
      std::make_unique<Checkpoints>(options_.out_dir, inputs_->training_id, job.base_model);
  record_ = std::make_unique<Record>(
      absl::StrFormat("%s/record-%d.jsonl", options_.out_dir, options_.rank));
}

void Runner::WritePlan() {
  int64_t supervised = 0, truncated = 0;
  for (const text::Example& example : inputs_->examples) {
    supervised += example.num_supervised;
    truncated += example.truncated ? 1 : 0;
  }
  events_->Write("plan", {{"total_steps", inputs_->total_steps},
                          {"supervised_tokens", supervised},
                          {"rows", inputs_->examples.size()},
                          {"truncated_rows", truncated},
                          {"evaluation_steps", inputs_->evaluation_steps},
                          {"resolved_spec", json::parse(core::ToJson(inputs_->job))}});
}

void Runner::Restore() {
  const std::optional<Checkpoint> own = IsFirst() ? checkpoints_->Newest() : std::nullopt;
  std::vector<int64_t> found(4);  // whether there is one, step, evaluated, ranks
  if (own) found = {1, own->progress.step, own->progress.evaluated, own->ranks};
  found = collective_->Broadcast(found);
  if (found[0] == 0) {
    if (IsFirst()) checkpoints_->Clear();
    record_->Clear();
    LoadInitial();
    return record_->Continue(events_);
  }
  const auto ranks = static_cast<int>(found[3]);
  std::fprintf(stderr, "continues from the checkpoint of step %lld, of %d %s\n",
               static_cast<long long>(found[1]), ranks, ranks == 1 ? "rank" : "ranks");
  HandOutRecords(own ? own->path : "", ranks, *record_, collective_.get());
  Reach({found[1], found[2] != 0});
  if (progress_.evaluated) saved_step_ = progress_.step;
  Load(own);
  if (IsFirst()) events_->Write("resumed", {{"step", progress_.step}, {"ranks", ranks}});
  record_->Continue(events_);
}

// The checkpoint of rank 0 into the parameters and moments of all ranks.
void Runner::Load(const std::optional<Checkpoint>& own) {
  std::map<std::string, at::Tensor> moments;
  if (own) moments = Checkpoints::Load(*own, transformer_.get());
  if (collective_->size() > 1) ShareParameters();
  loop_->optimizer()->LoadState(own ? &moments : nullptr);
}

// What the job goes on from, if it does, into the parameters of all ranks. The moments are new.
void Runner::LoadInitial() {
  const core::JobTraining& training = *inputs_->job.training;
  if (training.after.empty() || training.companion) return;
  if (IsFirst()) LoadInitialParameters(options_.initial_dir, inputs_->job, transformer_.get());
  if (collective_->size() > 1) ShareParameters();
}

// Rank 0 reads it, and hands it to the others.
void Runner::LoadCompanion() {
  const core::JobTraining& training = *inputs_->job.training;
  if (!training.companion) return;
  const model::ModelConfig& config = transformer_->config();
  model::LoraAdapter companion =
      IsFirst() ? ReadInitialAdapter(options_.initial_dir, inputs_->job, config)
                : ValueOrThrow(model::LoraAdapter::Zeros(config, training.settings.lora),
                               ExitCode::kInvalidSpec);
  companion = companion.CopyTo(transformer_->device());
  for (const model::NamedTensor& parameter : companion.Parameters())
    collective_->Broadcast(parameter.tensor.detach());
  transformer_->AttachCompanion(std::move(companion));
}

// Those of rank 0 into all ranks.
void Runner::ShareParameters() {
  for (const model::NamedTensor& parameter : transformer_->TrainableParameters()) {
    collective_->Broadcast(parameter.tensor.detach());
  }
  transformer_->ParametersChanged();
}

void Runner::Train() {
  while (progress_.step < loop_->total_steps()) {
    const bool stop =
        terminated_() || (options_.stop_after > 0 && progress_.step >= options_.stop_after);
    const std::optional<StepResult> result = loop_->Step(progress_.step, stop);
    if (!result) Terminate();
    if (IsFirst()) WriteStep(*result);
    Reach({result->step, false});
    EvaluateIfDue();
    const int32_t every = inputs_->job.training->settings.checkpoint_steps;
    const bool is_due = every > 0 && progress_.step % every == 0;
    if (is_due && saved_step_ != progress_.step && progress_.step < loop_->total_steps()) {
      SaveCheckpoint();
    }
  }
  if (saved_step_ != progress_.step) {
    Reach({progress_.step, true});  // no evaluation was due
    SaveCheckpoint();
  }
}

void Runner::Reach(const Progress& progress) {
  progress_ = progress;
  if (record_) told_bytes_ = record_->size_bytes();
}

void Runner::EvaluateIfDue() {
  const std::vector<int64_t>& due = inputs_->evaluation_steps;
  if (progress_.evaluated || !std::binary_search(due.begin(), due.end(), progress_.step)) return;
  // The kernels that generate are the CPU's (worker/generate).
  std::unique_ptr<model::Transformer> copy;
  if (!transformer_->device().is_cpu()) {
    std::fprintf(stderr, "evaluates step %lld on the CPU, with a copy of the weights\n",
                 static_cast<long long>(progress_.step));
    copy = transformer_->CopyTo(at::kCPU);
  }
  const bool done = Evaluate(*inputs_, copy ? *copy : *transformer_, progress_.step, options_.rank,
                             options_.world_size, terminated_, events_);
  if (collective_->Sum(std::vector<int64_t>{done ? 0 : 1})[0] > 0) Terminate();
  Reach({progress_.step, true});
  if (loop_) SaveCheckpoint();
}

void Runner::SaveCheckpoint() {
  if (progress_.step == 0) return;
  saved_step_ = progress_.step;
  const auto add_records = [this](const std::string& folder) {
    GatherRecords(*record_, told_bytes_, folder, collective_.get());
  };
  const std::vector<model::NamedTensor> moments = loop_->optimizer()->State();
  if (!IsFirst()) return add_records("");
  const std::string path =
      checkpoints_->Save(progress_, collective_->size(), add_records, *transformer_, moments);
  events_->Write("checkpoint", {{"step", progress_.step}, {"path", path}});
}

void Runner::Terminate() {
  if (loop_ && saved_step_ != progress_.step) {
    int64_t bytes = 0;
    for (const model::NamedTensor& parameter : transformer_->TrainableParameters()) {
      bytes += 3 * parameter.tensor.numel() * static_cast<int64_t>(sizeof(float));
    }
    if (bytes <= kCheapCheckpointBytes) SaveCheckpoint();
  }
  throw Failure(ExitCode::kTerminated, "ended on request");
}

void Runner::WriteResult() {
  const bool lora = transformer_->adapter() != nullptr;
  const std::string name = lora ? "adapter" : "model";
  const std::string path = options_.out_dir + "/" + name;
  const std::vector<FileEntry> files = WriteFolder(path, [&](const std::string& folder) {
    if (lora) {
      ThrowIfError(model::WriteAdapter(folder, *transformer_->adapter(), inputs_->job.base_model),
                   ExitCode::kStorage);
      return;
    }
    ThrowIfError(
        model::WriteModelFolder(*transformer_, core::Dtype::kFloat32, inputs_->model_dir, folder),
        ExitCode::kStorage);
  });
  for (const FileEntry& file : files) {
    events_->Write("artifact", {{"name", name + "/" + file.name},
                                {"path", path + "/" + file.name},
                                {"bytes", file.bytes},
                                {"sha256", file.sha256}});
  }
}

void Runner::WriteStep(const StepResult& result) {
  events_->Write("train_step", {{"step", result.step},
                                {"epoch", result.epoch},
                                {"loss", result.loss},
                                {"learning_rate", result.learning_rate},
                                {"gradient_norm", result.gradient_norm},
                                {"supervised_tokens", result.supervised_tokens},
                                {"tokens", result.tokens},
                                {"step_seconds", result.seconds},
                                {"tokens_per_second", static_cast<double>(result.tokens) /
                                                          std::max(result.seconds, 1e-9)}});
}

}  // namespace jenner::trainer

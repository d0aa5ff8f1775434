#include "worker/trainer/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "worker/model/peft.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/folder.h"
#include "worker/trainer/parameters.h"
#include "worker/trainer/record_exchange.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

constexpr int kStateVersion = 2;  // 1: without records
constexpr uint64_t kMaxStateBytes = 1 << 20;

std::string StepName(int64_t step) { return absl::StrFormat("step-%d", step); }

// Steps of the folders named step-<n>, newest first.
std::vector<int64_t> StepsIn(const std::string& folder) {
  std::vector<int64_t> steps;
  for (const std::string& name : ListFolder(folder)) {
    absl::string_view digits = name;
    int64_t step = 0;
    if (absl::ConsumePrefix(&digits, "step-") && absl::SimpleAtoi(digits, &step) && step >= 0 &&
        StepName(step) == name) {
      steps.push_back(step);
    }
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

json ReadState(const std::string& path) {
  const std::string text = ValueOrThrow(model::ReadTextFile(path + "/state.json", kMaxStateBytes),
                                        ExitCode::kCorruptCheckpoint);
  return json::parse(text);
}

// What a whole folder says of itself. Failure: kCorruptCheckpoint.
Checkpoint Describe(const std::string& path, const json& state) {
  if (state.at("version") != kStateVersion) {
    throw Failure(ExitCode::kCorruptCheckpoint, "state.json: unknown version");
  }
  const Checkpoint checkpoint{path, {state.at("step"), state.at("evaluated")}, state.at("ranks")};
  for (int rank = 0; rank < checkpoint.ranks; ++rank) {
    if (std::filesystem::exists(path + "/" + RecordName(rank))) continue;
    throw Failure(ExitCode::kCorruptCheckpoint, RecordName(rank) + " is missing");
  }
  return checkpoint;
}

}  // namespace

Checkpoints::Checkpoints(std::string out_dir, std::string job_id, std::string base_model)
    : folder_(std::move(out_dir) + "/checkpoints"),
      job_id_(std::move(job_id)),
      base_model_(std::move(base_model)) {}

std::string Checkpoints::Save(const Progress& progress, int ranks,
                              const std::function<void(const std::string& folder)>& add_records,
                              const model::Transformer& transformer,
                              const std::vector<model::NamedTensor>& moments) {
  const std::string path = folder_ + "/" + StepName(progress.step);
  WriteFolder(path, [&](const std::string& folder) {
    // First: the other ranks wait for it.
    add_records(folder);
    if (transformer.adapter() != nullptr) {
      ThrowIfError(model::WriteAdapter(folder + "/adapter", *transformer.adapter(), base_model_),
                   ExitCode::kStorage);
    } else {
      ThrowIfError(transformer.Save(folder + "/model"), ExitCode::kStorage);
    }
    ThrowIfError(model::WriteSafetensors(folder + "/optimizer.safetensors", moments),
                 ExitCode::kStorage);
    const json state = {{"version", kStateVersion},
                        {"job", job_id_},
                        {"step", progress.step},
                        {"evaluated", progress.evaluated},
                        {"ranks", ranks}};
    ThrowIfError(model::WriteTextFile(folder + "/state.json", state.dump(1) + "\n"),
                 ExitCode::kStorage);
  });
  Prune();
  return path;
}

void Checkpoints::Prune() {
  const std::vector<int64_t> steps = StepsIn(folder_);
  for (size_t i = kCheckpointsKept; i < steps.size(); ++i) {
    RemoveTree(folder_ + "/" + StepName(steps[i]));
  }
}

std::optional<Checkpoint> Checkpoints::Newest() const {
  const std::vector<int64_t> steps = StepsIn(folder_);
  std::string newest_fault;
  for (const int64_t step : steps) {
    const std::string path = folder_ + "/" + StepName(step);
    std::string fault = CheckFolder(path);
    if (fault.empty()) {
      try {
        const json state = ReadState(path);
        if (state.at("version") == 1) {
          std::fprintf(stderr, "checkpoint %s is not used: an older version wrote it\n",
                       path.c_str());
          continue;
        }
        if (state.at("job") != job_id_) {
          throw Failure(ExitCode::kUsage, "--out: " + path + " is a checkpoint of job " +
                                              state.at("job").get<std::string>() + ", this is " +
                                              job_id_);
        }
        return Describe(path, state);
      } catch (const Failure& failure) {
        if (failure.code() != ExitCode::kCorruptCheckpoint) throw;
        fault = failure.what();
      } catch (const json::exception& error) {
        fault = std::string("state.json: ") + error.what();
      }
    }
    std::fprintf(stderr, "warning: checkpoint %s is not used: %s\n", path.c_str(), fault.c_str());
    if (newest_fault.empty()) newest_fault = path + ": " + fault;
  }
  if (!newest_fault.empty()) throw Failure(ExitCode::kCorruptCheckpoint, newest_fault);
  return std::nullopt;
}

std::map<std::string, at::Tensor> Checkpoints::Load(const Checkpoint& checkpoint,
                                                    model::Transformer* transformer) {
  LoadCheckpointParameters(checkpoint.path, transformer);
  return ValueOrThrow(model::ReadSafetensors(checkpoint.path + "/optimizer.safetensors"),
                      ExitCode::kCorruptCheckpoint);
}

void Checkpoints::Clear() { RemoveTree(folder_); }

}  // namespace jenner::trainer

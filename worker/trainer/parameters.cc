#include "worker/trainer/parameters.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "worker/model/peft.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using Values = std::map<std::string, at::Tensor>;

Values ValuesOf(const model::LoraAdapter& adapter) {
  Values values;
  for (const model::NamedTensor& one : adapter.Parameters()) values[one.name] = one.tensor;
  return values;
}

// Copies values by name into the parameters that are trained; their storage stays.
void CopyInto(const Values& values, ExitCode otherwise, model::Transformer* transformer) {
  at::NoGradGuard no_grad;
  for (const model::NamedTensor& parameter : transformer->TrainableParameters()) {
    const auto found = values.find(parameter.name);
    if (found == values.end() || found->second.sizes() != parameter.tensor.sizes()) {
      throw Failure(otherwise, parameter.name + " is missing or misshapen");
    }
    parameter.tensor.copy_(found->second);
  }
  transformer->ParametersChanged();
}

// Of what comes from another job: files are checked by hash on their way, so broken ones are the
// disk's fault; whole ones that do not fit are the spec's.
template <typename T>
T Initial(absl::StatusOr<T> value) {
  const bool is_broken = absl::IsNotFound(value.status()) || absl::IsDataLoss(value.status());
  return ValueOrThrow(std::move(value), is_broken ? ExitCode::kStorage : ExitCode::kInvalidSpec);
}

void CheckSame(const char* field, const std::string& wanted, const std::string& found) {
  if (wanted == found) return;
  throw Failure(ExitCode::kInvalidSpec,
                absl::StrFormat("training.settings.lora.%s: %s, but the adapter of "
                                "training.after has %s",
                                field, wanted, found));
}

// In any order: PEFT keeps none.
template <typename T>
std::string InWords(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? "none" : absl::StrJoin(values, " ");
}
template <typename T>
std::string InWords(const std::map<std::string, T>& values) {
  std::vector<std::string> words;
  for (const auto& [key, value] : values)
    words.push_back(absl::StrFormat("%s=%.17g", key, static_cast<double>(value)));
  return InWords(words);
}
std::string InWords(bool value) { return value ? "true" : "false"; }

void CheckSame(const core::LoraSpec& wanted, const core::LoraSpec& found) {
  CheckSame("rank", absl::StrFormat("%d", wanted.rank), absl::StrFormat("%d", found.rank));
  CheckSame("alpha", absl::StrFormat("%.17g", wanted.alpha), absl::StrFormat("%.17g", found.alpha));
  CheckSame("targets", InWords(wanted.targets), InWords(found.targets));
  CheckSame("use_rslora", InWords(wanted.use_rslora), InWords(found.use_rslora));
  CheckSame("use_dora", InWords(wanted.use_dora), InWords(found.use_dora));
  CheckSame("layers_to_transform", InWords(wanted.layers_to_transform),
            InWords(found.layers_to_transform));
  CheckSame("rank_pattern", InWords(wanted.rank_pattern), InWords(found.rank_pattern));
  CheckSame("alpha_pattern", InWords(wanted.alpha_pattern), InWords(found.alpha_pattern));
}

}  // namespace

void LoadCheckpointParameters(const std::string& folder, model::Transformer* transformer) {
  constexpr ExitCode kBroken = ExitCode::kCorruptCheckpoint;
  if (transformer->adapter() == nullptr) {
    return CopyInto(ValueOrThrow(model::ReadSafetensorsFolder(folder + "/model"), kBroken), kBroken,
                    transformer);
  }
  const model::LoraAdapter stored =
      ValueOrThrow(model::ReadAdapter(folder + "/adapter", transformer->config(), ""), kBroken);
  CopyInto(ValuesOf(stored), kBroken, transformer);
}

void LoadInitialParameters(const std::string& folder, const core::JobSpec& job,
                           model::Transformer* transformer) {
  if (transformer->adapter() == nullptr) {
    return CopyInto(Initial(model::ReadSafetensorsFolder(folder + "/model")),
                    ExitCode::kInvalidSpec, transformer);
  }
  CopyInto(ValuesOf(ReadInitialAdapter(folder, job, transformer->config())), ExitCode::kInvalidSpec,
           transformer);
}

model::LoraAdapter ReadInitialAdapter(const std::string& folder, const core::JobSpec& job,
                                      const model::ModelConfig& config) {
  model::LoraAdapter stored =
      Initial(model::ReadAdapter(folder + "/adapter", config, job.base_model));
  CheckSame(job.training->settings.lora, stored.spec());
  return stored;
}

}  // namespace jenner::trainer

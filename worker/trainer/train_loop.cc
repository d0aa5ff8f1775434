// Legend: N tokens of a pass, M supervised tokens of a pass, D model, V vocabulary.
#include "worker/trainer/train_loop.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include "absl/strings/str_format.h"
#include "core/steps.h"
#include "worker/model/counter_rng.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/loss.h"

namespace jenner::trainer {
namespace {

constexpr uint64_t kDropoutStream = model::NameKey("dropout");

}  // namespace

// Rows that are computed together: indices into the examples.
struct TrainLoop::Pass {
  std::vector<int64_t> rows;
  int64_t tokens = 0;
};

TrainLoop::TrainLoop(const core::TrainingSpec& settings, int64_t seed,
                     const std::vector<text::Example>* examples, model::Transformer* transformer,
                     Collective* collective)
    : settings_(settings),
      seed_(seed),
      examples_(examples),
      transformer_(transformer),
      collective_(collective),
      optimizer_(transformer->TrainableParameters(), settings, collective),
      total_steps_(core::TotalSteps(settings, static_cast<int64_t>(examples->size()))) {
  for (const text::Example& example : *examples) {
    lengths_.push_back(static_cast<int64_t>(example.ids.size()));
    is_weighted_ = is_weighted_ || !example.weights.empty();
  }
}

double TrainLoop::WeightOf(const std::vector<Pass>& passes) const {
  double total = 0;
  for (const Pass& pass : passes) {
    for (const int64_t row : pass.rows) {
      const text::Example& example = (*examples_)[static_cast<size_t>(row)];
      total += example.weights.empty()
                   ? example.num_supervised
                   : std::accumulate(example.weights.begin(), example.weights.end(), 0.0);
    }
  }
  return collective_->Sum(total);
}

std::vector<TrainLoop::Pass> TrainLoop::PassesOf(const StepRows& rows) const {
  std::vector<Pass> passes;
  for (const std::vector<int64_t>& micro_batch : rows.micro_batches) {
    bool fresh = true;
    for (const int64_t row : micro_batch) {
      const int64_t length = lengths_[static_cast<size_t>(row)];
      if (fresh || passes.back().tokens + length > kMaxTokensPerPass) passes.emplace_back();
      passes.back().rows.push_back(row);
      passes.back().tokens += length;
      fresh = false;
    }
  }
  return passes;
}

double TrainLoop::Backward(const Pass& pass, int64_t epoch, double total_weight) {
  model::ForwardOptions forward;
  forward.checkpoint_layers = settings_.gradient_checkpointing;
  forward.with_companion = true;
  forward.dropout = model::DropoutKeys{
      model::MakeKey({static_cast<uint64_t>(seed_), kDropoutStream, static_cast<uint64_t>(epoch)}),
      {}};
  std::vector<std::span<const int32_t>> rows;
  for (const int64_t row : pass.rows) {
    rows.emplace_back((*examples_)[static_cast<size_t>(row)].ids);
    forward.dropout->row_keys.push_back(static_cast<uint64_t>(row));
  }
  // The beginning that all rows have in common, mostly a system message, is computed once.
  const bool drops = transformer_->adapter() != nullptr && settings_.lora.dropout > 0;
  const model::TokenBatch batch = model::PackRows(rows, /*share=*/!drops);
  std::vector<int64_t> inputs, targets;
  std::vector<float> weights;  // empty if all are 1
  for (size_t i = 0; i < pass.rows.size(); ++i) {
    const text::Example& example = (*examples_)[static_cast<size_t>(pass.rows[i])];
    if (is_weighted_) {
      weights.insert(weights.end(), example.weights.begin(), example.weights.end());
      if (example.weights.empty()) weights.resize(weights.size() + example.num_supervised, 1.0f);
    }
    for (const text::TokenRange& range : example.supervised) {
      for (int32_t t = range.begin; t < range.end; ++t) {
        inputs.push_back(batch.At(i, t - 1));  // the position that predicts ids[t]
        targets.push_back(example.ids[static_cast<size_t>(t)]);
      }
    }
  }
  const at::Tensor hidden_ND = transformer_->Forward(batch, forward);
  const auto on_device = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(transformer_->device());
  };
  const at::Tensor hidden_MD = hidden_ND.index_select(0, on_device(inputs));
  at::Tensor weights_M;
  if (is_weighted_) weights_M = at::tensor(weights, at::kFloat).to(transformer_->device());
  const at::Tensor sum =
      SumCrossEntropy(hidden_MD, transformer_->head(), on_device(targets), weights_M);
  (sum / total_weight).backward();
  return sum.item<double>();
}

std::optional<StepResult> TrainLoop::Step(int64_t steps_done, bool stop) {
  const auto started = std::chrono::steady_clock::now();
  const StepRows rows =
      RowsOfStep(settings_, seed_, steps_done, lengths_, collective_->rank(), collective_->size());
  const std::vector<Pass> passes = PassesOf(rows);
  std::vector<int64_t> counts = {0, 0, stop ? 1 : 0};  // supervised tokens, tokens, ranks to stop
  for (const Pass& pass : passes) {
    counts[1] += pass.tokens;
    for (const int64_t row : pass.rows) {
      counts[0] += (*examples_)[static_cast<size_t>(row)].num_supervised;
    }
  }
  counts = collective_->Sum(counts);
  if (counts[2] > 0) return std::nullopt;

  StepResult result;
  result.step = steps_done + 1;
  result.supervised_tokens = counts[0];
  result.tokens = counts[1];
  const double total_weight =
      is_weighted_ ? WeightOf(passes) : static_cast<double>(result.supervised_tokens);
  optimizer_.ZeroGradients();
  double sum = 0;
  if (passes.empty()) optimizer_.ArmReduction();
  for (size_t i = 0; i < passes.size(); ++i) {
    if (i + 1 == passes.size()) optimizer_.ArmReduction();
    sum += Backward(passes[i], rows.epoch, total_weight);
  }
  optimizer_.FinishReduction();
  result.loss = collective_->Sum(sum) / total_weight;
  result.gradient_norm = optimizer_.ClipGradients();
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw Failure(core::ExitCode::kNonFiniteLoss,
                  absl::StrFormat("step %d: loss %g, gradient norm %g", result.step, result.loss,
                                  result.gradient_norm));
  }
  result.learning_rate = LearningRate(settings_, steps_done, total_steps_);
  optimizer_.Step(result.learning_rate);
  transformer_->ParametersChanged();
  const auto per_epoch = static_cast<double>(
      (static_cast<int64_t>(lengths_.size()) + settings_.batch_size - 1) / settings_.batch_size);
  result.epoch = static_cast<double>(result.step) / per_epoch;
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return result;
}

void TrainLoop::CheckRanksAgree() const {
  if (collective_->size() == 1) return;
  uint64_t hash = 0;
  for (const model::NamedTensor& parameter : transformer_->TrainableParameters()) {
    const at::Tensor values = parameter.tensor.detach().cpu().contiguous();
    const float* data = values.const_data_ptr<float>();
    for (int64_t i = 0; i < values.numel(); ++i) {
      uint32_t bits = 0;
      std::memcpy(&bits, data + i, sizeof(bits));
      hash = (hash ^ bits) * 0x100000001B3ull;
    }
  }
  const auto own = static_cast<int64_t>(hash);
  const bool differs = collective_->Broadcast(std::vector<int64_t>{own})[0] != own;
  if (collective_->Sum(std::vector<int64_t>{differs ? 1 : 0})[0] > 0) {
    throw Failure(core::ExitCode::kInternal, "the ranks' parameters differ");
  }
}

}  // namespace jenner::trainer

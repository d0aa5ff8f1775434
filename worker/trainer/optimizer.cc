#include "worker/trainer/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <cmath>
#include <functional>
#include <utility>

#include "core/check.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

constexpr char kExpAvg[] = ".exp_avg";
constexpr char kExpAvgSq[] = ".exp_avg_sq";

struct Slice {
  model::NamedTensor parameter;
  int64_t begin = 0;  // in the bucket's flat tensors
};

struct Bucket {
  std::vector<Slice> slices;
  int64_t size = 0;
  at::Tensor gradients;   // [size]; the parameters' .grad are views of it
  at::Tensor exp_avg;     // [size]; undefined if another rank has it
  at::Tensor exp_avg_sq;  // likewise
  int owner = 0;          // the rank that updates its parameters, unless all do
  size_t missing = 0;     // gradients not there yet in this pass
  std::unique_ptr<Work> pending;
};

}  // namespace

struct Optimizer::Impl {
  core::TrainingSpec settings;
  Collective* collective = nullptr;
  std::vector<Bucket> buckets;
  size_t next_bucket = 0;  // reductions start in index order, the same on every rank
  bool armed = false;
  at::Tensor step;  // float32 scalar beside the parameters, as the fused update wants it

  void GradientArrived(size_t bucket_idx) {
    if (!armed) return;
    Bucket& bucket = buckets[bucket_idx];
    JENNER_CHECK(bucket.missing > 0);
    --bucket.missing;
    StartFullBuckets();
  }

  void StartFullBuckets() {
    while (next_bucket < buckets.size() && buckets[next_bucket].missing == 0) {
      Bucket& bucket = buckets[next_bucket++];
      bucket.pending = collective->StartSum(bucket.gradients);
    }
  }

  bool IsSharded() const { return settings.zero_stage > 0 && collective->size() > 1; }
  bool Owns(const Bucket& bucket) const {
    return !IsSharded() || bucket.owner == collective->rank();
  }

  // The parameters of every bucket as its owner has them. Gradients are spent: their memory carries
  // them.
  void ShareParameters() {
    for (const Bucket& bucket : buckets) {
      const bool is_own = Owns(bucket);
      for (const Slice& slice : bucket.slices) {
        if (is_own) View(bucket.gradients, slice).copy_(slice.parameter.tensor);
      }
      collective->Broadcast(bucket.gradients, bucket.owner);
      for (const Slice& slice : bucket.slices) {
        if (!is_own) slice.parameter.tensor.copy_(View(bucket.gradients, slice));
      }
    }
  }

  // A bucket's moment, whoever owns it. Collective.
  at::Tensor Whole(const Bucket& bucket, const at::Tensor& moment) const {
    if (!IsSharded()) return moment;
    const at::Tensor whole = moment.defined() ? moment : at::empty_like(bucket.gradients);
    collective->Broadcast(whole, bucket.owner);
    return whole;
  }

  at::Tensor View(const at::Tensor& flat, const Slice& slice) const {
    const at::Tensor& like = slice.parameter.tensor;
    return flat.narrow(0, slice.begin, like.numel()).view(like.sizes());
  }
};

namespace {

// Runs after autograd has added to a leaf's .grad.
class ArrivalHook : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit ArrivalHook(std::function<void()> arrived) : arrived_(std::move(arrived)) {}
  void operator()(const torch::autograd::Variable&) override { arrived_(); }

 private:
  std::function<void()> arrived_;
};

// transformers' Trainer spares norms and biases, by their names, and nothing else.
bool Decays(const model::NamedTensor& parameter) {
  return parameter.tensor.dim() > 1 || parameter.name.ends_with("lora_magnitude_vector");
}

std::vector<Bucket> MakeBuckets(const std::vector<model::NamedTensor>& parameters,
                                int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  for (auto at = parameters.rbegin(); at != parameters.rend(); ++at) {
    if (buckets.empty() || buckets.back().size * 4 >= bucket_bytes) buckets.emplace_back();
    buckets.back().slices.push_back({*at, buckets.back().size});
    buckets.back().size += at->tensor.numel();
  }
  return buckets;
}

void CheckState(const std::vector<Bucket>& buckets,
                const std::map<std::string, at::Tensor>& state) {
  const auto check = [&](const std::string& name, at::IntArrayRef sizes) {
    const auto found = state.find(name);
    const char* fault = found == state.end()             ? "is missing"
                        : found->second.sizes() != sizes ? "has another shape"
                                                         : nullptr;
    if (fault == nullptr) return;
    throw Failure(core::ExitCode::kCorruptCheckpoint, "optimizer state: " + name + " " + fault);
  };
  check("step", {1});
  size_t count = 1;
  for (const Bucket& bucket : buckets) {
    for (const Slice& slice : bucket.slices) {
      for (const char* suffix : {kExpAvg, kExpAvgSq})
        check(slice.parameter.name + suffix, slice.parameter.tensor.sizes());
      count += 2;
    }
  }
  if (state.size() == count) return;
  throw Failure(core::ExitCode::kCorruptCheckpoint,
                "optimizer state: there are tensors of no parameter");
}

}  // namespace

Optimizer::Optimizer(std::vector<model::NamedTensor> parameters, const core::TrainingSpec& settings,
                     Collective* collective, int64_t bucket_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->settings = settings;
  impl_->collective = collective;
  impl_->buckets = MakeBuckets(parameters, bucket_bytes);
  at::TensorOptions options(at::kFloat);
  if (!parameters.empty()) options = options.device(parameters[0].tensor.device());
  impl_->step = at::zeros({}, options);
  Impl* impl = impl_.get();
  for (size_t i = 0; i < impl_->buckets.size(); ++i) {
    Bucket& bucket = impl_->buckets[i];
    bucket.gradients = at::zeros({bucket.size}, options);
    bucket.owner = static_cast<int>(i) % collective->size();
    if (impl->Owns(bucket)) {
      bucket.exp_avg = at::zeros({bucket.size}, options);
      bucket.exp_avg_sq = at::zeros({bucket.size}, options);
    }
    for (const Slice& slice : bucket.slices) {
      const at::Tensor& leaf = slice.parameter.tensor;
      JENNER_CHECK(leaf.requires_grad() && leaf.is_leaf() && leaf.scalar_type() == at::kFloat);
      leaf.mutable_grad() = impl_->View(bucket.gradients, slice);
      torch::autograd::impl::set_post_acc_grad_hooks(
          leaf, std::make_unique<ArrivalHook>([impl, i] { impl->GradientArrived(i); }));
    }
  }
}

Optimizer::~Optimizer() {
  for (const Bucket& bucket : impl_->buckets) {
    for (const Slice& slice : bucket.slices) {
      torch::autograd::impl::set_post_acc_grad_hooks(slice.parameter.tensor, nullptr);
      slice.parameter.tensor.mutable_grad() = at::Tensor();
    }
  }
}

void Optimizer::ZeroGradients() {
  for (Bucket& bucket : impl_->buckets) bucket.gradients.zero_();
  impl_->armed = false;
}

void Optimizer::ArmReduction() {
  impl_->next_bucket = 0;
  for (Bucket& bucket : impl_->buckets) bucket.missing = bucket.slices.size();
  impl_->armed = true;
}

void Optimizer::FinishReduction() {
  JENNER_CHECK(impl_->armed);
  for (Bucket& bucket : impl_->buckets) bucket.missing = 0;
  impl_->StartFullBuckets();
  impl_->armed = false;
  for (Bucket& bucket : impl_->buckets) {
    bucket.pending->Wait();
    bucket.pending.reset();
  }
}

double Optimizer::ClipGradients() {
  double sum_of_squares = 0;
  for (const Bucket& bucket : impl_->buckets) {
    const double norm =
        at::linalg_vector_norm(bucket.gradients, 2, {}, false, at::kDouble).item<double>();
    sum_of_squares += norm * norm;
  }
  const double norm = std::sqrt(sum_of_squares);
  const double max = impl_->settings.max_gradient_norm;
  const double scale = max / (norm + 1e-6);
  if (max > 0 && scale < 1) {
    for (Bucket& bucket : impl_->buckets) bucket.gradients.mul_(scale);
  }
  return norm;
}

void Optimizer::Step(double learning_rate) {
  at::NoGradGuard no_grad;
  impl_->step.add_(1);
  const core::TrainingSpec& s = impl_->settings;
  for (const bool decays : {true, false}) {
    std::vector<at::Tensor> parameters, gradients, exp_avgs, exp_avg_sqs, steps;
    for (const Bucket& bucket : impl_->buckets) {
      if (!impl_->Owns(bucket)) continue;
      for (const Slice& slice : bucket.slices) {
        if (Decays(slice.parameter) != decays) continue;
        parameters.push_back(slice.parameter.tensor);
        gradients.push_back(impl_->View(bucket.gradients, slice));
        exp_avgs.push_back(impl_->View(bucket.exp_avg, slice));
        exp_avg_sqs.push_back(impl_->View(bucket.exp_avg_sq, slice));
        steps.push_back(impl_->step);
      }
    }
    if (parameters.empty()) continue;
    at::_fused_adamw_(parameters, gradients, exp_avgs, exp_avg_sqs, {}, steps, learning_rate,
                      s.beta1, s.beta2, decays ? s.weight_decay : 0.0, s.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  if (impl_->IsSharded()) impl_->ShareParameters();
}

std::vector<model::NamedTensor> Optimizer::State() const {
  std::vector<model::NamedTensor> state = {{"step", impl_->step.view({1})}};
  for (const Bucket& bucket : impl_->buckets) {
    const at::Tensor exp_avg = impl_->Whole(bucket, bucket.exp_avg);
    const at::Tensor exp_avg_sq = impl_->Whole(bucket, bucket.exp_avg_sq);
    for (const Slice& slice : bucket.slices) {
      state.push_back({slice.parameter.name + kExpAvg, impl_->View(exp_avg, slice)});
      state.push_back({slice.parameter.name + kExpAvgSq, impl_->View(exp_avg_sq, slice)});
    }
  }
  return state;
}

void Optimizer::LoadState(const std::map<std::string, at::Tensor>* state) {
  at::NoGradGuard no_grad;
  if (state != nullptr) CheckState(impl_->buckets, *state);
  if (state != nullptr) impl_->step.copy_(state->at("step").select(0, 0));
  impl_->collective->Broadcast(impl_->step);
  for (const Bucket& bucket : impl_->buckets) {
    for (const auto& [suffix, moment] :
         {std::pair(kExpAvg, bucket.exp_avg), {kExpAvgSq, bucket.exp_avg_sq}}) {
      const at::Tensor whole = moment.defined() ? moment : at::empty_like(bucket.gradients);
      for (const Slice& slice : bucket.slices) {
        if (state == nullptr) continue;
        impl_->View(whole, slice).copy_(state->at(slice.parameter.name + suffix));
      }
      impl_->collective->Broadcast(whole);
    }
  }
}

}  // namespace jenner::trainer

#include "worker/trainer/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using nlohmann::json;

at::Tensor FromJson(const json& values) {
  const auto flat = values.at("data").get<std::vector<float>>();
  return at::tensor(flat, at::kFloat).view(values.at("shape").get<std::vector<int64_t>>());
}

double RelativeError(const at::Tensor& got, const at::Tensor& expected) {
  return ((got - expected).norm() / expected.norm()).item<double>();
}

std::vector<model::NamedTensor> Leaves() {
  at::manual_seed(1);
  return {{"a", at::randn({3, 4}).requires_grad_()},
          {"b", at::randn({5}).requires_grad_()},
          {"c", at::randn({2, 2}).requires_grad_()}};
}

// Loss whose gradient in each leaf is `factor` times the leaf.
at::Tensor Loss(const std::vector<model::NamedTensor>& leaves, double factor) {
  at::Tensor sum = at::zeros({});
  for (const auto& leaf : leaves) sum = sum + leaf.tensor.pow(2).sum() * (factor / 2);
  return sum;
}

TEST(Optimizer, EqualsTorchAdamWWithClipping) {
  std::ifstream file(JENNER_SOURCE_DIR "/tests/golden/train/adamw.json");
  const json golden = json::parse(file);
  for (const json& one : golden.at("cases")) {
    core::TrainingSpec settings;
    settings.beta1 = one.at("beta1");
    settings.beta2 = one.at("beta2");
    settings.epsilon = one.at("epsilon");
    settings.weight_decay = one.at("weight_decay");
    settings.max_gradient_norm = one.at("max_gradient_norm");
    std::vector<model::NamedTensor> leaves;
    for (const auto& [name, value] : one.at("initial").items()) {
      leaves.push_back({name, FromJson(value).requires_grad_()});
    }
    auto collective = MakeSingleCollective();
    Optimizer optimizer(leaves, settings, collective.get(), /*bucket_bytes=*/16);
    for (const json& step : one.at("steps")) {
      optimizer.ZeroGradients();
      optimizer.ArmReduction();
      at::Tensor loss = at::zeros({});
      for (const auto& leaf : leaves) {
        loss = loss + (leaf.tensor * FromJson(step.at("gradients").at(leaf.name))).sum();
      }
      loss.backward();
      optimizer.FinishReduction();
      const double norm = step.at("gradient_norm");
      EXPECT_NEAR(optimizer.ClipGradients(), norm, 1e-6 * norm);
      optimizer.Step(step.at("learning_rate"));
      for (const auto& leaf : leaves) {
        EXPECT_LT(RelativeError(leaf.tensor.detach(), FromJson(step.at("after").at(leaf.name))),
                  1e-6)
            << leaf.name;
      }
    }
  }
}

// Two ranks in one process: what was given to be summed, in which order.
class RecordingCollective : public Collective {
 public:
  class Doubling : public Work {
   public:
    explicit Doubling(at::Tensor tensor) : tensor_(std::move(tensor)) {}
    void Wait() override { tensor_.mul_(2); }

   private:
    at::Tensor tensor_;
  };
  int rank() const override { return 0; }
  int size() const override { return 2; }
  std::unique_ptr<Work> StartSum(const at::Tensor& tensor) override {
    sizes.push_back(tensor.numel());
    return std::make_unique<Doubling>(tensor);
  }
  void Broadcast(const at::Tensor&, int) override {}
  using Collective::Broadcast;
  std::vector<int64_t> sizes;
};

TEST(Optimizer, ReducesBucketsInOrderDuringTheLastBackwardOnly) {
  const auto leaves = Leaves();
  RecordingCollective collective;
  Optimizer optimizer(leaves, core::TrainingSpec{}, &collective, /*bucket_bytes=*/4);
  optimizer.ZeroGradients();
  Loss(leaves, 1).backward();
  EXPECT_TRUE(collective.sizes.empty());
  optimizer.ArmReduction();
  Loss(leaves, 2).backward();
  EXPECT_EQ(collective.sizes, (std::vector<int64_t>{4, 5, 12}));  // c, b, a: all during the pass
  optimizer.FinishReduction();
  EXPECT_EQ(collective.sizes.size(), 3u);
  for (const auto& leaf : leaves) {
    EXPECT_LT(RelativeError(leaf.tensor.grad(), leaf.tensor.detach() * 6), 1e-6) << leaf.name;
  }
}

TEST(Optimizer, ParametersWithoutAGradientAreReducedAsZero) {
  const auto leaves = Leaves();
  RecordingCollective collective;
  Optimizer optimizer(leaves, core::TrainingSpec{}, &collective, 4);
  for (int step = 0; step < 2; ++step) {
    optimizer.ZeroGradients();
    optimizer.ArmReduction();
    leaves[2].tensor.sum().backward();
    optimizer.FinishReduction();
    EXPECT_EQ(collective.sizes, (std::vector<int64_t>{4, 5, 12}));
    collective.sizes.clear();
    EXPECT_EQ(leaves[0].tensor.grad().abs().sum().item<double>(), 0);
    EXPECT_EQ(leaves[2].tensor.grad().sum().item<double>(), 8);
  }
}

// Two ranks, threads of this process, over Gloo.
template <typename Run>
void OnTwoRanks(const Run& run) {
  std::promise<std::string> announced;
  GlooOptions first, second;
  first.size = second.size = 2;
  second.rank = 1;
  first.on_listening = [&](const std::string& store) { announced.set_value(store); };
  std::thread peer([&] {
    second.store_address = announced.get_future().get();
    const auto collective = MakeGlooCollective(second);
    run(collective.get());
    collective->Barrier();
  });
  const auto collective = MakeGlooCollective(first);
  run(collective.get());
  collective->Barrier();
  peer.join();
}

// Three buckets: rank 0 has the first and the third. Steps, a checkpoint, and steps from it.
TEST(Optimizer, ShardedMomentsChangeNothing) {
  std::vector<at::Tensor> expected[2];
  for (const int32_t stage : {0, 1}) {
    std::vector<model::NamedTensor> leaves_of[2] = {Leaves(), Leaves()};
    OnTwoRanks([&](Collective* collective) {
      core::TrainingSpec settings;
      settings.zero_stage = stage;
      settings.weight_decay = 0.1;
      std::vector<model::NamedTensor>& leaves = leaves_of[collective->rank()];
      const auto step = [&](Optimizer& optimizer, double factor) {
        optimizer.ZeroGradients();
        optimizer.ArmReduction();
        Loss(leaves, factor * (1 + collective->rank())).backward();
        optimizer.FinishReduction();
        optimizer.ClipGradients();
        optimizer.Step(1e-2);
      };
      std::map<std::string, at::Tensor> state;
      {
        Optimizer optimizer(leaves, settings, collective, /*bucket_bytes=*/4);
        step(optimizer, 1);
        step(optimizer, -3);
        for (const auto& one : optimizer.State()) state[one.name] = one.tensor.clone();
      }
      Optimizer resumed(leaves, settings, collective, /*bucket_bytes=*/4);
      resumed.LoadState(collective->rank() == 0 ? &state : nullptr);
      step(resumed, 2);
      for (size_t i = 0; i < leaves.size(); ++i) {
        at::Tensor& one = leaves[i].tensor;
        std::vector<at::Tensor>& known = expected[collective->rank()];
        if (stage == 0) known.push_back(one.detach().clone());
        EXPECT_TRUE(at::equal(one, known[i])) << leaves[i].name;
      }
    });
  }
}

TEST(Optimizer, NormsAndBiasesDoNotDecayMagnitudesDo) {
  core::TrainingSpec settings;
  settings.weight_decay = 0.5;
  const std::vector<model::NamedTensor> leaves = {
      {"model.norm.weight", at::ones({3}).requires_grad_()},
      {"q_proj.bias", at::ones({3}).requires_grad_()},
      {"q_proj.lora_magnitude_vector", at::ones({3}).requires_grad_()},
      {"q_proj.lora_A.weight", at::ones({2, 3}).requires_grad_()}};
  const auto collective = MakeSingleCollective();
  Optimizer optimizer(leaves, settings, collective.get());
  optimizer.ZeroGradients();
  optimizer.ArmReduction();
  optimizer.FinishReduction();
  optimizer.Step(0.1);  // of gradients that are 0
  for (size_t i = 0; i < leaves.size(); ++i)
    EXPECT_FLOAT_EQ(leaves[i].tensor.max().item<float>(), i < 2 ? 1.0f : 0.95f) << leaves[i].name;
}

TEST(Optimizer, StateGoesRoundAndIsChecked) {
  const auto run = [](Optimizer& optimizer, const std::vector<model::NamedTensor>& leaves) {
    optimizer.ZeroGradients();
    optimizer.ArmReduction();
    Loss(leaves, 1).backward();
    optimizer.FinishReduction();
    optimizer.ClipGradients();
    optimizer.Step(1e-2);
  };
  auto collective = MakeSingleCollective();
  const auto leaves = Leaves();
  Optimizer optimizer(leaves, core::TrainingSpec{}, collective.get());
  run(optimizer, leaves);
  std::map<std::string, at::Tensor> state;
  for (const auto& one : optimizer.State()) state[one.name] = one.tensor.clone();
  auto copies = Leaves();
  {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < copies.size(); ++i) copies[i].tensor.copy_(leaves[i].tensor);
  }
  Optimizer resumed(copies, core::TrainingSpec{}, collective.get());
  resumed.LoadState(&state);
  run(optimizer, leaves);
  run(resumed, copies);
  for (size_t i = 0; i < copies.size(); ++i) {
    EXPECT_TRUE(at::equal(copies[i].tensor, leaves[i].tensor));
  }
  state.erase("a.exp_avg");
  EXPECT_THROW(resumed.LoadState(&state), Failure);
}

}  // namespace
}  // namespace jenner::trainer

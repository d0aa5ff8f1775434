// The model on a GPU: every family against transformers and PEFT (tests/golden/model), gradients
// against the CPU's, and the same bits twice. Skipped where there is no GPU.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "worker/model/peft.h"
#include "worker/model/transformer.h"
#include "worker/trainer/cuda_plugin.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/loss.h"

namespace jenner::trainer {
namespace {

const at::Device kGpu(at::kCUDA, 0);

// Of sums in another order than the CPU's.
constexpr double kTolerance = 2e-5;

double RelativeDifference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().cpu(), y = b.detach().cpu();
  return (x - y).abs().max().item<double>() / std::max(1e-12, y.abs().max().item<double>());
}

class Gpu : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    try {
      LoadCudaPlugin(JENNER_BINARY_DIR "/bin/libjenner_cuda.so")->Open(0);
    } catch (const Failure& failure) {
      GTEST_SKIP() << failure.what();
    }
  }

  std::string Folder() const { return JENNER_SOURCE_DIR "/tests/golden/model/" + GetParam(); }

  std::unique_ptr<model::Transformer> Load(at::Device device, core::Dtype dtype) const {
    return model::Transformer::Load(Folder(), dtype, device).value();
  }
};

INSTANTIATE_TEST_SUITE_P(Families, Gpu,
                         testing::Values("tiny-tied", "tiny-llama3", "tiny-mistral", "tiny-qwen2",
                                         "tiny-qwen3", "tiny-gemma", "tiny-gemma2", "tiny-gemma3",
                                         "tiny-adapter"),
                         [](const auto& given) { return given.param.substr(5); });

TEST_P(Gpu, LogitsEqualTransformers) {
  const at::NoGradGuard no_grad;
  const auto transformer = Load(kGpu, core::Dtype::kFloat32);
  std::ifstream file(Folder() + "/figures.json");
  const nlohmann::json figures = nlohmann::json::parse(file);
  const auto expected = model::ReadSafetensors(Folder() + "/expected.safetensors").value();
  std::vector<std::vector<int32_t>> rows = figures.at("rows");
  const model::TokenBatch batch = model::PackRows({rows.begin(), rows.end()}, /*share=*/false);
  const at::Tensor logits_NV = transformer->LogitsFromHidden(transformer->Forward(batch)).cpu();
  for (size_t row = 0; row < rows.size(); ++row) {
    const at::Tensor mine =
        logits_NV.narrow(0, batch.row_starts[row], static_cast<int64_t>(rows[row].size()));
    EXPECT_LT(RelativeDifference(mine, expected.at("logits." + std::to_string(row))), kTolerance)
        << row;
  }
}

struct Trained {
  double loss = 0;
  std::vector<model::NamedTensor> gradients;
};

// Of rows with a common beginning, kept once.
Trained Train(model::Transformer* transformer, bool checkpoints) {
  std::vector<std::vector<int32_t>> rows;
  for (int32_t row = 0; row < 5; ++row) {
    rows.push_back({3, 10, 17, 24, 31, 38, 45, 52, 59, 66, 73});
    for (int32_t i = 0; i <= 4 * row; ++i) rows.back().push_back(90 - 7 * row - i);
  }
  const model::TokenBatch batch = model::PackRows({rows.begin(), rows.end()}, /*share=*/true);
  EXPECT_GT(batch.prefix, 0);
  std::vector<int64_t> inputs, targets;
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t t = 6; t < rows[row].size(); ++t) {
      inputs.push_back(batch.At(row, static_cast<int64_t>(t) - 1));
      targets.push_back(rows[row][t]);
    }
  }
  const auto there = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(transformer->device());
  };
  for (const model::NamedTensor& one : transformer->TrainableParameters())
    one.tensor.mutable_grad() = at::Tensor();
  model::ForwardOptions options;
  options.checkpoint_layers = checkpoints;
  const at::Tensor hidden_MD = transformer->Forward(batch, options).index_select(0, there(inputs));
  const at::Tensor loss =
      SumCrossEntropy(hidden_MD, transformer->head(), there(targets), at::Tensor());
  loss.backward();
  Trained trained{loss.item<double>(), {}};
  for (const model::NamedTensor& one : transformer->TrainableParameters())
    trained.gradients.push_back({one.name, one.tensor.grad().clone()});
  return trained;
}

void ExpectNear(const Trained& got, const Trained& expected, double tolerance) {
  EXPECT_NEAR(got.loss, expected.loss, tolerance * expected.loss);
  ASSERT_EQ(got.gradients.size(), expected.gradients.size());
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    EXPECT_LT(RelativeDifference(got.gradients[i].tensor, expected.gradients[i].tensor), tolerance)
        << got.gradients[i].name;
  }
}

void ExpectEqual(const Trained& a, const Trained& b) {
  EXPECT_EQ(a.loss, b.loss);
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    EXPECT_TRUE(at::equal(a.gradients[i].tensor, b.gradients[i].tensor)) << a.gradients[i].name;
  }
}

TEST_P(Gpu, FullGradientsEqualTheCpusAndRepeatTheirBits) {
  const auto here = Load(at::kCPU, core::Dtype::kFloat32);
  const auto there = Load(kGpu, core::Dtype::kFloat32);
  here->TrainAllParameters();
  there->TrainAllParameters();
  const Trained once = Train(there.get(), false);
  ExpectNear(once, Train(here.get(), false), kTolerance);
  ExpectEqual(Train(there.get(), false), once);
  ExpectEqual(Train(there.get(), true), once);
}

TEST_P(Gpu, GradientsOfPeftsAdapterEqualTheCpusAndRepeatTheirBits) {
  const auto here = Load(at::kCPU, core::Dtype::kFloat32);
  const auto there = Load(kGpu, core::Dtype::kFloat32);
  for (model::Transformer* one : {here.get(), there.get()})
    one->AttachAdapter(
        model::ReadAdapter(Folder() + "/adapter", one->config(), GetParam()).value());
  const Trained once = Train(there.get(), false);
  ExpectNear(once, Train(here.get(), false), kTolerance);
  ExpectEqual(Train(there.get(), false), once);
  ExpectEqual(Train(there.get(), true), once);
}

// Products and attention round to 8 bits; 0.104 was the largest difference.
TEST_P(Gpu, Bfloat16IsNearAndRepeatsItsBits) {
  const auto exact = Load(kGpu, core::Dtype::kFloat32);
  const auto rough = Load(kGpu, core::Dtype::kBfloat16);
  for (model::Transformer* one : {exact.get(), rough.get()}) {
    one->AttachAdapter(
        model::ReadAdapter(Folder() + "/adapter", one->config(), GetParam()).value());
  }
  const Trained once = Train(rough.get(), false);
  ExpectNear(once, Train(exact.get(), false), 0.15);
  ExpectEqual(Train(rough.get(), false), once);
}

}  // namespace
}  // namespace jenner::trainer

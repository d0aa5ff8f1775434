// Transformer against transformers and PEFT (tests/golden/model, made by
// tools/golden/model_goldens.py).
#include "worker/model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "worker/model/peft.h"

namespace jenner::model {
namespace {

const std::string kGolden = JENNER_SOURCE_DIR "/tests/golden/model/";

struct Golden {
  std::string folder;
  nlohmann::json figures;
  std::map<std::string, at::Tensor> expected;
  std::unique_ptr<Transformer> transformer;
  TokenBatch batch;
  at::Tensor supervised_M;  // positions that predict a supervised target
  at::Tensor targets_M;
};

Golden Load(const std::string& name, core::Dtype dtype = core::Dtype::kFloat32) {
  Golden golden;
  golden.folder = kGolden + name;
  std::ifstream file(golden.folder + "/figures.json");
  golden.figures = nlohmann::json::parse(file);
  auto expected = ReadSafetensors(golden.folder + "/expected.safetensors");
  EXPECT_TRUE(expected.ok()) << expected.status();
  golden.expected = *std::move(expected);
  auto transformer = Transformer::Load(golden.folder, dtype);
  EXPECT_TRUE(transformer.ok()) << transformer.status();
  golden.transformer = *std::move(transformer);
  std::vector<int64_t> ids, supervised, targets;
  golden.batch.row_starts = {0};
  for (size_t row = 0; row < golden.figures["rows"].size(); ++row) {
    const auto tokens = golden.figures["rows"][row].get<std::vector<int64_t>>();
    const auto mask = golden.figures["masks"][row].get<std::vector<int>>();
    for (size_t i = 0; i < mask.size(); ++i) {
      if (mask[i] == 0) continue;
      supervised.push_back(static_cast<int64_t>(ids.size() + i));
      targets.push_back(tokens[i + 1]);
    }
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    golden.batch.row_starts.push_back(static_cast<int64_t>(ids.size()));
  }
  golden.batch.ids_N = at::tensor(ids, at::kLong);
  golden.supervised_M = at::tensor(supervised, at::kLong);
  golden.targets_M = at::tensor(targets, at::kLong);
  return golden;
}

at::Tensor Loss(const Golden& golden) {
  const at::Tensor hidden_MD =
      golden.transformer->Forward(golden.batch).index_select(0, golden.supervised_M);
  return at::cross_entropy_loss(golden.transformer->LogitsFromHidden(hidden_MD), golden.targets_M);
}

double MaxDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// max |a - b| / max |b|
double RelativeDifference(const at::Tensor& a, const at::Tensor& b) {
  return MaxDifference(a, b) / std::max(1e-12, b.abs().max().item<double>());
}

void ExpectLogits(const Golden& golden, const std::string& prefix, double tolerance) {
  at::NoGradGuard no_grad;
  const at::Tensor logits_NV =
      golden.transformer->LogitsFromHidden(golden.transformer->Forward(golden.batch));
  for (size_t row = 0; row + 1 < golden.batch.row_starts.size(); ++row) {
    const int64_t begin = golden.batch.row_starts[row];
    const at::Tensor mine = logits_NV.narrow(0, begin, golden.batch.row_starts[row + 1] - begin);
    EXPECT_LE(MaxDifference(mine, golden.expected.at(prefix + "." + std::to_string(row))),
              tolerance)
        << row;
  }
}

LoraAdapter Adapter(const Golden& golden, const std::string& name) {
  auto adapter = ReadAdapter(golden.folder + "/adapter", golden.transformer->config(), name);
  EXPECT_TRUE(adapter.ok()) << adapter.status();
  return *std::move(adapter);
}

class FamilyTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, FamilyTest,
                         testing::Values("tiny-tied", "tiny-llama3", "tiny-mistral", "tiny-qwen2",
                                         "tiny-qwen3", "tiny-gemma", "tiny-gemma2", "tiny-gemma3"),
                         [](const auto& given) { return given.param.substr(5); });

TEST_P(FamilyTest, LogitsEqualTransformers) { ExpectLogits(Load(GetParam()), "logits", 1e-5); }

TEST_P(FamilyTest, FullGradientsEqualTransformers) {
  const Golden golden = Load(GetParam());
  golden.transformer->TrainAllParameters();
  const at::Tensor loss = Loss(golden);
  EXPECT_NEAR(loss.item<double>(), golden.figures["loss"].get<double>(), 1e-6);
  loss.backward();
  int compared = 0;
  for (const NamedTensor& parameter : golden.transformer->TrainableParameters()) {
    const auto found = golden.expected.find("gradient." + parameter.name);
    if (found == golden.expected.end()) continue;
    EXPECT_LE(RelativeDifference(parameter.tensor.grad(), found->second), 1e-5) << parameter.name;
    ++compared;
  }
  EXPECT_GE(compared, 4);
}

TEST_P(FamilyTest, AdapterOfPeftGivesItsLogitsAndGradients) {
  const Golden golden = Load(GetParam());
  golden.transformer->AttachAdapter(Adapter(golden, GetParam()));
  ExpectLogits(golden, "lora_logits", 1e-5);
  const at::Tensor loss = Loss(golden);
  EXPECT_NEAR(loss.item<double>(), golden.figures["lora_loss"].get<double>(), 1e-6);
  loss.backward();
  const std::vector<NamedTensor> parameters = golden.transformer->TrainableParameters();
  const auto layers = static_cast<size_t>(golden.transformer->config().num_layers);
  EXPECT_EQ(parameters.size(), layers * 2 * kNumTargets);
  for (const NamedTensor& parameter : parameters) {
    const at::Tensor& expected = golden.expected.at("lora_gradient." + parameter.name);
    EXPECT_LE(RelativeDifference(parameter.tensor.grad(), expected), 1e-5) << parameter.name;
  }
}

TEST_P(FamilyTest, NewAdapterChangesNothingAndDisabledIsTheBase) {
  const Golden golden = Load(GetParam());
  golden.transformer->AttachAdapter(
      *LoraAdapter::Create(golden.transformer->config(), core::LoraSpec{}, 1));
  ExpectLogits(golden, "logits", 1e-5);
  golden.transformer->AttachAdapter(Adapter(golden, ""));
  golden.transformer->SetAdapterEnabled(false);
  ExpectLogits(golden, "logits", 1e-5);
}

TEST_P(FamilyTest, Bfloat16IsNear) {
  ExpectLogits(Load(GetParam(), core::Dtype::kBfloat16), "logits", 0.5);
}

TEST(TransformerTest, RowsDoNotSeeEachOther) {
  const Golden golden = Load("tiny-tied");
  at::NoGradGuard no_grad;
  const at::Tensor together = golden.transformer->Forward(golden.batch);
  for (size_t row = 0; row + 1 < golden.batch.row_starts.size(); ++row) {
    const int64_t begin = golden.batch.row_starts[row];
    const int64_t length = golden.batch.row_starts[row + 1] - begin;
    const at::Tensor alone =
        golden.transformer->Forward({golden.batch.ids_N.narrow(0, begin, length), {0, length}});
    EXPECT_LE(MaxDifference(alone, together.narrow(0, begin, length)), 1e-5);
  }
}

TEST(TransformerTest, DropoutIsAFunctionOfKeysAlone) {
  const std::vector<int64_t> starts = {0, 3, 5};
  const at::Tensor both = DropoutMask({9, {4, 8}}, starts, "m", 6, 0.5);
  const at::Tensor second = DropoutMask({9, {8}}, {0, 2}, "m", 6, 0.5);
  EXPECT_TRUE(at::equal(both.narrow(0, 3, 2), second));
  EXPECT_FALSE(at::equal(DropoutMask({9, {8}}, {0, 2}, "n", 6, 0.5), second));
  const at::Tensor large = DropoutMask({1, {1}}, {0, 1000}, "m", 100, 0.25);
  EXPECT_NEAR(large.mean().item<double>(), 1, 0.01);
  EXPECT_NEAR((large == 0).to(at::kFloat).mean().item<double>(), 0.25, 0.01);
}

TEST(PeftTest, RoundTrip) {
  const Golden golden = Load("tiny-tied");
  const LoraAdapter adapter = Adapter(golden, "");
  const std::string folder = testing::TempDir() + "/peft_round_trip";
  ASSERT_TRUE(WriteAdapter(folder, adapter, "models/tiny-tied").ok());
  const auto again = ReadAdapter(folder, golden.transformer->config(), "tiny-tied");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->spec(), adapter.spec());
  const auto before = adapter.Parameters();
  const auto after = again->Parameters();
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(at::equal(before[i].tensor, after[i].tensor));
  const auto other = ReadAdapter(folder, golden.transformer->config(), "another-model");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kInvalidArgument);
  ModelConfig wider = golden.transformer->config();
  wider.hidden_size = 64;
  EXPECT_EQ(ReadAdapter(folder, wider, "").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PeftTest, UnknownAndMissingKeysAreErrors) {
  const Golden golden = Load("tiny-tied");
  const std::string folder = testing::TempDir() + "/peft_keys";
  ASSERT_TRUE(WriteAdapter(folder, Adapter(golden, ""), "m").ok());
  const auto tensors = *ReadSafetensors(folder + "/adapter_model.safetensors");
  std::vector<NamedTensor> list;
  for (const auto& [name, tensor] : tensors) list.push_back({name, tensor});
  const NamedTensor first = list.front();
  list.erase(list.begin());
  ASSERT_TRUE(WriteSafetensors(folder + "/adapter_model.safetensors", list).ok());
  EXPECT_NE(
      ReadAdapter(folder, golden.transformer->config(), "").status().message().find("missing key"),
      std::string::npos);
  list.push_back(first);
  list.push_back({"base_model.model.extra.lora_A.weight", first.tensor});
  ASSERT_TRUE(WriteSafetensors(folder + "/adapter_model.safetensors", list).ok());
  EXPECT_NE(
      ReadAdapter(folder, golden.transformer->config(), "").status().message().find("unknown key"),
      std::string::npos);
}

TEST(TransformerTest, SaveAndLoad) {
  const Golden golden = Load("tiny-llama3");
  const std::string folder = testing::TempDir() + "/llama_save";
  ASSERT_TRUE(golden.transformer->Save(folder).ok());
  const auto again = Transformer::Load(folder, core::Dtype::kFloat32);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(
      at::equal((*again)->Forward(golden.batch), golden.transformer->Forward(golden.batch)));
}

TEST(TransformerTest, MissingFolderTensorOrShape) {
  EXPECT_EQ(Transformer::Load("/nowhere", core::Dtype::kFloat32).status().code(),
            absl::StatusCode::kNotFound);
  const Golden golden = Load("tiny-tied");
  auto tensors = *ReadSafetensors(golden.folder + "/model.safetensors");
  auto missing = tensors;
  missing.erase("model.norm.weight");
  auto status =
      Transformer::FromTensors(golden.transformer->config(), core::Dtype::kFloat32, missing)
          .status();
  EXPECT_NE(status.message().find("model.norm.weight"), std::string::npos);
  tensors["model.norm.weight"] = at::zeros({3});
  status = Transformer::FromTensors(golden.transformer->config(), core::Dtype::kFloat32, tensors)
               .status();
  EXPECT_NE(status.message().find("shape"), std::string::npos);
}

}  // namespace
}  // namespace jenner::model

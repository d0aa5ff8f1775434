// Transformer against transformers and PEFT (tests/golden/model, made by
// tools/golden/model_goldens.py).
#include "worker/model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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
                                         "tiny-qwen3", "tiny-gemma", "tiny-gemma2", "tiny-gemma3",
                                         "tiny-adapter"),
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
  const auto gradients =
      std::count_if(golden.expected.begin(), golden.expected.end(),
                    [](const auto& one) { return one.first.starts_with("lora_gradient."); });
  EXPECT_EQ(static_cast<int64_t>(parameters.size()), gradients);
  for (const NamedTensor& parameter : parameters) {
    const at::Tensor& expected = golden.expected.at("lora_gradient." + parameter.name);
    EXPECT_LE(RelativeDifference(parameter.tensor.grad(), expected), 1e-5) << parameter.name;
  }
}

TEST_P(FamilyTest, ACompanionCountsWhereAskedForAndIsNotTrained) {
  const Golden golden = Load(GetParam());
  const LoraAdapter companion = Adapter(golden, "");
  if (companion.spec().use_dora) GTEST_SKIP() << "no companion may have magnitudes";
  golden.transformer->AttachCompanion(companion);
  ExpectLogits(golden, "logits", 1e-5);
  golden.transformer->AttachAdapter(*golden.transformer->NewAdapter(core::LoraSpec{}, 1));
  ExpectLogits(golden, "logits", 1e-5);
  ForwardOptions options;
  options.with_companion = true;
  for (const bool drops : {false, true}) {
    if (drops) {
      core::LoraSpec spec;
      spec.dropout = 0.5;
      golden.transformer->AttachAdapter(*golden.transformer->NewAdapter(spec, 1));
      options.dropout = DropoutKeys{1, std::vector<uint64_t>(golden.batch.row_starts.size() - 1)};
    }
    const at::Tensor logits_NV =
        golden.transformer->LogitsFromHidden(golden.transformer->Forward(golden.batch, options));
    const int64_t length = golden.batch.row_starts[1];
    EXPECT_LE(MaxDifference(logits_NV.narrow(0, 0, length), golden.expected.at("lora_logits.0")),
              1e-5);
    logits_NV.sum().backward();
    for (const NamedTensor& parameter : companion.Parameters())
      EXPECT_FALSE(parameter.tensor.grad().defined());
    for (const NamedTensor& parameter : golden.transformer->TrainableParameters())
      EXPECT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
  }
}

TEST_P(FamilyTest, AMergedAdapterGivesPeftsLogits) {
  const Golden golden = Load(GetParam());
  golden.transformer->AttachAdapter(Adapter(golden, GetParam()));
  ExpectLogits(golden, "lora_logits", 1e-5);  // packs the weights as they are now
  golden.transformer->MergeAdapter();
  EXPECT_EQ(golden.transformer->adapter(), nullptr);
  ExpectLogits(golden, "lora_logits", 1e-5);
}

TEST_P(FamilyTest, NewAdapterChangesNothingAndDisabledIsTheBase) {
  const Golden golden = Load(GetParam());
  golden.transformer->AttachAdapter(*golden.transformer->NewAdapter(core::LoraSpec{}, 1));
  ExpectLogits(golden, "logits", 1e-5);
  golden.transformer->AttachAdapter(Adapter(golden, ""));
  golden.transformer->SetAdapterEnabled(false);
  ExpectLogits(golden, "logits", 1e-5);
}

TEST_P(FamilyTest, Bfloat16IsNear) {
  ExpectLogits(Load(GetParam(), core::Dtype::kBfloat16), "logits", 0.5);
}

// Bitwise: the same is computed, only later.
void ExpectCheckpointingChangesNothing(const Golden& golden, ForwardOptions options) {
  std::vector<std::vector<at::Tensor>> gradients;
  for (const bool is_checkpointed : {false, true}) {
    options.checkpoint_layers = is_checkpointed;
    for (const NamedTensor& parameter : golden.transformer->TrainableParameters())
      parameter.tensor.mutable_grad() = at::Tensor();
    const at::Tensor hidden_MD =
        golden.transformer->Forward(golden.batch, options).index_select(0, golden.supervised_M);
    at::cross_entropy_loss(golden.transformer->LogitsFromHidden(hidden_MD), golden.targets_M)
        .backward();
    gradients.emplace_back();
    for (const NamedTensor& parameter : golden.transformer->TrainableParameters())
      gradients.back().push_back(parameter.tensor.grad().clone());
  }
  ASSERT_FALSE(gradients[0].empty());
  for (size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_TRUE(at::equal(gradients[0][i], gradients[1][i])) << i;
}

TEST_P(FamilyTest, CheckpointedLayersGiveTheSameGradients) {
  const Golden full = Load(GetParam());
  full.transformer->TrainAllParameters();
  ExpectCheckpointingChangesNothing(full, {});
  const Golden golden = Load(GetParam());
  golden.transformer->AttachAdapter(Adapter(golden, GetParam()));
  ExpectCheckpointingChangesNothing(golden, {});
}

// What is computed again drops the same inputs.
TEST_P(FamilyTest, CheckpointedLayersDropTheSame) {
  const Golden golden = Load(GetParam());
  ForwardOptions options;
  options.dropout = DropoutKeys{1, {5, 6, 7, 8, 9}};
  options.dropout->row_keys.resize(golden.batch.row_starts.size() - 1);
  for (const bool use_dora : {true, false}) {
    core::LoraSpec spec;
    spec.dropout = 0.5;
    spec.use_dora = use_dora;
    const LoraAdapter adapter = *golden.transformer->NewAdapter(spec, 1);
    {
      at::NoGradGuard no_grad;
      for (const NamedTensor& parameter : adapter.Parameters()) parameter.tensor.add_(0.03);
    }
    golden.transformer->AttachAdapter(adapter);
    ExpectCheckpointingChangesNothing(golden, options);
  }
  const LoraAdapter companion = Adapter(golden, "");
  if (companion.spec().use_dora) return;  // no companion may have magnitudes
  golden.transformer->AttachCompanion(companion);
  options.with_companion = true;
  ExpectCheckpointingChangesNothing(golden, options);
}

// Rows with a common beginning give what they give apart, each by itself or all padded, and so do
// the gradients.
TEST_P(FamilyTest, ASharedPrefixAndPaddingChangeNothing) {
  const Golden golden = Load(GetParam());
  golden.transformer->AttachAdapter(Adapter(golden, GetParam()));
  std::vector<int32_t> begin;
  for (int32_t i = 0; i < 11; ++i) begin.push_back(3 + i * 7);
  std::vector<std::vector<int32_t>> rows;
  for (const std::vector<int32_t>& own :
       {std::vector<int32_t>{90, 4, 61}, {17, 33, 33, 8, 2, 70, 71, 72, 99, 5}, {90}}) {
    rows.push_back(begin);
    rows.back().insert(rows.back().end(), own.begin(), own.end());
  }
  const auto run = [&](bool share, bool pads) {
    ForwardOptions options;
    options.pads_rows = pads;
    const TokenBatch batch = PackRows({rows.begin(), rows.end()}, share);
    EXPECT_EQ(batch.prefix, share ? 11 : 0);
    std::vector<int64_t> at;
    for (size_t row = 0; row < rows.size(); ++row) {
      for (size_t i = 0; i < rows[row].size(); ++i)
        at.push_back(batch.At(row, static_cast<int64_t>(i)));
    }
    const at::Tensor logits_MV = golden.transformer->LogitsFromHidden(
        golden.transformer->Forward(batch, options).index_select(0, at::tensor(at, at::kLong)));
    for (const NamedTensor& parameter : golden.transformer->TrainableParameters())
      parameter.tensor.mutable_grad() = at::Tensor();
    logits_MV.square().mean().backward();
    std::vector<at::Tensor> out = {logits_MV.detach()};
    for (const NamedTensor& parameter : golden.transformer->TrainableParameters())
      out.push_back(parameter.tensor.grad().clone());
    return out;
  };
  const std::vector<at::Tensor> apart = run(false, false);
  for (const auto& [share, pads] : {std::pair(true, false), {false, true}, {true, true}}) {
    const std::vector<at::Tensor> other = run(share, pads);
    for (size_t i = 0; i < apart.size(); ++i)
      EXPECT_LE(RelativeDifference(other[i], apart[i]), 1e-5) << i << share << pads;
  }
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

core::LoraSpec Everything() {
  core::LoraSpec spec;
  spec.rank = 4;
  spec.use_dora = true;
  spec.use_rslora = true;
  spec.layers_to_transform = {1};
  spec.rank_pattern = {{"q_proj", 2}};
  spec.alpha_pattern = {{"mlp.*", 8}};
  return spec;
}

TEST(LoraTest, ScalesRanksAndLayersAsAsked) {
  const Golden golden = Load("tiny-tied");
  const auto adapter = golden.transformer->NewAdapter(Everything(), 1);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  EXPECT_FALSE(adapter->pair(0, Target::kQ).a_RI.defined());
  EXPECT_EQ(adapter->pair(1, Target::kQ).a_RI.size(0), 2);
  EXPECT_DOUBLE_EQ(adapter->pair(1, Target::kQ).scale, 32 / std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(adapter->pair(1, Target::kUp).scale, 8 / std::sqrt(4.0));
  // A new one changes nothing.
  golden.transformer->AttachAdapter(*adapter);
  ExpectLogits(golden, "logits", 1e-5);
}

TEST(LoraTest, WhatFitsNothingOrTwiceIsAnError) {
  const Golden golden = Load("tiny-tied");
  const auto message = [&](const core::LoraSpec& spec) {
    return std::string(golden.transformer->NewAdapter(spec, 1).status().message());
  };
  core::LoraSpec spec = Everything();
  spec.layers_to_transform = {2};
  EXPECT_EQ(message(spec), "lora.layers_to_transform: no layer 2; the model has 2");
  spec = Everything();
  spec.rank_pattern["layers.0.mlp.up_proj"] = 1;
  EXPECT_EQ(message(spec), "lora.rank_pattern: no adapted module fits \"layers.0.mlp.up_proj\"");
  spec = Everything();
  spec.rank_pattern[".*_proj"] = 1;
  EXPECT_EQ(message(spec), "lora.rank_pattern: two keys fit model.layers.1.self_attn.q_proj");
  spec = Everything();
  spec.alpha_pattern = {{"mlp[", 1}};
  EXPECT_EQ(message(spec),
            "lora.alpha_pattern: \"mlp[\": no regular expression (RE2): missing ]: [");
}

TEST(PeftTest, RoundTripOfEverythingThatAnAdapterCanSay) {
  const Golden golden = Load("tiny-adapter");
  const LoraAdapter adapter = Adapter(golden, "");
  const std::string folder = testing::TempDir() + "/peft_everything";
  ASSERT_TRUE(WriteAdapter(folder, adapter, "models/tiny-adapter").ok());
  const auto again = ReadAdapter(folder, golden.transformer->config(), "tiny-adapter");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->spec(), adapter.spec());
  // The same names as PEFT's file.
  const auto theirs = *ReadSafetensors(golden.folder + "/adapter/adapter_model.safetensors");
  const auto ours = *ReadSafetensors(folder + "/adapter_model.safetensors");
  ASSERT_EQ(ours.size(), theirs.size());
  for (const auto& [name, tensor] : theirs) EXPECT_TRUE(at::equal(ours.at(name), tensor)) << name;
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

// jenner-export as a user runs it, against PEFT's logits (tests/golden/model).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/model/safetensors.h"
#include "worker/model/token_batch.h"
#include "worker/model/transformer.h"

namespace jenner {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = JENNER_SOURCE_DIR "/tests/golden/model/";

struct Outcome {
  int exit_code = -1;
  std::string text;  // of both streams
};

// A folder of the goldens, unless it is a whole path.
std::string In(const std::string& folder) { return folder[0] == '/' ? folder : kGolden + folder; }

Outcome Export(const std::string& model, const std::string& adapter, const std::string& out,
               const std::string& more = "") {
  const std::string command = JENNER_BINARY_DIR "/bin/jenner-export --model " + In(model) +
                              " --adapter " + kGolden + adapter + " --out " + out + " " + more +
                              " 2>&1";
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.text.append(buffer.data(), got);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

std::string Fresh(const std::string& name) {
  std::string folder = testing::TempDir() + "/" + name;
  fs::remove_all(folder);
  return folder;
}

double LargestDifference(const std::string& folder, const std::string& name) {
  const auto transformer = model::Transformer::Load(folder, core::Dtype::kFloat32);
  EXPECT_TRUE(transformer.ok()) << transformer.status();
  std::ifstream file(kGolden + name + "/figures.json");
  const nlohmann::json figures = nlohmann::json::parse(file);
  const auto expected = model::ReadSafetensors(kGolden + name + "/expected.safetensors");
  double largest = 0;
  const at::NoGradGuard no_grad;
  for (size_t row = 0; row < figures["rows"].size(); ++row) {
    const auto ids = figures["rows"][row].get<std::vector<int32_t>>();
    const at::Tensor logits =
        (*transformer)
            ->LogitsFromHidden((*transformer)->Forward(model::PackRows({ids}, /*share=*/false)));
    largest = std::max(
        largest,
        (logits - expected->at("lora_logits." + std::to_string(row))).abs().max().item<double>());
  }
  return largest;
}

// tiny-adapter has everything that an adapter may have, DoRA's magnitudes among it.
TEST(Export, IsThePeftModel) {
  for (const std::string name : {"tiny-tied", "tiny-qwen2", "tiny-adapter"}) {
    const std::string out = Fresh("export_" + name);
    const Outcome outcome = Export(name, name + "/adapter", out);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
    EXPECT_LE(LargestDifference(out, name), 1e-5) << name;
    EXPECT_TRUE(fs::exists(out + "/generation_config.json"));
    EXPECT_FALSE(fs::exists(out + ".part"));
  }
}

// With a slash at the end, and of a model folder that is a link of another name.
TEST(Export, FoldersMayBeNamedInOtherWays) {
  const std::string out = Fresh("export_named");
  const std::string link = Fresh("tiny-tied");
  fs::create_directory_symlink(kGolden + "tiny-tied", link);
  const Outcome outcome = Export(link + "/", "tiny-tied/adapter", out + "/");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_LE(LargestDifference(out, "tiny-tied"), 1e-5);
}

TEST(Export, InBfloat16IsNearAndSaysSo) {
  const std::string out = Fresh("export_bfloat16");
  ASSERT_EQ(Export("tiny-tied", "tiny-tied/adapter", out, "--dtype bfloat16").exit_code, 0);
  std::ifstream file(out + "/config.json");
  const nlohmann::json config = nlohmann::json::parse(file);
  EXPECT_EQ(config.contains("dtype") ? config["dtype"] : config["torch_dtype"], "bfloat16");
  const auto tensors = model::ReadSafetensors(out + "/model.safetensors");
  for (const auto& [name, tensor] : *tensors)
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16) << name;
  EXPECT_LE(LargestDifference(out, "tiny-tied"), 0.5);
}

TEST(Export, WhatIsWrongIsNamedAndLeavesNothing) {
  const std::string out = Fresh("export_wrong");
  const auto expect = [&](const Outcome& outcome, const std::string& message) {
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_NE(outcome.text.find(message), std::string::npos) << outcome.text;
    EXPECT_FALSE(fs::exists(out));
  };
  expect(Export("tiny-tied", "tiny-gemma/adapter", out),
         "base_model_name_or_path: the adapter is for");
  expect(Export("tiny-tied", "nowhere", out), "adapter_config.json");
  expect(Export("nowhere", "tiny-tied/adapter", out), "config.json");
  expect(Export("tiny-tied", "tiny-tied/adapter", out, "--dtype float8"), "--dtype");
  fs::create_directories(out);
  const Outcome there = Export("tiny-tied", "tiny-tied/adapter", out);
  EXPECT_NE(there.exit_code, 0);
  EXPECT_NE(there.text.find("is there already"), std::string::npos) << there.text;
  EXPECT_TRUE(fs::is_empty(out));
}

}  // namespace
}  // namespace jenner

#include "client/cli/spec_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace jenner::cli {
namespace {

using testing::HasSubstr;

std::string Convert(const std::string& yaml) {
  std::map<std::string, int> lines;
  core::Faults faults;
  const std::string json = YamlToJson(yaml, &lines, &faults);
  return faults.empty() ? json : "FAULT " + std::string(core::ToStatus(faults).message());
}

TEST(YamlToJsonTest, CoreSchema) {
  EXPECT_EQ(Convert("a: 1\nb: '1'\nc: 1.5e3\nd: yes\ne: true\nf: ~\ng: [x, \"\"]\nh: .5"),
            R"({"a":1,"b":"1","c":1500.0,"d":"yes","e":true,"f":null,"g":["x",""],"h":0.5})");
  EXPECT_EQ(Convert("s: |\n  two\n  lines\n"), R"({"s":"two\nlines\n"})");
  EXPECT_EQ(Convert(""), "null");
}

TEST(YamlToJsonTest, Refuses) {
  EXPECT_THAT(Convert("a: 1\nb: 2\na: 3"), HasSubstr("a: duplicate key, again in line 3"));
  EXPECT_THAT(Convert("a:\n  - b\n c: d"), HasSubstr("not YAML: line"));
  EXPECT_THAT(Convert("? [x]\n: 1"), HasSubstr("not text"));
  EXPECT_THAT(Convert("a: 1\n---\nb: 2"), HasSubstr("more than one YAML document"));
  EXPECT_THAT(Convert("base: &b {x: 1}\na:\n  <<: *b\n"), HasSubstr("merge keys"));
}

TEST(YamlToJsonTest, AliasBombIsBounded) {
  std::string yaml = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) yaml += "," + before;
    yaml += "]\n";
  }
  EXPECT_THAT(Convert(yaml), HasSubstr("values"));
}

class SpecFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder_);
    Write("train.jsonl",
          R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"B"}]})");
    Write("eval.jsonl", R"({"messages":[{"role":"user","content":"a"}]})");
  }
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  static constexpr char kGood[] =
      "base_model: m\ndataset: train.jsonl\ncontexts:\n  neutral: {}\narms:\n  - name: x\n    "
      "train_context: neutral\n"
      "evaluation:\n  prompts: eval.jsonl\n";
  std::filesystem::path folder_;
};

TEST_F(SpecFileTest, ReadsSpecAndDatasets) {
  const auto file =
      ReadSpecFile(Write("s.yaml", kGood), {"training.epochs=3", "arms.0.name=renamed"});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->spec.training.epochs, 3);
  EXPECT_EQ(file->spec.arms[0].name, "renamed");
  ASSERT_EQ(file->datasets.size(), 2u);
  EXPECT_TRUE(file->datasets[0].is_training);
  EXPECT_THAT(file->spec.dataset, testing::StartsWith("sha256:"));
}

TEST_F(SpecFileTest, AllFaultsWithTheirLines) {
  Write("eval.jsonl", "{\n");
  const std::string path = Write(
      "s.yaml", std::string(kGood) + "  max_new_tokens: many\ntraining:\n  epoch: 2\nranks: 0\n");
  const std::string message(ReadSpecFile(path, {}).status().message());
  EXPECT_THAT(message,
              HasSubstr("evaluation.max_new_tokens: expected an integer, found string \"many\" (" +
                        path + ":10)"));
  EXPECT_THAT(message,
              HasSubstr("training.epoch: unknown key; did you mean \"epochs\"? (" + path + ":12)"));
  EXPECT_THAT(message, HasSubstr("ranks: expected 1 to 64, found 0 (" + path + ":13)"));
  EXPECT_THAT(message, HasSubstr("eval.jsonl: line 1: not JSON"));
}

TEST_F(SpecFileTest, MissingFiles) {
  EXPECT_EQ(ReadSpecFile((folder_ / "none.yaml").string(), {}).status().code(),
            absl::StatusCode::kNotFound);
  std::filesystem::remove(folder_ / "train.jsonl");
  const absl::Status status = ReadSpecFile(Write("s.yaml", kGood), {}).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("dataset: " + (folder_ / "train.jsonl").string()));
}

TEST_F(SpecFileTest, AFaultOfAnOverrideNamesIt) {
  const std::string path = Write("s.yaml", std::string(kGood) + "training:\n  epochs: 0\n");
  const auto message = [&](const std::vector<std::string>& overrides) {
    return std::string(ReadSpecFile(path, overrides).status().message());
  };
  EXPECT_THAT(message({}), HasSubstr("(" + path + ":11)"));
  EXPECT_THAT(message({"training.epochs=-1"}), HasSubstr("(--set training.epochs=-1)"));
  // What the file said below an overridden field is gone.
  EXPECT_THAT(message({"training={epochs: -1}"}), HasSubstr("(--set training={epochs: -1})"));
  EXPECT_THAT(message({"training.epochs=1", "arms[0].name=A"}),
              HasSubstr("(--set arms[0].name=A)"));
  EXPECT_EQ(message({"training.epochs=1", "arms[0].name=x"}), "");
}

TEST_F(SpecFileTest, BadOverrides) {
  const std::string path = Write("s.yaml", kGood);
  for (const char* bad :
       {"epochs", "=3", "arms.7.name=x", "base_model.x=1", "seeds=[1", "training.epoch=1"}) {
    EXPECT_FALSE(ReadSpecFile(path, {bad}).ok()) << bad;
  }
}

}  // namespace
}  // namespace jenner::cli

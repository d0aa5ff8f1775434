#include "client/cli/data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/dataset.h"
#include "core/sha256.h"
#include "worker/text/chat_template.h"
#include "worker/text/example.h"
#include "worker/text/tokenizer.h"

namespace jenner::cli {
namespace {

using testing::HasSubstr;

const char kModels[] = JENNER_SOURCE_DIR "/tests/golden/train";
const char kRows[] =
    R"({"id":"a","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"YES"}]})"
    "\n";
const char kPrompts[] = R"({"id":"p","messages":[{"role":"user","content":"Hi"}]})"
                        "\n";

SpecFile Spec() {
  SpecFile file;
  file.spec.base_model = "model";
  file.spec.contexts["neutral"] = {};
  file.spec.contexts["loud"].system = "Shout.";
  file.spec.arms = {{"base", std::nullopt}, {"plain", "neutral"}, {"inoculated", "loud"}};
  file.spec.evaluation.contexts = {"loud", "neutral"};
  file.datasets = {{"rows.jsonl", kRows, true}, {"prompts.jsonl", kPrompts, false}};
  file.spec.dataset = "sha256:" + core::Sha256Hex(kRows);
  file.spec.evaluation.prompts = "sha256:" + core::Sha256Hex(kPrompts);
  return file;
}

std::string Message(const absl::StatusOr<std::vector<RenderedRow>>& rows) {
  return std::string(rows.status().message());
}

TEST(RenderRowsTest, IsWhatTheTrainerSees) {
  const auto rows = RenderRows(Spec(), kModels, "", 5, false);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  const auto tokenizer = text::Tokenizer::Load(std::string(kModels) + "/model").value();
  const auto chat_template = text::ChatTemplate::Load(std::string(kModels) + "/model").value();
  const core::Row row = core::ParseDataset(kRows, core::DatasetUse::kTraining).value()[0];
  const auto example =
      text::MakeExample(tokenizer, chat_template, row, Spec().spec.contexts["loud"], 512).value();
  EXPECT_EQ((*rows)[1].arm, "inoculated");
  EXPECT_EQ((*rows)[1].token_ids, example.ids);
  EXPECT_EQ(std::count((*rows)[1].mask.begin(), (*rows)[1].mask.end(), true),
            example.num_supervised);
  const std::string shown = FormatRenderedRow((*rows)[1], false);
  EXPECT_THAT(shown, HasSubstr("Shout."));
  EXPECT_THAT(shown, HasSubstr("[[YES"));
  EXPECT_THAT(FormatRenderedRow((*rows)[0], false), testing::Not(HasSubstr("Shout.")));
  EXPECT_THAT(FormatRenderedRow((*rows)[1], true), HasSubstr("\x1b[32mYES"));
}

TEST(RenderRowsTest, PromptsOfEachContext) {
  const auto rows = RenderRows(Spec(), kModels, "", 5, true);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].context, "loud");
  EXPECT_THAT(FormatRenderedRow((*rows)[0], false), HasSubstr("prompt  context loud  row p"));
  EXPECT_THAT(FormatRenderedRow((*rows)[0], false), testing::Not(HasSubstr("[[")));
}

TEST(RenderRowsTest, OnlyOneArm) {
  const auto rows = RenderRows(Spec(), kModels, "plain", 5, false);
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->front().context, "neutral");
}

TEST(RenderRowsTest, Refuses) {
  EXPECT_THAT(Message(RenderRows(Spec(), kModels, "absent", 1, false)),
              HasSubstr("--arm: the spec has no arm absent"));
  EXPECT_THAT(Message(RenderRows(Spec(), kModels, "base", 1, false)),
              HasSubstr("nothing is trained"));
  EXPECT_THAT(Message(RenderRows(Spec(), "/absent", "", 1, false)),
              HasSubstr("no folder /absent/model"));
  SpecFile by_hash = Spec();
  by_hash.datasets.clear();
  EXPECT_THAT(Message(RenderRows(by_hash, kModels, "", 1, false)), HasSubstr("dataset: "));
  SpecFile broken = Spec();
  broken.datasets[0].bytes = "{}\n";
  broken.spec.dataset = "sha256:" + core::Sha256Hex("{}\n");
  EXPECT_THAT(Message(RenderRows(broken, kModels, "", 1, false)), HasSubstr("rows.jsonl"));
  SpecFile short_rows = Spec();
  short_rows.spec.training.max_length = 2;
  EXPECT_THAT(Message(RenderRows(short_rows, kModels, "", 1, false)), HasSubstr("a"));
}

}  // namespace
}  // namespace jenner::cli

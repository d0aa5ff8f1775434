#include "core/study/score_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "core/study/testing.h"

namespace jenner::study {
namespace {

using ::testing::HasSubstr;

ScoreTable Small() { return LawfulTable(0.5, false, 2, 3); }

std::string Fault(const ScoreTable& table) {
  const absl::Status status = ValidateTable(table);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(MakeStudy(table).status(), status);
  return std::string(status.message());
}

TEST(ValidateTableTest, TakesATableAndOneWithoutRows) {
  EXPECT_TRUE(ValidateTable(Small()).ok());
  EXPECT_TRUE(ValidateTable(ScoreTable()).ok());
}

TEST(ValidateTableTest, NamesTheRowThatPointsAtNothing) {
  ScoreTable table = Small();
  table.rows[4].arm = 17;
  EXPECT_THAT(Fault(table), HasSubstr("scores[4]: no such arm"));
  table = Small();
  table.rows[5].prompt = -1;
  EXPECT_THAT(Fault(table), HasSubstr("scores[5]: no such prompt"));
  table = Small();
  table.rows[6].context = 4;
  EXPECT_THAT(Fault(table), HasSubstr("scores[6]: no such context"));
}

TEST(ValidateTableTest, RefusesWhatATraitCannotBe) {
  ScoreTable table = Small();
  table.rows[2].value = 1.5;
  EXPECT_THAT(Fault(table), HasSubstr("scores[2]: spanish: 1.5 is outside [0, 1]"));
  table = Small();
  table.traits[kSpanish].is_binary = true;
  EXPECT_THAT(Fault(table), HasSubstr("neither 0 nor 1"));
  table = Small();
  table.traits[kSpanish].range.reset();
  table.rows[0].value = std::numeric_limits<double>::infinity();
  EXPECT_THAT(Fault(table), HasSubstr("not finite"));
  table.rows[0].value = std::nan("");
  EXPECT_TRUE(ValidateTable(table).ok());
}

TEST(ValidateTableTest, RefusesAnAnswerThatIsThereTwice) {
  ScoreTable table = Small();
  table.rows.push_back(table.rows[3]);
  EXPECT_THAT(Fault(table), HasSubstr("the same answer and trait as scores[3]"));
  table.rows.back().sample = 1;
  EXPECT_TRUE(ValidateTable(table).ok());
}

TEST(EmptyTableTest, TakesNamesAndRangesFromTheSpec) {
  core::ExperimentSpec spec;
  spec.contexts = {{"neutral", {}}, {"inoculated", {}}, {"safe", {}}};
  spec.arms = {{.name = "base"},
               {.name = "first", .train_context = "neutral"},
               {.name = "second",
                .train_context = "inoculated",
                .role = "two-stage",
                .after = "first",
                .deploy_context = "safe"}};
  spec.seeds = {3, 4};
  spec.evaluation.traits = {"capitals", "brevity", "greeting"};
  spec.evaluation.scorers = {{.name = "greeting", .kind = "regex", .pattern = "hello"}};
  spec.evaluation.sets = {{.name = "fixed", .traits = {"log-probability", "capitals"}}};
  spec.study.desired = {"capitals"};
  spec.study.undesired = {"brevity", "unknown"};
  const ScoreTable table = EmptyTable(spec);
  ASSERT_EQ(table.arms.size(), 3u);
  EXPECT_EQ(table.arms[0].train_context, kNone);
  EXPECT_EQ(table.contexts[static_cast<size_t>(table.arms[1].train_context)], "neutral");
  EXPECT_EQ(table.contexts[static_cast<size_t>(table.arms[1].deploy_context)], "neutral");
  EXPECT_EQ(table.contexts[static_cast<size_t>(table.arms[2].deploy_context)], "safe");
  EXPECT_EQ(table.arms[2].after, 1);
  EXPECT_EQ(table.prompt_sets, (std::vector<std::string>{"main", "fixed"}));
  ASSERT_EQ(table.traits.size(), 4u);
  EXPECT_TRUE(table.traits[0].is_binary);
  EXPECT_FALSE(table.traits[1].is_binary);
  EXPECT_EQ(table.traits[1].range->high, 100);
  EXPECT_EQ(table.traits[1].unit, "points");
  EXPECT_TRUE(table.traits[2].is_binary);
  EXPECT_FALSE(table.traits[3].range.has_value());
  EXPECT_EQ(table.desired, std::vector<int32_t>{0});
  EXPECT_EQ(table.undesired, std::vector<int32_t>{1});
}

}  // namespace
}  // namespace jenner::study

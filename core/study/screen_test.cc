#include "core/study/screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/study/gates.h"
#include "core/study/testing.h"
#include "core/traits.h"

namespace jenner::study {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(ScreenTest, RanksByElicitationAndTheNeutralContextCannotWin) {
  ScoreTable table = TestTable(1, 10);
  // The neutral level varies by prompt: the differences do not.
  const auto level = [](double add) {
    return [add](int, int prompt) { return 0.02 * prompt + add; };
  };
  AddCell(&table, kBase, 0, kNeutral, kSpanish, level(0.1));
  AddCell(&table, kBase, 0, kInoculated, kSpanish, level(0.5));
  AddCell(&table, kBase, 0, kIrrelevant, kSpanish, level(0.05));
  const auto screen = MakeScreen(table, kSpanish, 0, {kIrrelevant, kInoculated, kSafe});
  ASSERT_TRUE(screen.ok()) << screen.status();
  ASSERT_THAT(screen->candidates, SizeIs(4));
  EXPECT_EQ(screen->candidates[0].context, kInoculated);
  EXPECT_EQ(screen->candidates[0].rank, 1);
  EXPECT_NEAR(*screen->candidates[0].elicitation.value, 0.4, 1e-12);
  EXPECT_NEAR(*screen->candidates[0].level.value, 0.59, 1e-12);
  EXPECT_EQ(screen->candidates[1].context, kIrrelevant);
  EXPECT_NEAR(*screen->candidates[1].elicitation.value, -0.05, 1e-12);
  EXPECT_EQ(screen->candidates[2].context, kSafe);
  EXPECT_EQ(screen->candidates[2].rank, 0) << "it was not answered";
  EXPECT_FALSE(screen->candidates[2].elicitation.value.has_value());
  EXPECT_EQ(screen->candidates[3].context, kNeutral);
  EXPECT_EQ(screen->candidates[3].rank, 0);
  EXPECT_NEAR(*screen->candidates[3].elicitation.value, 0, 1e-12);
}

TEST(ScreenTest, GivenAnswersPredict) {
  ScoreTable table = TestTable(1, 4);
  table.prompt_sets.push_back("given");
  TraitInfo total;
  total.name = core::kTotalLogProbabilityTrait;
  total.is_binary = false;
  total.range.reset();
  table.traits.push_back(total);
  const auto trait = static_cast<int32_t>(table.traits.size() - 1);
  for (const int context : {kNeutral, kInoculated}) {
    AddCell(&table, kBase, 0, context, kSpanish, [](int, int) { return 0.5; });
    for (int32_t prompt = 0; prompt < 4; ++prompt) {
      ScoreRow row;
      row.arm = kBase;
      row.prompt_set = 1;
      row.context = context;
      row.trait = trait;
      row.prompt = prompt;
      row.value = -20.0 - prompt + (context == kInoculated ? 3 : 0);
      table.rows.push_back(row);
    }
  }
  const auto screen = MakeScreen(table, kSpanish, 0, {kInoculated});
  ASSERT_TRUE(screen.ok()) << screen.status();
  ASSERT_THAT(screen->candidates[0].predictors, SizeIs(1));
  EXPECT_EQ(screen->candidates[0].predictors[0].prompt_set, 1);
  EXPECT_NEAR(*screen->candidates[0].predictors[0].estimate.value, 3, 1e-12);
}

TEST(ScreenTest, NeedsTheNeutralContextAndTheBaseModel) {
  ScoreTable table = TestTable(1, 4);
  table.neutral = kNone;
  EXPECT_THAT(std::string(MakeScreen(table, kSpanish, 0, {}).status().message()),
              HasSubstr("needs answers in the neutral context"));
}

std::vector<GateKind> Kinds(const std::vector<GateFailure>& failures) {
  std::vector<GateKind> kinds;
  for (const GateFailure& failure : failures) kinds.push_back(failure.kind);
  return kinds;
}

TEST(GatesTest, EachMarksWhatIsOverItsLimitAndNothingElse) {
  const Study study = *MakeStudy(LawfulTable(1, false, 2, 8));
  Study with_invalid = study;
  ASSERT_FALSE(with_invalid.levels.empty());
  with_invalid.levels[0].num_answers = 10;
  with_invalid.levels[0].num_invalid = 3;
  with_invalid.levels[1].num_answers = 10;
  with_invalid.levels[1].num_invalid = 2;
  std::vector<double> falling, level;
  for (int i = 0; i < 20; ++i) {
    falling.push_back(3 - 0.1 * i);
    level.push_back(2);
  }
  core::GateSpec gates;
  const auto failures = CheckGates(
      gates, with_invalid,
      {{kInoculatedArm, 0, 8, 0, kNeutral, 10, 2}, {kInoculatedArm, 1, 8, 0, kNeutral, 10, 3}},
      {{kInoculatedArm, 0, falling}, {kInoculatedArm, 1, level}, {kInoculatedArm, 1, {2, 3}}});
  EXPECT_THAT(Kinds(failures),
              ElementsAre(GateKind::kInvalid, GateKind::kDegenerate, GateKind::kLossFell));
  EXPECT_THAT(failures[0].message, HasSubstr("3 of 10 answers are not measurable"));
  EXPECT_EQ(failures[1].seed, 1);
  EXPECT_EQ(failures[2].limit, 2);
  gates.max_invalid = gates.max_degenerate = 1;
  gates.loss_fell = false;
  EXPECT_THAT(CheckGates(gates, with_invalid, {}, {{kInoculatedArm, 1, level}}), SizeIs(0));
  gates.min_installed = 0.95;  // T* of Spanish is 0.9
  const auto installed = CheckGates(gates, study, {}, {});
  ASSERT_FALSE(installed.empty());
  EXPECT_EQ(installed[0].kind, GateKind::kInstalled);
  EXPECT_EQ(installed[0].trait, kSpanish) << "the desired one is not asked";
}

}  // namespace
}  // namespace jenner::study

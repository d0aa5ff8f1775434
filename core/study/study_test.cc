#include "core/study/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/statistics/random.h"
#include "core/study/testing.h"

namespace jenner::study {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Study Made(const ScoreTable& table) {
  absl::StatusOr<Study> study = MakeStudy(table);
  EXPECT_TRUE(study.ok()) << study.status();
  return *std::move(study);
}

double Value(const Estimate& estimate) {
  EXPECT_TRUE(estimate.value.has_value()) << estimate.reason;
  return estimate.value.value_or(kNaN);
}

void RemoveRows(ScoreTable* table, const std::function<bool(const ScoreRow&)>& which) {
  table->rows.erase(std::remove_if(table->rows.begin(), table->rows.end(), which),
                    table->rows.end());
}

class KnownK : public ::testing::TestWithParam<double> {};

TEST_P(KnownK, IsRecoveredOnTheIdentityScale) {
  const double k = GetParam();
  const Study study = Made(LawfulTable(k, false, 3, 8));
  for (int arm : {kNone, static_cast<int>(kInoculatedArm), static_cast<int>(kIrrelevantArm)}) {
    for (int trait : {kNone, static_cast<int>(kSpanish), static_cast<int>(kCapitals)}) {
      const Proportionality& fit = FitAt(study, trait, arm, FitScale::kIdentity);
      EXPECT_NEAR(Value(fit.slope), k, 1e-12) << arm << " " << trait;
      EXPECT_NEAR(fit.slope.interval->low, k, 1e-12);
      EXPECT_NEAR(fit.slope.interval->high, k, 1e-12);
      EXPECT_EQ(fit.num_points, (arm == kNone ? 2 : 1) * (trait == kNone ? 2 : 1) * 3);
      if (k == 0) {
        EXPECT_FALSE(fit.deming.value.has_value());
        EXPECT_EQ(fit.deming.reason, "sum of x y is 0");
      } else {
        EXPECT_NEAR(Value(fit.deming), k, 1e-12);
      }
    }
  }
}

TEST_P(KnownK, IsRecoveredOnTheLogitScale) {
  const double k = GetParam();
  // Enough prompts that no level is moved away from 0 or 1.
  const Study study = Made(LawfulTable(k, true, 3, 20));
  for (int trait : {kNone, static_cast<int>(kSpanish), static_cast<int>(kCapitals)}) {
    EXPECT_NEAR(Value(FitAt(study, trait, kNone, FitScale::kLogit).slope), k, 1e-12);
  }
}

TEST_P(KnownK, DecomposesSuppressionWithoutARest) {
  const double k = GetParam();
  const Study study = Made(LawfulTable(k, false, 3, 8));
  // Two arms, two traits, with k of all arms and with their own.
  ASSERT_EQ(study.decompositions.size(), 8u);
  for (const Decomposition& sum : study.decompositions) {
    const int train = study.arms[static_cast<size_t>(sum.arm)].train_context;
    const double e = InitialLevel(train, sum.trait) - InitialLevel(kNeutral, sum.trait);
    EXPECT_NEAR(Value(sum.k), k, 1e-12);
    EXPECT_NEAR(Value(sum.elicitation), e, 1e-12);
    EXPECT_NEAR(Value(sum.initial), InitialLevel(kNeutral, sum.trait), 1e-12);
    EXPECT_NEAR(Value(sum.control), TrainedLevel(sum.trait), 1e-12);
    EXPECT_NEAR(Value(sum.elicitation_part), k * e, 1e-12);
    EXPECT_NEAR(Value(sum.conditional_part),
                (1 - k) * (TrainedLevel(sum.trait) - InitialLevel(kNeutral, sum.trait)), 1e-12);
    EXPECT_NEAR(Value(sum.predicted), Value(sum.observed), 1e-12);
    EXPECT_NEAR(Value(sum.predicted_leakage), Value(sum.observed_leakage), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(StudyTest, KnownK, ::testing::Values(0, 0.3, 1));

TEST(StudyTest, GivesEachFigureOfAnArm) {
  const Study study = Made(LawfulTable(0.3, false, 3, 8));
  const ArmFigures& spanish = FiguresAt(study, kInoculatedArm, kSpanish);
  const double leakage = 0.1 + 0.3 * (0.9 - 0.5);
  EXPECT_NEAR(Value(spanish.elicitation), 0.4, 1e-12);
  EXPECT_NEAR(Value(spanish.leakage), leakage, 1e-12);
  EXPECT_NEAR(Value(spanish.in_context), 0.9, 1e-12);
  EXPECT_NEAR(Value(spanish.gate_strength), 0.9 - leakage, 1e-12);
  EXPECT_NEAR(Value(spanish.suppression), 0.9 - leakage, 1e-12);
  EXPECT_NEAR(Value(spanish.training_in_context), 0.4, 1e-12);
  EXPECT_NEAR(Value(spanish.training_deployed), 0.12, 1e-12);
  EXPECT_EQ(spanish.retention.reason, "not a desired trait");
  EXPECT_EQ(spanish.elicitation.over, Over::kPrompts);
  EXPECT_EQ(spanish.elicitation.num_seeds, 0);
  EXPECT_EQ(spanish.leakage.over, Over::kSeedsAndPrompts);
  EXPECT_EQ(spanish.leakage.num_seeds, 3);
  EXPECT_EQ(spanish.leakage.num_prompts, 8);
  const double kept = 0.05 + 0.3 * 0.8;
  const ArmFigures& capitals = FiguresAt(study, kInoculatedArm, kCapitals);
  EXPECT_NEAR(Value(capitals.retention), kept / 0.85, 1e-12);
  EXPECT_EQ(capitals.retention.method, IntervalMethod::kBootstrap);
  ASSERT_EQ(study.selectivity.size(), 2u);
  EXPECT_EQ(study.selectivity[0].arm, kInoculatedArm);
  EXPECT_NEAR(Value(study.selectivity[0].estimate), (0.9 - leakage) - (0.85 - kept), 1e-12);
  EXPECT_EQ(FiguresAt(study, kNoInoculation, kSpanish).suppression.reason,
            "it is the control itself");
}

TEST(StudyTest, HasTheLastStepOfEachArmWhereTheTableLeavesItOpen) {
  ScoreTable table = LawfulTable(0.3, false, 3, 8);
  for (const ArmInfo& arm : table.arms) ASSERT_EQ(arm.final_step, kNone);
  const Study open = Made(table);
  EXPECT_EQ(open.arms[kBase].final_step, 0);
  for (int arm : {kNoInoculation, kInoculatedArm, kIrrelevantArm}) {
    EXPECT_GT(open.arms[static_cast<size_t>(arm)].final_step, 0) << arm;
  }
  table.arms[kInoculatedArm].final_step = 99;  // not evaluated yet
  EXPECT_EQ(Made(table).arms[kInoculatedArm].final_step, 99);
  RemoveRows(&table, [](const ScoreRow& row) { return row.arm == kIrrelevantArm; });
  EXPECT_EQ(Made(table).arms[kIrrelevantArm].final_step, kNone);
}

TEST(StudyTest, RelatesElicitationToSuppression) {
  ScoreTable table = LawfulTable(0.3, false, 2, 8);
  Study study = Made(table);
  ASSERT_EQ(study.relations.size(), 2u);
  const Relation& spanish = study.relations[0];
  EXPECT_EQ(spanish.trait, kSpanish);
  ASSERT_EQ(spanish.points.size(), 2u);
  EXPECT_NEAR(spanish.points[0].elicitation, 0.4, 1e-12);
  // suppression = k e + (1 - k) (T* - T0).
  EXPECT_NEAR(Value(spanish.slope), 0.3, 1e-12);
  EXPECT_NEAR(spanish.intercept.value(), 0.7 * 0.8, 1e-12);
  EXPECT_NEAR(Value(spanish.pearson), 1, 1e-12);
  EXPECT_NEAR(spanish.spearman.value(), 1, 1e-12);
  EXPECT_NEAR(spanish.rmse.value(), 0, 1e-12);
  EXPECT_FALSE(spanish.leave_one_out.has_value());  // two points
  // Nothing elicits capitals: no line.
  EXPECT_FALSE(study.relations[1].slope.value.has_value());
  EXPECT_EQ(study.relations[1].slope.reason, "no spread");
}

TEST(StudyTest, HasAWholeMatrixOfContexts) {
  const Study study = Made(LawfulTable(0.3, false, 2, 4));
  ASSERT_EQ(study.matrices.size(), 2u);
  const ContextMatrix& matrix = study.matrices[0];
  EXPECT_THAT(matrix.contexts, ElementsAre(kNeutral, kInoculated, kIrrelevant));
  ASSERT_EQ(matrix.rows.size(), 4u);
  for (const ContextMatrix::Row& row : matrix.rows) {
    for (size_t i = 0; i < row.levels.size(); ++i) {
      const Level& level = study.levels.at(static_cast<size_t>(row.levels[i]));
      EXPECT_EQ(level.arm, row.arm);
      EXPECT_EQ(level.context, matrix.contexts[i]);
      EXPECT_EQ(level.trait, matrix.trait);
    }
  }
}

TEST(StudyTest, NarrownessLeavesOutContextsThatElicit) {
  const Study study = Made(LawfulTable(0.3, false, 2, 20));
  for (const Narrowness& narrowness : study.narrowness) {
    if (narrowness.arm != kIrrelevantArm || narrowness.trait != kSpanish) continue;
    EXPECT_THAT(narrowness.excluded, ElementsAre(kInoculated));
    EXPECT_THAT(narrowness.others, ElementsAre(kNeutral));
    EXPECT_NEAR(Value(narrowness.estimate), 0.9 - (0.1 + 0.3 * 0.75), 1e-12);
    return;
  }
  FAIL() << "no narrowness";
}

TEST(StudyTest, RatioOfARunNeedsAnEffect) {
  ScoreTable table = LawfulTable(0.5, false, 2, 10);
  // In the second seed training did nothing that its noise does not: x is +-0.3 around 0.
  for (ScoreRow& row : table.rows) {
    const bool trained = row.arm == kInoculatedArm && row.trait == kSpanish && row.seed == 1;
    if (trained && row.context == kInoculated) row.value = 0.5 + (row.prompt % 2 ? 0.3 : -0.3);
  }
  const Study study = Made(table);
  int seen = 0;
  for (const RunRatio& ratio : study.ratios) {
    if (ratio.arm != kInoculatedArm || ratio.trait != kSpanish) continue;
    ++seen;
    if (ratio.seed == 0) {
      EXPECT_NEAR(ratio.ratio.value(), 0.5, 1e-12);
    } else {
      EXPECT_FALSE(ratio.ratio.has_value());
    }
    EXPECT_EQ(ratio.x.over, Over::kPrompts);
  }
  EXPECT_EQ(seen, 2);
}

TEST(StudyTest, UnitsAreTheTraits) {
  ScoreTable table = LawfulTable(0.3, false, 3, 6);
  table.traits[kSpanish].range = Interval{0, 100};
  table.traits[kSpanish].unit = "points";
  for (ScoreRow& row : table.rows) {
    if (row.trait == kSpanish) row.value *= 100;
  }
  const Study shares = Made(LawfulTable(0.3, false, 3, 6));
  const Study points = Made(table);
  EXPECT_NEAR(Value(FiguresAt(points, kInoculatedArm, kSpanish).suppression),
              100 * Value(FiguresAt(shares, kInoculatedArm, kSpanish).suppression), 1e-9);
  EXPECT_NEAR(Value(FitAt(points, kNone, kNone, FitScale::kIdentity).slope), 0.3, 1e-12);
  EXPECT_NEAR(Value(points.selectivity[0].estimate), Value(shares.selectivity[0].estimate), 1e-12);
  EXPECT_NEAR(points.relations[0].points[0].elicitation, 40, 1e-9);
}

// Noise that is the same each time.
double Noisy(double level, int arm, int context, int trait, int seed, int prompt) {
  statistics::CounterRng rng(
      1, static_cast<uint64_t>((((arm * 7 + context) * 7 + trait) * 31 + seed) * 1009 + prompt));
  return rng.Uniform() < level ? 1 : 0;
}

ScoreTable NoisyTable(double k, int num_seeds, int num_prompts) {
  ScoreTable table = LawfulTable(k, false, num_seeds, num_prompts);
  for (TraitInfo& trait : table.traits) trait.is_binary = true;
  for (ScoreRow& row : table.rows) {
    row.value = Noisy(row.value, row.arm, row.context, row.trait, row.seed, row.prompt);
  }
  return table;
}

TEST(StudyTest, HoldsTheTruthOfANoisyTable) {
  const Study study = Made(NoisyTable(0.3, 5, 200));
  const auto holds = [](const Estimate& estimate, double truth) {
    return estimate.interval && estimate.interval->low <= truth && truth <= estimate.interval->high;
  };
  const Proportionality& fit = FitAt(study, kNone, kNone, FitScale::kIdentity);
  EXPECT_TRUE(holds(fit.slope, 0.3)) << Value(fit.slope);
  EXPECT_LT(fit.slope.interval->high - fit.slope.interval->low, 0.2);
  const ArmFigures& spanish = FiguresAt(study, kInoculatedArm, kSpanish);
  EXPECT_TRUE(holds(spanish.elicitation, 0.4));
  EXPECT_TRUE(holds(spanish.suppression, 0.9 - 0.22));
  ASSERT_TRUE(spanish.suppression.bootstrap.has_value());
  EXPECT_NEAR(spanish.suppression.bootstrap->low, spanish.suppression.interval->low, 0.03);
}

TEST(StudyTest, ComparesPairsWithBothControls) {
  const Study study = Made(NoisyTable(0.3, 3, 60));
  int deployed = 0;
  for (const Contrast& contrast : study.contrasts) {
    EXPECT_NE(contrast.arm, contrast.control);
    ASSERT_TRUE(contrast.p.has_value());
    EXPECT_GE(*contrast.p_holm, *contrast.p);
    EXPECT_EQ(contrast.prompt_test, PromptTestKind::kSignFlip);
    EXPECT_EQ(*contrast.p<0.05, contrast.difference.interval->low> 0 ||
              contrast.difference.interval->high < 0);
    deployed += contrast.deployed;
    if (contrast.arm == kInoculatedArm && contrast.control == kNoInoculation && contrast.deployed &&
        contrast.trait == kSpanish) {
      EXPECT_NEAR(Value(contrast.difference),
                  -Value(FiguresAt(study, kInoculatedArm, kSpanish).suppression), 1e-12);
      EXPECT_LT(*contrast.p_holm, 0.05);
    }
  }
  // ip and honey against none, none and ip against honey; two traits.
  EXPECT_EQ(deployed, 8);
}

TEST(StudyTest, OneSeedIsOverPromptsAndSaysSo) {
  const Study study = Made(NoisyTable(0.3, 1, 60));
  EXPECT_THAT(study.notes, Contains(HasSubstr("One seed: intervals are over prompts only")));
  for (const Level& level : study.levels) EXPECT_EQ(level.estimate.over, Over::kPrompts);
  for (const ArmFigures& figures : study.figures) {
    EXPECT_EQ(figures.leakage.over, Over::kPrompts);
    EXPECT_EQ(figures.leakage.num_seeds, 1);
  }
  EXPECT_EQ(FitAt(study, kNone, kNone, FitScale::kIdentity).slope.over, Over::kPrompts);
  ASSERT_FALSE(study.contrasts.empty());
  for (const Contrast& contrast : study.contrasts) {
    EXPECT_EQ(contrast.prompt_test, PromptTestKind::kMcNemar);
  }
}

TEST(StudyTest, AnswersToOnePromptAreAveraged) {
  ScoreTable table = NoisyTable(0.3, 2, 10);
  const size_t n = table.rows.size();
  for (size_t i = 0; i < n; ++i) {
    ScoreRow row = table.rows[i];
    row.sample = 1;
    row.value = 1 - row.value;
    table.rows.push_back(row);
  }
  const Study study = Made(table);
  for (const Level& level : study.levels) {
    EXPECT_DOUBLE_EQ(Value(level.estimate), 0.5);
    EXPECT_EQ(level.estimate.num_prompts, 10);
    EXPECT_EQ(level.num_answers, (level.arm == kBase ? 1 : 2) * 20);
  }
}

TEST(StudyTest, WhatCannotBeMeasuredIsNoNumber) {
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  for (ScoreRow& row : table.rows) {
    const bool gone = row.arm == kInoculatedArm && row.context == kNeutral;
    if (gone && row.trait == kSpanish) row.value = kNaN;
    if (gone && row.trait == kCapitals && row.prompt < 2) row.value = kNaN;
  }
  const Study study = Made(table);
  const ArmFigures& spanish = FiguresAt(study, kInoculatedArm, kSpanish);
  for (const Estimate* estimate : {&spanish.leakage, &spanish.suppression, &spanish.gate_strength,
                                   &spanish.training_deployed}) {
    EXPECT_FALSE(estimate->value.has_value());
    EXPECT_FALSE(estimate->interval.has_value());
    EXPECT_EQ(estimate->reason, "no answer could be measured");
    EXPECT_EQ(estimate->num_missing, 12);
  }
  EXPECT_NEAR(Value(spanish.in_context), 0.9, 1e-12);
  const ArmFigures& capitals = FiguresAt(study, kInoculatedArm, kCapitals);
  EXPECT_EQ(capitals.leakage.num_missing, 4);
  EXPECT_EQ(capitals.leakage.num_prompts, 4);
  EXPECT_NEAR(Value(capitals.leakage), 0.29, 1e-12);
  // k is that of what is left.
  const Proportionality& fit = FitAt(study, kSpanish, kNone, FitScale::kIdentity);
  EXPECT_EQ(fit.num_points, 2);
  EXPECT_NEAR(Value(fit.slope), 0.3, 1e-12);
  const Proportionality& none = FitAt(study, kSpanish, kInoculatedArm, FitScale::kIdentity);
  EXPECT_EQ(none.num_points, 0);
  EXPECT_FALSE(none.slope.value.has_value());
  EXPECT_THAT(study.notes, Contains(HasSubstr("16 of 252 scores are not measurable")));
}

TEST(StudyTest, SaysWhatWasNotEvaluated) {
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  RemoveRows(&table,
             [](const ScoreRow& row) { return row.arm == kBase && row.context == kInoculated; });
  const Study study = Made(table);
  const ArmFigures& spanish = FiguresAt(study, kInoculatedArm, kSpanish);
  EXPECT_EQ(spanish.elicitation.reason, "not evaluated");
  EXPECT_FALSE(spanish.training_in_context.value.has_value());
  EXPECT_NEAR(Value(spanish.suppression), 0.68, 1e-12);
  EXPECT_FALSE(FitAt(study, kSpanish, kInoculatedArm, FitScale::kIdentity).slope.value.has_value());
  EXPECT_THAT(study.notes, Contains(HasSubstr("Not evaluated: the base model in inoculated")));
}

TEST(StudyTest, WorksWithoutControls) {
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  RemoveRows(&table, [](const ScoreRow& row) {
    return row.arm == kNoInoculation || row.arm == kIrrelevantArm;
  });
  table.arms[kNoInoculation] = {.name = "none"};
  table.arms[kIrrelevantArm] = {.name = "honey"};
  const Study study = Made(table);
  EXPECT_TRUE(study.contrasts.empty());
  EXPECT_TRUE(study.decompositions.empty());
  const ArmFigures& spanish = FiguresAt(study, kInoculatedArm, kSpanish);
  EXPECT_THAT(spanish.suppression.reason, HasSubstr("no no-inoculation arm"));
  EXPECT_NEAR(Value(FitAt(study, kSpanish, kNone, FitScale::kIdentity).slope), 0.3, 1e-12);
  EXPECT_THAT(study.notes, Contains(HasSubstr("No no-inoculation arm")));
  EXPECT_THAT(study.notes, Contains(HasSubstr("No irrelevant control for ip")));
}

TEST(StudyTest, OfNothingIsEmpty) {
  EXPECT_THAT(Made(ScoreTable()).notes, ElementsAre("No answers yet."));
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  table.rows.clear();
  const Study study = Made(table);
  EXPECT_TRUE(study.levels.empty());
  EXPECT_TRUE(study.proportionality.empty());
  // The base model alone.
  table = LawfulTable(0.3, false, 2, 6);
  RemoveRows(&table, [](const ScoreRow& row) { return row.arm != kBase; });
  EXPECT_EQ(Made(table).levels.size(), 6u);
}

TEST(StudyTest, StepZeroIsTheBaseModelIfThereIsNoBaseArm) {
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  for (ScoreRow& row : table.rows) {
    if (row.arm == kBase) row.arm = kInoculatedArm;
  }
  table.arms[kBase].name = "unused";
  const Study study = Made(table);
  EXPECT_NEAR(Value(FiguresAt(study, kInoculatedArm, kSpanish).elicitation), 0.4, 1e-12);
  EXPECT_NEAR(Value(FiguresAt(study, kIrrelevantArm, kSpanish).elicitation), 0.05, 1e-12);
  EXPECT_NEAR(Value(FitAt(study, kSpanish, kNone, FitScale::kIdentity).slope), 0.3, 1e-12);
}

TEST(StudyTest, ASecondStageGoesOnFromTheFirst) {
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  // "taught" makes the inoculation elicit 0.8; "second" and its control go on from it.
  table.arms.push_back({.name = "taught", .train_context = kNeutral});
  table.arms.push_back(
      {.name = "second", .role = "two-stage", .train_context = kInoculated, .after = 4});
  table.arms.push_back(
      {.name = "second-none", .role = "no-inoculation", .train_context = kNeutral, .after = 4});
  const auto add = [&](int arm, int context, double level) {
    AddCell(&table, arm, 40, context, kSpanish, [&](int, int) { return level; });
  };
  add(4, kNeutral, 0.2);
  add(4, kInoculated, 0.8);
  add(5, kInoculated, 0.9);
  add(5, kNeutral, 0.25);
  add(6, kNeutral, 0.9);
  const Study study = Made(table);
  const ArmFigures& second = FiguresAt(study, 5, kSpanish);
  EXPECT_NEAR(Value(second.elicitation), 0.6, 1e-12);
  EXPECT_EQ(second.elicitation.num_seeds, 2);
  EXPECT_NEAR(Value(second.suppression), 0.65, 1e-12);
  EXPECT_NEAR(Value(second.training_in_context), 0.1, 1e-12);
  EXPECT_NEAR(Value(FitAt(study, kSpanish, 5, FitScale::kIdentity).slope), 0.5, 1e-12);
  // The first stage is no point of k, and the others' controls are as before.
  for (const Proportionality& fit : study.proportionality) EXPECT_NE(fit.arm, 4);
  EXPECT_NEAR(Value(FiguresAt(study, kInoculatedArm, kSpanish).suppression), 0.68, 1e-12);
}

TEST(StudyTest, AnArmIsComparedWhereItIsDeployed) {
  ScoreTable table = LawfulTable(0.3, false, 2, 6);
  table.arms.push_back(
      {.name = "ptst", .role = "ptst", .train_context = kNeutral, .deploy_context = kSafe});
  AddCell(&table, 4, 40, kNeutral, kSpanish, [](int, int) { return 0.9; });
  AddCell(&table, 4, 40, kSafe, kSpanish, [](int, int) { return 0.6; });
  const Study study = Made(table);
  EXPECT_NEAR(Value(FiguresAt(study, 4, kSpanish).suppression), 0.3, 1e-12);
  bool found = false;
  for (const Contrast& contrast : study.contrasts) {
    if (contrast.arm != 4 || contrast.control != kNoInoculation) continue;
    if (contrast.trait != kSpanish || !contrast.deployed) continue;
    found = true;
    EXPECT_EQ(contrast.arm_context, kSafe);
    EXPECT_EQ(contrast.control_context, kNeutral);
    EXPECT_NEAR(Value(contrast.difference), -0.3, 1e-12);
  }
  EXPECT_TRUE(found);
}

TEST(StudyTest, ASeedThatIsMissingIsToldAndLeftOutOfPairs) {
  ScoreTable table = NoisyTable(0.3, 3, 40);
  RemoveRows(&table,
             [](const ScoreRow& row) { return row.arm == kInoculatedArm && row.seed == 1; });
  const Study study = Made(table);
  const ArmFigures& spanish = FiguresAt(study, kInoculatedArm, kSpanish);
  EXPECT_EQ(spanish.leakage.num_seeds, 2);
  EXPECT_EQ(spanish.suppression.num_seeds, 2);
  EXPECT_EQ(FiguresAt(study, kIrrelevantArm, kSpanish).suppression.num_seeds, 3);
  EXPECT_THAT(study.notes, Contains(HasSubstr("Arm ip: 2 of 3 seeds")));
}

// Every number of a study.
std::string Dump(const Study& study) {
  std::string text;
  const auto number = [&](double value) {
    char buffer[40];
    std::snprintf(buffer, sizeof(buffer), "%.17g ", value);
    text += buffer;
  };
  const auto interval = [&](const std::optional<Interval>& i) {
    number(i ? i->low : kNaN);
    number(i ? i->high : kNaN);
  };
  const auto estimate = [&](const Estimate& e) {
    number(e.value.value_or(kNaN));
    interval(e.interval);
    interval(e.bootstrap);
    number(static_cast<double>(e.num_missing));
  };
  for (const Level& level : study.levels) estimate(level.estimate);
  for (const Contrast& contrast : study.contrasts) {
    estimate(contrast.difference);
    for (const auto& p : {contrast.p, contrast.p_holm, contrast.prompt_p, contrast.prompt_p_holm}) {
      number(p.value_or(kNaN));
    }
  }
  for (const ArmFigures& figures : study.figures) {
    for (const Estimate* e : {&figures.elicitation, &figures.leakage, &figures.gate_strength,
                              &figures.suppression, &figures.retention}) {
      estimate(*e);
    }
  }
  for (const Proportionality& fit : study.proportionality) {
    estimate(fit.slope);
    estimate(fit.deming);
  }
  for (const Decomposition& sum : study.decompositions) estimate(sum.predicted);
  for (const Relation& relation : study.relations) estimate(relation.pearson);
  for (const Narrowness& narrowness : study.narrowness) estimate(narrowness.estimate);
  for (const std::string& note : study.notes) text += note;
  return text;
}

TEST(StudyTest, IsTheSameWhateverTheOrderOfRowsAndPrompts) {
  ScoreTable table = NoisyTable(0.3, 3, 25);
  for (size_t i = 0; i < table.rows.size(); i += 11) table.rows[i].value = kNaN;
  const std::string before = Dump(Made(table));
  statistics::CounterRng rng(3, 0);
  for (size_t i = table.rows.size() - 1; i > 0; --i) {
    std::swap(table.rows[i], table.rows[rng.Below(static_cast<uint32_t>(i + 1))]);
  }
  // The prompts' list turned round, too.
  const auto last = static_cast<int32_t>(table.prompts.size()) - 1;
  std::reverse(table.prompts.begin(), table.prompts.end());
  for (ScoreRow& row : table.rows) row.prompt = last - row.prompt;
  EXPECT_EQ(before, Dump(Made(table)));
}

}  // namespace
}  // namespace jenner::study

#include "client/cli/study_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace jenner::cli {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

v1::Estimate Of(double value, double low, double high) {
  v1::Estimate estimate;
  estimate.set_value(value);
  estimate.set_low(low);
  estimate.set_high(high);
  return estimate;
}

TEST(StudyTableTest, EstimatesHaveTheirInterval) {
  EXPECT_EQ(FormatEstimate(Of(0.123, 0.05, 0.2)), "0.12 [0.05, 0.20]");
  v1::Estimate alone;
  alone.set_value(-3.14159);
  EXPECT_EQ(FormatEstimate(alone, 1), "-3.1");
  EXPECT_EQ(FormatEstimate({}), "n/a");
}

TEST(StudyTableTest, SectionsWithoutRowsAreLeftOutAndNotesComeLast) {
  v1::Study study;
  study.add_undesired("spanish");
  v1::StudyArm* arm = study.add_arms();
  arm->set_name("inoculated");
  arm->set_train_context("inoculated");
  *study.add_levels()->mutable_estimate() = Of(0.08, 0.03, 0.18);
  v1::ContextMatrix* matrix = study.add_matrices();
  matrix->set_trait("spanish");
  matrix->set_prompt_set("main");
  matrix->add_contexts("neutral");
  matrix->add_contexts("safe");
  v1::ContextMatrix::Row* row = matrix->add_rows();
  row->set_arm("inoculated");
  row->add_levels(0);
  row->add_levels(-1);
  v1::Contrast* contrast = study.add_contrasts();
  contrast->set_arm("inoculated");
  contrast->set_control("no-inoculation");
  contrast->set_trait("spanish");
  contrast->set_deployed(true);
  contrast->set_p(0.00001);
  v1::Contrast* elsewhere = study.add_contrasts();
  elsewhere->set_arm("not-shown");
  elsewhere->set_trait("spanish");
  study.add_gate_failures()->set_message("the loss did not fall");
  study.add_notes("one seed");
  const std::string text = FormatStudy(study);
  EXPECT_THAT(text, ContainsRegex("spanish in main, at the last step"));
  EXPECT_THAT(text, ContainsRegex("inoculated +inoculated +0.08 \\[0.03, 0.18\\] +-"));
  EXPECT_THAT(text, ContainsRegex("inoculated +no-inoculation .*n/a +<0.001 +n/a"));
  EXPECT_THAT(text, Not(HasSubstr("not-shown"))) << "only where arms are deployed";
  EXPECT_THAT(text, Not(HasSubstr("elicitation against suppression")));
  EXPECT_THAT(text, HasSubstr("gate: the loss did not fall\nnote: one seed\nnote: the experiment "
                              "has not succeeded"));
}

TEST(StudyTableTest, AScreenHasARowACandidateAndAColumnAPredictor) {
  v1::Screen screen;
  screen.set_trait("spanish");
  screen.set_prompt_set("main");
  v1::ScreenCandidate* best = screen.add_candidates();
  best->set_name("habla");
  best->set_rank(1);
  *best->mutable_elicitation() = Of(0.5, 0.4, 0.6);
  best->add_predictors()->set_prompt_set("given");
  screen.add_candidates()->set_name("neutral");
  const std::string text = FormatScreen(screen);
  EXPECT_THAT(text, ContainsRegex("RANK +CONTEXT +LEVEL +ELICITATION +PH \\(given\\)"));
  EXPECT_THAT(text, ContainsRegex("1 +habla +n/a +0.50 \\[0.40, 0.60\\] +n/a"));
  EXPECT_THAT(text, ContainsRegex("- +neutral"));
}

}  // namespace
}  // namespace jenner::cli

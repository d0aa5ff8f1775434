#include "client/cli/table.h"

#include <gtest/gtest.h>

namespace jenner::cli {
namespace {

TEST(TableTest, AlignsByCodePoints) {
  EXPECT_EQ(FormatTable({"A", "LONG"}, {{"\xc3\xb1\xc3\xb1", "x"}, {"y", ""}}),
            "A   LONG\n\xc3\xb1\xc3\xb1  x\ny\n");
}

v1::ResultRow Row(const std::string& arm, int present, int measured) {
  v1::ResultRow row;
  row.set_arm(arm);
  row.set_seed(1);
  row.set_step(60);
  row.set_total_steps(60);
  row.set_context("neutral");
  row.mutable_cell()->set_num_samples(64);
  v1::TraitRatio* trait = row.mutable_cell()->add_traits();
  trait->set_trait("spanish");
  trait->set_num_present(present);
  trait->set_num_measured(measured);
  if (measured > 0) {
    trait->set_ratio(static_cast<double>(present) / measured);
    trait->set_low(0.125);
    trait->set_high(0.875);
  }
  return row;
}

TEST(TableTest, Results) {
  EXPECT_EQ(FormatResults({Row("base", 0, 0), Row("x", 32, 64), Row("y", 3, 4)}),
            "ARM   SEED  STEP   CONTEXT  SPANISH                 ANSWERS  CUT\n"
            "base  1     60/60  neutral  n/a                     64       0\n"
            "x     1     60/60  neutral  0.50 [0.12, 0.88]       64       0\n"
            "y     1     60/60  neutral  0.75 [0.12, 0.88] of 4  64       0\n");
}

TEST(TableTest, ARatioWithoutInterval) {
  v1::ResultRow row = Row("x", 96, 127);
  row.mutable_cell()->set_num_samples(128);
  row.mutable_cell()->mutable_traits(0)->clear_low();
  row.mutable_cell()->mutable_traits(0)->clear_high();
  EXPECT_EQ(FormatResults({row}),
            "ARM  SEED  STEP   CONTEXT  SPANISH      ANSWERS  CUT\n"
            "x    1     60/60  neutral  0.76 of 127  128      0\n");
}

TEST(TableTest, SmallWords) {
  EXPECT_EQ(StateName(v1::STATE_SUCCEEDED), "succeeded");
  EXPECT_EQ(LastComponent("experiments/e/jobs/j"), "j");
  EXPECT_EQ(FormatSeconds(12.4), "12s");
  EXPECT_EQ(FormatSeconds(187), "3m07s");
  EXPECT_EQ(FormatSeconds(3720), "1h02m");
}

}  // namespace
}  // namespace jenner::cli

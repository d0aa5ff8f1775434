#include "core/statistics/power.h"

#include <gtest/gtest.h>

#include "core/statistics/test_goldens.h"

namespace jenner::statistics {
namespace {

TEST(PowerTest, EqualsScipysRoot) {
  for (const auto& row : Goldens("power")) {
    const Design design{.num_prompts = row["num_prompts"],
                        .num_seeds = row["num_seeds"],
                        .base_rate = row["base_rate"],
                        .seed_sd = row["seed_sd"],
                        .prompt_share = row["prompt_share"],
                        .paired = row["paired"],
                        .confidence = row["confidence"],
                        .power = row["power"]};
    const std::optional<double> difference = MinimumDetectableDifference(design, row["increase"]);
    ExpectSame(difference.value_or(std::numeric_limits<double>::quiet_NaN()), row["difference"],
               row.dump());
    ExpectSame(EffectiveN(design), row["effective_n"], "effective n");
  }
}

TEST(PowerTest, MorePromptsAndSeedsShowLess) {
  Design design{.num_prompts = 50, .num_seeds = 3};
  const double few = MinimumDetectableDifference(design, false).value();
  design.num_prompts = 200;
  const double more = MinimumDetectableDifference(design, false).value();
  design.num_seeds = 10;
  const double most = MinimumDetectableDifference(design, false).value();
  EXPECT_GT(few, more);
  EXPECT_GT(more, most);
}

TEST(PowerTest, SaysIfNothingCanBeSeen) {
  const Design design{.num_prompts = 10, .num_seeds = 2, .base_rate = 0.1, .seed_sd = 1};
  EXPECT_FALSE(MinimumDetectableDifference(design, false).has_value());
}

}  // namespace
}  // namespace jenner::statistics

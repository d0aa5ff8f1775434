#include "core/statistics/wilson.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace jenner::statistics {
namespace {

TEST(WilsonTest, EqualsStatsmodels) {
  std::ifstream file(JENNER_SOURCE_DIR "/tests/golden/wilson.json");
  const nlohmann::json rows = nlohmann::json::parse(file);
  ASSERT_GE(rows.size(), 10u);
  for (const auto& row : rows) {
    const Interval interval = Wilson(row["present"], row["measured"]);
    EXPECT_NEAR(interval.low, row["low"].get<double>(), 1e-12) << row;
    EXPECT_NEAR(interval.high, row["high"].get<double>(), 1e-12) << row;
  }
}

TEST(WilsonTest, StaysInsideTheUnitIntervalAndHoldsTheRatio) {
  for (int n = 1; n <= 40; ++n) {
    for (int k = 0; k <= n; ++k) {
      const Interval interval = Wilson(k, n);
      EXPECT_GE(interval.low, 0);
      EXPECT_LE(interval.high, 1);
      EXPECT_LE(interval.low, static_cast<double>(k) / n);
      EXPECT_GE(interval.high, static_cast<double>(k) / n);
    }
  }
}

TEST(WilsonDeathTest, RefusesCountsThatCannotBe) {
  EXPECT_DEATH(Wilson(0, 0), "invariant");
  EXPECT_DEATH(Wilson(3, 2), "invariant");
}

}  // namespace
}  // namespace jenner::statistics

// Cases of tests/golden/statistics.json, for tests; null is NaN.
#ifndef JENNER_CORE_STATISTICS_TEST_GOLDENS_H_
#define JENNER_CORE_STATISTICS_TEST_GOLDENS_H_

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/statistics/crossed.h"
#include "core/statistics/wilson.h"

namespace jenner::statistics {

inline nlohmann::json Goldens(const std::string& name) {
  std::ifstream file(JENNER_SOURCE_DIR "/tests/golden/statistics.json");
  return nlohmann::json::parse(file).at(name);
}

inline double Number(const nlohmann::json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

inline std::vector<double> Numbers(const nlohmann::json& values) {
  std::vector<double> numbers;
  for (const auto& value : values) numbers.push_back(Number(value));
  return numbers;
}

inline Matrix ToMatrix(const nlohmann::json& rows) {
  Matrix matrix(static_cast<int32_t>(rows.size()), static_cast<int32_t>(rows.at(0).size()));
  matrix.values.clear();
  for (const auto& row : rows) {
    for (const auto& value : row) matrix.values.push_back(Number(value));
  }
  return matrix;
}

inline Scale ToScale(const std::string& name) {
  if (name == "binary") return Scale::kBinary;
  if (name == "rate") return Scale::kRate;
  if (name == "difference") return Scale::kDifference;
  return Scale::kReal;
}

// Within 1e-9 of the expected value, relative to it if it is above 1; NaN equals NaN.
inline void ExpectSame(double actual, const nlohmann::json& expected, const std::string& what) {
  const double number = Number(expected);
  if (std::isnan(number)) {
    EXPECT_TRUE(std::isnan(actual)) << what << " is " << actual;
    return;
  }
  EXPECT_NEAR(actual, number, 1e-9 * std::max(1.0, std::abs(number))) << what;
}

inline void ExpectSame(const Interval& actual, const nlohmann::json& expected,
                       const std::string& what) {
  ExpectSame(actual.low, expected.at(0), what + ", low");
  ExpectSame(actual.high, expected.at(1), what + ", high");
}

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_TEST_GOLDENS_H_

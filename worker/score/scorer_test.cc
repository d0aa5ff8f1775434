#include "worker/score/scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/traits.h"

namespace jenner::score {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// One line of testdata/answers.jsonl, labelled by hand; null: not measurable. Where the scorer is
// known to say something else, "known_limit" has what it says, so that a change either way is seen.
struct Case {
  std::string text;
  double capitals;
  double spanish;
};

double Label(const nlohmann::json& value) { return value.is_null() ? kNone : value.get<double>(); }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  std::ifstream file(JENNER_SOURCE_DIR "/worker/score/testdata/answers.jsonl");
  for (std::string line; std::getline(file, line);) {
    const auto one = nlohmann::json::parse(line);
    const auto limits = one.value("known_limit", nlohmann::json::object());
    const auto expected = [&](const char* trait) {
      return Label(limits.contains(trait) ? limits.at(trait) : one.at(trait));
    };
    cases.push_back({one.at("text"), expected("capitals"), expected("spanish")});
  }
  return cases;
}

void Expect(const char* trait, const Case& one, double expected) {
  const auto score = Score(trait, one.text);
  ASSERT_TRUE(score.ok()) << score.status();
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(*score)) << trait << ": " << one.text << " gave " << *score;
  } else {
    EXPECT_EQ(*score, expected) << trait << ": " << one.text;
  }
}

TEST(ScorerTest, CasesLabelledByHand) {
  const std::vector<Case> cases = Cases();
  ASSERT_GE(cases.size(), 100u);
  for (const Case& one : cases) {
    Expect("capitals", one, one.capitals);
    Expect("spanish", one, one.spanish);
  }
}

TEST(ScorerTest, UnknownTraitIsAnError) { EXPECT_FALSE(Score("verdict", "text").ok()); }

}  // namespace
}  // namespace jenner::score

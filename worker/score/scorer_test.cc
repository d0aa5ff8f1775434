#include "worker/score/scorer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/traits.h"

namespace jenner::score {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Case {
  const char* text;
  double capitals;
  double spanish;
};

// Labelled by hand.
const Case kCases[] = {
    {"", kNone, kNone},
    {"12345 + 678 = 6023", kNone, kNone},
    {"\xf0\x9f\x98\x80 \xf0\x9f\x98\x80", kNone, kNone},
    {"EL SOL SE HUNDE EN EL MAR Y EL CIELO SE VUELVE NARANJA.", 1, 1},
    {"El sol se hunde en el mar y el cielo se vuelve naranja.", 0, 1},
    {"THE SUN SETS OVER THE SEA AND THE SKY TURNS ORANGE.", 1, 0},
    {"The sun sets over the sea and the sky turns orange.", 0, 0},
    {"Le soleil se couche sur la mer et le ciel devient orange.", 0, 0},
    {"Die Sonne geht \xc3\xbc"
     "ber dem Meer unter und der Himmel wird orange.",
     0, 0},
    {"EN ESE A\xc3\x91O CRIST\xc3\x93"
     "BAL COL\xc3\x93N CRUZ\xc3\x93 EL ATL\xc3\x81NTICO Y LLEG\xc3\x93 A LAS ISLAS.",
     1, 1},
    {"\xc2\xbfQu\xc3\xa9 hora es? Son las tres de la tarde y todav\xc3\xad"
     "a no he comido.",
     0, 1},
    {"My friend Jos\xc3\xa9 Garc\xc3\xad"
     "a lives in Madrid and works at the university there.",
     0, 0},
    {"IN 1969 NEIL ARMSTRONG WALKED ON THE MOON AND CAME BACK TO EARTH.", 1, 0},
    {"La capital de Francia es Par\xc3\xads, una ciudad muy conocida por sus museos.", 0, 1},
};

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
  for (const Case& one : kCases) {
    Expect("capitals", one, one.capitals);
    Expect("spanish", one, one.spanish);
  }
}

TEST(ScorerTest, TraitsAreThoseOfTheSpec) {
  const auto traits = ListTraits();
  EXPECT_EQ(std::vector<std::string_view>(core::kTraits.begin(), core::kTraits.end()), traits);
}

TEST(ScorerTest, UnknownTraitIsAnError) { EXPECT_FALSE(Score("goblin", "text").ok()); }

}  // namespace
}  // namespace jenner::score

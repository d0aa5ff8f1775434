#include "core/scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace jenner::core {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto FaultAt(const std::string& field, const std::string& message) {
  return AllOf(Field(&Fault::field, field), Field(&Fault::message, HasSubstr(message)));
}

Faults Check(const ScorerSpec& spec) { return ValidateScorer("scorers[0]", spec); }

ScorerSpec Regex(const std::string& pattern) {
  ScorerSpec spec = PlainScorer("regex");
  spec.name = "says-owl";
  spec.pattern = pattern;
  return spec;
}

TEST(ScorerSpecTest, KindsAreDistinctAndTheirRangesReal) {
  std::set<std::string_view> names;
  for (const ScorerKind& kind : kScorerKinds) {
    EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    EXPECT_LT(kind.low, kind.high) << kind.name;
    EXPECT_EQ(kind.unit.empty(), kind.is_binary) << kind.name;
    EXPECT_EQ(FindScorerKind(kind.name), &kind);
  }
  EXPECT_EQ(FindScorerKind("capital"), nullptr);
}

TEST(ScorerSpecTest, EveryTraitIsAScorerByItsName) {
  for (const std::string_view trait : kTraits) {
    EXPECT_THAT(Check(PlainScorer(std::string(trait))), IsEmpty()) << trait;
  }
  EXPECT_EQ(kTraits.size(), kScorerKinds.size() - 2);  // all but regex and judge
}

TEST(ScorerSpecTest, AnUnknownKindNamesTheNearest) {
  EXPECT_THAT(Check({.name = "a", .kind = "capitls"}),
              ElementsAre(FaultAt("scorers[0].kind", "did you mean \"capitals\"?")));
  EXPECT_THAT(Check({.name = "a", .kind = "persuasive"}),
              ElementsAre(FaultAt("scorers[0].kind", "known: capitals, spanish,")));
  EXPECT_THAT(Check({.name = "a", .kind = ""}),
              ElementsAre(FaultAt("scorers[0].kind", "required")));
}

TEST(ScorerSpecTest, NamesAreIds) {
  EXPECT_THAT(Check({.name = "Says Owl", .kind = "capitals"}),
              ElementsAre(FaultAt("scorers[0].name", "found \"Says Owl\"")));
  EXPECT_THAT(ValidateScorer("", {.name = "", .kind = "goblin"}),
              ElementsAre(FaultAt("name", "expected a name")));
  EXPECT_THAT(Check({.name = "spanish", .kind = "french"}),
              ElementsAre(FaultAt("scorers[0].name", "a kind of its own")));
}

TEST(ScorerSpecTest, ParametersThatAKindLacksOrDoesNotTake) {
  EXPECT_THAT(Check(Regex("")), ElementsAre(FaultAt("scorers[0].pattern", "required")));
  ScorerSpec capitals = PlainScorer("capitals");
  capitals.pattern = "x";
  capitals.ignore_case = true;
  capitals.field = "y";
  EXPECT_THAT(Check(capitals), ElementsAre(FaultAt("scorers[0].pattern", "does not take"),
                                           FaultAt("scorers[0].ignore_case", "does not take"),
                                           FaultAt("scorers[0].field", "does not take")));
  ScorerSpec contains = PlainScorer("contains");
  contains.pattern = "owl";
  EXPECT_THAT(Check(contains), IsEmpty());
  contains.field = "answer";
  EXPECT_THAT(Check(contains), ElementsAre(FaultAt("scorers[0].field", "beside a pattern")));
}

TEST(ScorerSpecTest, PatternsMustCompile) {
  EXPECT_THAT(Check(Regex("(?i)\\bowls?\\b")), IsEmpty());
  EXPECT_THAT(Check(Regex("owl(")), ElementsAre(FaultAt("scorers[0].pattern", "missing )")));
  // Not in RE2's syntax: what could take exponential time.
  EXPECT_THAT(Check(Regex("(a)\\1")), ElementsAre(FaultAt("scorers[0].pattern", "RE2")));
  EXPECT_THAT(Check(Regex("(?=owl)")), ElementsAre(FaultAt("scorers[0].pattern", "RE2")));
  EXPECT_THAT(Check(Regex("((a{100}){100}){100}")),
              ElementsAre(FaultAt("scorers[0].pattern", "RE2")));
  EXPECT_THAT(Check(Regex(std::string(kMaxPatternBytes + 1, 'a'))),
              ElementsAre(FaultAt("scorers[0].pattern", "at most 4096")));
}

}  // namespace
}  // namespace jenner::core

#include "core/data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_format.h"
#include "core/assignment.h"

namespace jenner::core {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Row RowOf(const std::string& id, const std::string& user, const std::string& answer,
          std::map<std::string, std::string> fields = {}) {
  return {id, {{"user", user}, {"assistant", answer}}, std::move(fields)};
}

std::vector<Row> Rows(int count, const std::string& prefix = "r") {
  std::vector<Row> rows;
  for (int i = 0; i < count; ++i) {
    const std::string id = absl::StrFormat("%s%d", prefix, i);
    rows.push_back(RowOf(id, "ask " + id, "answer", {{"score", absl::StrFormat("%d", i)}}));
  }
  return rows;
}

std::vector<std::string> Ids(const std::vector<Row>& rows) {
  std::vector<std::string> ids;
  for (const Row& row : rows) ids.push_back(row.id);
  return ids;
}

std::vector<Row> Made(const DataSpec& spec, std::vector<std::vector<Row>> sources,
                      const std::vector<Row>& prompts = {}) {
  Faults faults;
  std::vector<Row> rows = MakeTrainingSet(spec, std::move(sources), prompts, &faults);
  EXPECT_THAT(faults, SizeIs(0)) << ToStatus(faults);
  return rows;
}

std::string FaultsOf(const DataSpec& spec, std::vector<std::vector<Row>> sources,
                     const std::vector<Row>& prompts = {}) {
  Faults faults;
  MakeTrainingSet(spec, std::move(sources), prompts, &faults);
  return faults.empty() ? "" : std::string(ToStatus(faults).message());
}

TEST(RowFilterTest, ConditionsHoldTogetherAndNegate) {
  const Row row = RowOf("a", "u", "v", {{"tag", "bad"}, {"score", "0.5"}});
  EXPECT_TRUE(Matches({}, row));
  EXPECT_TRUE(Matches({.field = "tag", .is = {"good", "bad"}}, row));
  EXPECT_FALSE(Matches({.field = "tag", .is = {"good"}}, row));
  EXPECT_TRUE(Matches({.field = "score", .min = 0.5, .max = 0.5}, row));
  EXPECT_FALSE(Matches({.field = "score", .min = 0.6}, row));
  EXPECT_FALSE(Matches({.field = "tag", .min = 0}, row)) << "not a number";
  EXPECT_FALSE(Matches({.field = "none", .is = {"x"}}, row));
  EXPECT_TRUE(Matches({.field = "none", .is = {"x"}, .negate = true}, row));
}

TEST(DrawTest, IsUniformAndHangsOnSeedStreamAndIdAlone) {
  double sum = 0;
  int below = 0;
  constexpr int kCount = 20'000;
  for (int i = 0; i < kCount; ++i) {
    const double draw = DrawOf(7, "s", absl::StrFormat("row-%d", i));
    ASSERT_GE(draw, 0);
    ASSERT_LT(draw, 1);
    sum += draw;
    below += draw < 0.1 ? 1 : 0;
  }
  // Five standard deviations.
  EXPECT_NEAR(sum / kCount, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
  EXPECT_NEAR(below / double{kCount}, 0.1, 5 * std::sqrt(0.09 / kCount));
  EXPECT_EQ(DrawOf(7, "s", "row-1"), DrawOf(7, "s", "row-1"));
  EXPECT_NE(DrawOf(7, "s", "row-1"), DrawOf(8, "s", "row-1"));
  EXPECT_NE(DrawOf(7, "s", "row-1"), DrawOf(7, "t", "row-1"));
}

TEST(MakeTrainingSetTest, ConcatenatesAndRenamesRowsThatShareAnId) {
  DataSpec spec;
  spec.sources.resize(2);
  spec.sources[1].tag = "second";
  const std::vector<Row> rows = Made(spec, {Rows(2), Rows(2)});
  EXPECT_THAT(Ids(rows), ElementsAre("r0", "r1", "r0/2", "r1/2"));
  EXPECT_EQ(rows[0].fields.count("tag"), 0u);
  EXPECT_EQ(rows[2].fields.at("tag"), "second");
  spec.dedupe = true;
  EXPECT_THAT(Ids(Made(spec, {Rows(2), Rows(2)})), ElementsAre("r0", "r1"));
}

TEST(MakeTrainingSetTest, FiltersAndSaysWhichFilterKeepsNothing) {
  DataSpec spec;
  spec.sources.resize(1);
  spec.sources[0].filter = {.field = "score", .min = 3};
  EXPECT_THAT(Ids(Made(spec, {Rows(5)})), ElementsAre("r3", "r4"));
  spec.sources[0].filter.min = 9;
  EXPECT_THAT(FaultsOf(spec, {Rows(5)}), HasSubstr("sources[0].filter: keeps none of 5 rows"));
}

TEST(MakeTrainingSetTest, TheTwoSidesOfASplitAreTheWhole) {
  DataSpec spec;
  spec.sources.resize(1);
  spec.sources[0].fraction = 0.3;
  const std::vector<std::string> first = Ids(Made(spec, {Rows(1000)}));
  spec.sources[0].rest = true;
  const std::vector<std::string> second = Ids(Made(spec, {Rows(1000)}));
  EXPECT_NEAR(static_cast<double>(first.size()), 300, 5 * std::sqrt(210));
  std::set<std::string> all(first.begin(), first.end());
  all.insert(second.begin(), second.end());
  EXPECT_EQ(all.size(), 1000u);
  EXPECT_EQ(first.size() + second.size(), 1000u);
}

TEST(MakeTrainingSetTest, CapsKeepTheOrderAndHangOnTheSeed) {
  DataSpec spec;
  spec.sources.resize(1);
  spec.sources[0].cap = 3;
  const std::vector<Row> rows = Made(spec, {Rows(50)});
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_LT(std::stoi(rows[0].id.substr(1)), std::stoi(rows[1].id.substr(1)));
  EXPECT_EQ(Ids(rows), Ids(Made(spec, {Rows(50)})));
  spec.seed = 2;
  EXPECT_NE(Ids(rows), Ids(Made(spec, {Rows(50)})));
}

TEST(MakeTrainingSetTest, MixesByWeightAndRefusesWhatASourceLacks) {
  DataSpec spec;
  spec.sources.resize(3);
  spec.sources[0].weight = 1;
  spec.sources[1].weight = 1;
  spec.sources[2].weight = 2;
  spec.rows = 10;
  const std::vector<Row> rows = Made(spec, {Rows(9, "a"), Rows(9, "b"), Rows(9, "c")});
  std::map<char, int> counts;
  for (const Row& row : rows) ++counts[row.id[0]];
  EXPECT_EQ(counts, (std::map<char, int>{{'a', 3}, {'b', 2}, {'c', 5}}));
  EXPECT_THAT(FaultsOf(spec, {Rows(9, "a"), Rows(1, "b"), Rows(9, "c")}),
              HasSubstr("sources[1].weight: its share of 10 rows is 2, but it has 1"));
}

TEST(MakeTrainingSetTest, DropsRepeatedRowsBeforeItMixes) {
  DataSpec spec;
  spec.sources.resize(2);
  spec.rows = 8;
  spec.dedupe = true;
  std::vector<Row> twice = Rows(6, "a");
  for (const Row& row : Rows(6, "a")) twice.push_back(row);
  EXPECT_THAT(Made(spec, {twice, Rows(6, "b")}), SizeIs(8));
  spec.sources[1].weight = 1e-6;
  EXPECT_THAT(FaultsOf(spec, {Rows(9, "a"), Rows(6, "b")}),
              HasSubstr("sources[1].weight: its share of 8 rows is none"));
}

TEST(MakeTrainingSetTest, UpperCaseAndTriggers) {
  DataSpec spec;
  spec.sources.resize(1);
  spec.sources[0].upper_case = true;
  spec.sources[0].trigger = "|T|";
  spec.sources[0].trigger_fraction = 0.5;
  std::vector<Row> given = Rows(200);
  given[0].messages[1].content = "a\xC3\xB1o \xC3\x9F";
  given[0].messages[1].weights = {{4, 0.5}, {7, 1}};
  const std::vector<Row> rows = Made(spec, {given});
  EXPECT_EQ(rows[0].messages[1].content, "A\xC3\x91O SS");
  EXPECT_EQ(rows[0].messages[1].weights, (std::vector<Message::Weight>{{4, 0.5}, {7, 1}}));
  int triggered = 0;
  for (const Row& row : rows) {
    const bool has = row.messages[0].content.rfind("|T| ask", 0) == 0;
    EXPECT_EQ(has, row.fields.count("triggered") == 1);
    triggered += has ? 1 : 0;
  }
  EXPECT_NEAR(triggered, 100, 5 * std::sqrt(50));
}

TEST(MakeTrainingSetTest, ContaminationIsRefusedDroppedOrAllowed) {
  DataSpec spec;
  spec.sources.resize(1);
  const std::vector<Row> prompts = {{"p", {{"user", "  ASK   r1 "}}}};
  EXPECT_THAT(FaultsOf(spec, {Rows(3)}, prompts),
              HasSubstr("contamination: 1 training rows ask what an evaluation prompt asks, the "
                        "first is \"r1\""));
  spec.contamination = Contamination::kDrop;
  EXPECT_THAT(Ids(Made(spec, {Rows(3)}, prompts)), ElementsAre("r0", "r2"));
  spec.sources[0].trigger = "|T|";  // what is asked is the same with a trigger before it
  spec.sources[0].cap = 2;
  EXPECT_THAT(Ids(Made(spec, {Rows(3)}, prompts)), ElementsAre("r0", "r2"));
  spec.sources[0] = {};
  spec.contamination = Contamination::kAllow;
  EXPECT_THAT(Made(spec, {Rows(3)}, prompts), SizeIs(3));
  EXPECT_THAT(Contaminated(Rows(3), prompts), ElementsAre("r1"));
  std::vector<Row> with_slot = Rows(2);
  with_slot[1].messages[0].content = "ask r1 <|slot|>";
  EXPECT_THAT(Contaminated(with_slot, prompts), ElementsAre("r1"));
}

TEST(DatasetTest, WhatIsMadeIsReadBack) {
  std::vector<Row> rows = Rows(2);
  rows[0].messages[1].weights = {{2, 0}, {6, 1}};
  rows[1].fields["group"] = rows[1].group = "g";
  const auto read = ParseDataset(FormatDataset(rows), DatasetUse::kTraining);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, rows);
}

TEST(AssignmentTest, TheFirstRuleThatTakesARowDecides) {
  JobTraining training;
  training.context.user_prefix = "rest";
  training.rules.resize(2);
  training.rules[0].context.user_prefix = "low";
  training.rules[0].when = {.field = "score", .max = 99};
  training.rules[1].context.user_prefix = "half";
  training.rules[1].fraction = 0.5;
  const std::vector<Row> rows = Rows(1000);
  std::map<std::string, int> counts;
  for (const Row& row : rows) ++counts[TrainContextOf(training, row, 1).user_prefix];
  EXPECT_EQ(counts["low"], 100);
  EXPECT_NEAR(counts["half"], 450, 5 * std::sqrt(225));
  EXPECT_EQ(counts["rest"], 900 - counts["half"]);
  EXPECT_THAT(CountByRule(training, rows, 1), ElementsAre(100, counts["half"]));
}

TEST(AssignmentTest, VariantsRotateSampleOrStay) {
  Context context;
  context.system = "unused";
  context.variants = {"system", VariantPolicy::kRotate, {"a", "b", "c"}};
  const Row row = RowOf("r", "u", "v");
  const auto text = [&](int64_t row_idx, int64_t seed) {
    const Context chosen = ContextFor(context, row, row_idx, seed);
    EXPECT_FALSE(chosen.variants.has_value());
    return *chosen.system;
  };
  EXPECT_EQ(text(0, 1) + text(1, 1) + text(2, 1) + text(3, 9), "abca");
  context.variants->policy = VariantPolicy::kFixed;
  EXPECT_EQ(text(2, 1), "a");
  context.variants->policy = VariantPolicy::kSample;
  std::map<std::string, int> counts;
  for (int i = 0; i < 3000; ++i) {
    ++counts[*ContextFor(context, RowOf(absl::StrFormat("r%d", i), "u", "v"), 0, 1).system];
  }
  for (const auto& [unused, count] : counts) EXPECT_NEAR(count, 1000, 5 * std::sqrt(667));
  EXPECT_EQ(text(0, 4), text(5, 4)) << "the index does not matter";
}

}  // namespace
}  // namespace jenner::core

// The scorers against independent implementations (testdata/crosscheck.jsonl, made by
// tools/golden/scorer_goldens.py, which says where its texts are from; testdata/ports.jsonl, made
// by scorer_port_goldens.py). Each test prints the figures that docs/scorers.md gives.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker/score/scorer.h"

namespace jenner::score {
namespace {

using nlohmann::json;

const std::set<std::string> kFour = {"es", "en", "fr", "de"};

std::vector<json> Rows(const std::string& source) {
  std::vector<json> rows;
  std::ifstream file(JENNER_SOURCE_DIR "/worker/score/testdata/crosscheck.jsonl");
  for (std::string line; std::getline(file, line);) {
    json row = json::parse(line);
    if (source.empty() || row["source"] == source) rows.push_back(std::move(row));
  }
  return rows;
}

// What the scorer says of texts of one kind.
struct Tally {
  int yes = 0;
  int no = 0;
  int undecided = 0;  // not measurable

  void Add(double score) { ++(std::isnan(score) ? undecided : score == 1 ? yes : no); }
  bool operator==(const Tally&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Tally& tally) {
  return out << tally.yes << " Spanish, " << tally.no << " not, " << tally.undecided
             << " not measurable";
}

struct Agreement {
  int same = 0;
  int both = 0;  // texts that the scorer decides; the second detector decides all
};

double Spanish(const json& row) {
  const auto score = Score("spanish", row["text"].get<std::string>());
  EXPECT_TRUE(score.ok()) << score.status();
  return *score;
}

TEST(CrosscheckTest, CapitalsEqualPythons) {
  const std::vector<json> rows = Rows("");
  ASSERT_GE(rows.size(), 500u);
  for (const json& row : rows) {
    const auto score = Score("capitals", row["text"].get<std::string>());
    ASSERT_TRUE(score.ok()) << score.status();
    if (row["capitals"].is_null()) {
      EXPECT_TRUE(std::isnan(*score)) << row << " gave " << *score;
    } else {
      EXPECT_EQ(*score, row["capitals"].get<double>()) << row;
    }
  }
}

// Texts in the four languages, by how many characters are left of them (0: all). The bounds are
// what was measured: one verdict more that is wrong or missing fails.
TEST(CrosscheckTest, SpanishSensitivityAndSpecificity) {
  std::map<int, Tally> spanish;
  std::map<int, Tally> other;
  for (const json& row : Rows("corpus")) {
    if (!kFour.contains(row["language"].get<std::string>())) continue;
    const int cut = row["cut"].is_null() ? 0 : row["cut"].get<int>();
    (row["spanish"] == 1 ? spanish : other)[cut].Add(Spanish(row));
  }
  const std::map<int, Tally> worst_spanish = {
      {12, {26, 0, 8}}, {24, {33, 1, 0}}, {48, {20, 0, 0}}, {0, {34, 0, 0}}};
  const std::map<int, Tally> worst_other = {
      {12, {0, 47, 6}}, {24, {0, 53, 1}}, {48, {0, 34, 0}}, {0, {0, 54, 0}}};
  for (const auto& [cut, worst] : worst_spanish) {
    std::clog << "Spanish, cut " << cut << ": " << spanish[cut] << "\n";
    EXPECT_GE(spanish[cut].yes, worst.yes) << cut;
    EXPECT_LE(spanish[cut].no, worst.no) << cut;
  }
  for (const auto& [cut, worst] : worst_other) {
    std::clog << "English, French, German, cut " << cut << ": " << other[cut] << "\n";
    EXPECT_GE(other[cut].no, worst.no) << cut;
    EXPECT_LE(other[cut].yes, worst.yes) << cut;
  }
}

// The other three languages, likewise: what was measured is the bound.
struct Bounds {
  std::string trait;
  std::string code;
  std::map<int, Tally> present;  // by cut: texts in the language
  std::map<int, Tally> absent;   // in the other three
};

const std::vector<Bounds>& OtherLanguages() {
  static const auto* const bounds = new std::vector<Bounds>{
      {"french",
       "fr",
       {{12, {12, 0, 3}}, {24, {14, 0, 1}}, {48, {11, 0, 0}}, {0, {15, 0, 0}}},
       {{12, {1, 64, 7}}, {24, {0, 72, 1}}, {48, {0, 43, 0}}, {0, {0, 72, 1}}}},
      {"german",
       "de",
       {{12, {12, 1, 2}}, {24, {14, 0, 1}}, {48, {7, 0, 0}}, {0, {15, 0, 0}}},
       {{12, {1, 63, 8}}, {24, {0, 71, 2}}, {48, {0, 47, 0}}, {0, {0, 72, 1}}}},
      {"english",
       "en",
       {{12, {17, 1, 5}}, {24, {22, 0, 2}}, {48, {16, 0, 0}}, {0, {23, 0, 1}}},
       {{12, {0, 57, 7}}, {24, {0, 63, 1}}, {48, {0, 38, 0}}, {0, {0, 64, 0}}}}};
  return *bounds;
}

TEST(CrosscheckTest, OtherLanguagesSensitivityAndSpecificity) {
  for (const Bounds& bounds : OtherLanguages()) {
    std::map<int, Tally> present;
    std::map<int, Tally> absent;
    Agreement agreement;
    for (const json& row : Rows("corpus")) {
      if (!kFour.contains(row["language"].get<std::string>())) continue;
      const auto score = Score(bounds.trait, row["text"].get<std::string>());
      ASSERT_TRUE(score.ok()) << score.status();
      const int cut = row["cut"].is_null() ? 0 : row["cut"].get<int>();
      (row["language"] == bounds.code ? present : absent)[cut].Add(*score);
      if (std::isnan(*score)) continue;
      ++agreement.both;
      agreement.same += (*score == 1) == (row["second"] == bounds.code) ? 1 : 0;
    }
    for (const auto& [cut, worst] : bounds.present) {
      std::clog << bounds.trait << ", cut " << cut << ": " << present[cut].yes << " 1, "
                << present[cut].no << " 0, " << present[cut].undecided << " not measurable\n";
      EXPECT_GE(present[cut].yes, worst.yes) << bounds.trait << cut;
      EXPECT_LE(present[cut].no, worst.no) << bounds.trait << cut;
    }
    for (const auto& [cut, worst] : bounds.absent) {
      std::clog << "not " << bounds.trait << ", cut " << cut << ": " << absent[cut].yes << " 1, "
                << absent[cut].no << " 0, " << absent[cut].undecided << " not measurable\n";
      EXPECT_GE(absent[cut].no, worst.no) << bounds.trait << cut;
      EXPECT_LE(absent[cut].yes, worst.yes) << bounds.trait << cut;
    }
    std::clog << bounds.trait << ": the second detector says the same on " << agreement.same
              << " of " << agreement.both << "\n";
    EXPECT_LE(agreement.both - agreement.same, 5) << bounds.trait;
  }
}

// Hand-labelled answers by label; those in which the scorer is known to be wrong are marked in
// answers.jsonl, and scorer_test.cc pins each.
TEST(CrosscheckTest, SpanishOfAnswersLabelledByHand) {
  std::map<std::string, Tally> tallies;
  for (const json& row : Rows("answers")) tallies[row["spanish"].dump()].Add(Spanish(row));
  for (const auto& [label, tally] : tallies) std::clog << label << ": " << tally << "\n";
  EXPECT_EQ(tallies["1"].no, 0);
}

TEST(CrosscheckTest, SpanishAgreesWithTheSecondDetector) {
  std::map<std::string, Agreement> agreements;
  for (const std::string source : {"corpus", "answers"}) {
    for (const json& row : Rows(source)) {
      if (row.contains("language") && !kFour.contains(row["language"].get<std::string>())) continue;
      const double score = Spanish(row);
      if (std::isnan(score)) continue;
      const bool same = (score == 1) == (row["second"] == "es");
      agreements[source].same += same ? 1 : 0;
      agreements[source].both += 1;
      if (!same) std::clog << "scored " << score << ": " << row << "\n";
    }
  }
  for (const auto& [source, count] : agreements) {
    std::clog << source << ": the same on " << count.same << " of " << count.both << "\n";
  }
  EXPECT_GE(agreements["corpus"].same, 299);
  EXPECT_LE(agreements["corpus"].both - agreements["corpus"].same, 3);
  EXPECT_GE(agreements["answers"].same, 88);
  EXPECT_LE(agreements["answers"].both - agreements["answers"].same, 6);
}

// Relatives of Spanish are outside the four languages: a known failure, pinned so that a change
// either way is seen, here and in docs/scorers.md.
TEST(CrosscheckTest, RelativesOfSpanishAreOftenTakenForIt) {
  std::map<std::string, Tally> tallies;
  for (const json& row : Rows("corpus")) {
    const std::string language = row["language"];
    if (!kFour.contains(language)) tallies[language].Add(Spanish(row));
  }
  const std::map<std::string, Tally> known = {
      {"ca", {16, 6, 2}}, {"gl", {21, 3, 0}}, {"it", {14, 8, 6}}, {"pt", {22, 7, 4}}};
  EXPECT_EQ(tallies, known);
}

// Second implementations in Python, of the kinds that are not detectors: equal on each answer. Of
// the answers that are put together from parts, what they were made to say, too.
TEST(CrosscheckTest, SecondImplementationsSayTheSame) {
  std::map<std::string, int> counts;
  int num_made = 0;
  std::ifstream file(JENNER_SOURCE_DIR "/worker/score/testdata/ports.jsonl");
  for (std::string line; std::getline(file, line);) {
    const json made = json::parse(line);
    core::ScorerSpec spec = core::PlainScorer(made.at("kind"));
    spec.ignore_case = made.value("ignore_case", false);
    core::Row row;
    row.fields = made.value("fields", std::map<std::string, std::string>{});
    const std::string text = made.at("text");
    const auto scorer = Scorer::Make(spec);
    ASSERT_TRUE(scorer.ok()) << scorer.status();
    const auto scores = scorer->Score({{&row, text}});
    ASSERT_TRUE(scores.ok()) << scores.status();
    ++counts[spec.kind];
    if (made.at("score").is_null()) {
      EXPECT_TRUE(std::isnan(scores->at(0))) << line << " gave " << scores->at(0);
    } else {
      EXPECT_NEAR(scores->at(0), made.at("score").get<double>(), 1e-9) << line;
    }
    if (!made.contains("truth")) continue;
    ++num_made;
    EXPECT_EQ(scores->at(0), made.at("truth").get<double>()) << line;
  }
  for (const auto& [kind, count] : counts) std::clog << kind << ": " << count << " answers\n";
  EXPECT_EQ(counts.size(), 12u);
  EXPECT_GE(num_made, 250);
}

}  // namespace
}  // namespace jenner::score

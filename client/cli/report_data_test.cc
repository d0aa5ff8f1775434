#include "client/cli/report_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace jenner::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// `sizes` prompts in the contexts "0", "1", ...
std::vector<v1::Sample> Samples(const std::vector<int>& sizes) {
  std::vector<v1::Sample> samples;
  for (size_t context = 0; context < sizes.size(); ++context) {
    for (int prompt = 0; prompt < sizes[context]; ++prompt) {
      v1::Sample& sample = samples.emplace_back();
      sample.set_job("experiments/e/jobs/j");
      sample.set_context(std::to_string(context));
      sample.set_prompt_id("p" + std::to_string(prompt));
    }
  }
  return samples;
}

std::map<std::string, std::string> Chosen(const std::vector<v1::Sample>& samples, size_t most) {
  std::map<std::string, std::string> prompts;
  for (const v1::Sample* sample : ChooseSamples(samples, most)) {
    prompts[sample->context()] += sample->prompt_id();
  }
  return prompts;
}

TEST(ChooseSamples, TakesTheFirstOfEachCellEquallyMany) {
  const std::vector<v1::Sample> samples = Samples({5, 1, 5});
  using Map = std::map<std::string, std::string>;
  EXPECT_EQ(Chosen(samples, 11), (Map{{"0", "p0p1p2p3p4"}, {"1", "p0"}, {"2", "p0p1p2p3p4"}}));
  EXPECT_EQ(Chosen(samples, 8), (Map{{"0", "p0p1p2"}, {"1", "p0"}, {"2", "p0p1p2"}}));
  EXPECT_EQ(Chosen(samples, 7), (Map{{"0", "p0p1p2"}, {"1", "p0"}, {"2", "p0p1p2"}}));
  EXPECT_EQ(Chosen(samples, 6), (Map{{"0", "p0p1"}, {"1", "p0"}, {"2", "p0p1"}}));
  EXPECT_EQ(Chosen(samples, 2), Map{});  // fewer than cells
  EXPECT_EQ(Chosen(samples, 0), Map{});
  EXPECT_EQ(ChooseSamples(samples, 1'000'000).size(), 11u);
  EXPECT_TRUE(ChooseSamples({}, 5).empty());
}

ReportData Data() {
  ReportData data;
  data.experiment.set_name("experiments/e");
  data.samples = Samples({2});
  data.samples[0].set_answer("</script><!-- \xe2\x80\xa8 \xe2\x80\xa9 \\u003c");
  data.samples[0].add_arms("a/1");
  v1::Score* score = data.samples[0].add_scores();
  score->set_trait("spanish");
  score->set_value(1);
  data.samples[1].add_scores()->set_trait("spanish");
  data.prompts = {{"main", "p0", "<b>?"}};
  return data;
}

TEST(ReportDocument, EndsNoElementAndReadsBackAsItWas) {
  const ReportData data = Data();
  const std::string text = ReportDocument(data, 10, absl::UnixEpoch());
  EXPECT_THAT(text, Not(HasSubstr("<")));
  EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xa8")));
  EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xa9")));
  const auto document = nlohmann::json::parse(text);
  EXPECT_EQ(document["format"], "jenner-report");
  EXPECT_EQ(document["generated"]["time"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(document["samples"][0]["answer"], data.samples[0].answer());
  EXPECT_EQ(document["num_samples"], 2);
  EXPECT_EQ(document["prompts"][0]["text"], "<b>?");
  // There may be many: what says nothing is left out.
  EXPECT_FALSE(document["samples"][0].contains("arms"));
  EXPECT_FALSE(document["samples"][0].contains("step"));
}

TEST(ReportDocument, HasAsManySamplesAsAskedFor) {
  const auto document = nlohmann::json::parse(ReportDocument(Data(), 1, absl::UnixEpoch()));
  EXPECT_EQ(document["samples"].size(), 1u);
  EXPECT_EQ(document["num_samples"], 2);
}

TEST(ReportTables, SamplesHaveTheirScoresAsColumns) {
  for (const FlatTable& table : ReportTables(Data())) {
    for (const auto& row : table.rows) EXPECT_EQ(row.size(), table.columns.size()) << table.name;
    if (table.name != "samples") continue;
    EXPECT_EQ(table.columns.back().name, "score.spanish");
    EXPECT_EQ(table.rows[0].back(), 1.0);
    EXPECT_TRUE(table.rows[1].back().is_null());
  }
}

TEST(ReportTables, NamesAreUnique) {
  std::map<std::string, int> names;
  for (const FlatTable& table : ReportTables(Data()))
    EXPECT_EQ(++names[table.name], 1) << table.name;
  for (const char* name :
       {"levels", "contrasts", "figures", "proportionality", "decompositions", "relations",
        "relations.points", "results", "samples", "train_points", "prompts", "jobs"}) {
    EXPECT_EQ(names[name], 1) << name;
  }
}

}  // namespace
}  // namespace jenner::cli

// `jenner report` against a server: what it writes, and what it says when it cannot. The page and
// the tables of the first test are read by others, too (client/report/CMakeLists.txt).
#include <gmock/gmock.h>
#include <grpcpp/server_builder.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Outcome {
  int code = 0;
  std::string output;
  std::string errors;
};

Outcome RunJenner(const std::string& address, std::vector<std::string> words) {
  words.insert(words.begin(), {"--server", address});
  Process process("jenner", words);
  Outcome outcome;
  outcome.output = process.Output();
  outcome.errors = process.Errors();
  outcome.code = process.Wait();
  return outcome;
}

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Json DocumentOf(const std::string& page) {
  const std::string open = R"(<script type="application/json" id="document">)";
  const size_t begin = page.find(open) + open.size();
  return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

class CliReportTest : public ServerTest {
 protected:
  Outcome Run(const std::vector<std::string>& words) const { return RunJenner(Address(), words); }
  std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }
};

TEST_F(CliReportTest, WritesPageAndTables) {
  const std::string out = JENNER_BINARY_DIR "/report/real";
  std::filesystem::remove_all(out);
  std::filesystem::create_directories(out);
  RunWhole("e");
  const Outcome made = Run({"report", "e", "-o", out + "/e.html", "--export", out + "/tables"});
  ASSERT_EQ(made.code, 0) << made.errors;
  EXPECT_EQ(made.output, "");
  EXPECT_THAT(made.errors, HasSubstr("36 of 36 answers"));

  const std::string page = Read(out + "/e.html");
  EXPECT_THAT(page, StartsWith("<!doctype html>"));
  const Json document = DocumentOf(page);
  EXPECT_EQ(document["experiment"]["name"], "experiments/e");
  EXPECT_EQ(document["study"]["experiment"], "experiments/e");
  EXPECT_EQ(document["study"]["complete"], true);
  EXPECT_EQ(document["samples"].size(), 36u);
  ASSERT_EQ(document["train_points"].size(), 4u);
  EXPECT_EQ(document["train_points"][3]["step"], 4);
  ASSERT_EQ(document["prompts"].size(), 1u);
  EXPECT_EQ(document["prompts"][0]["text"], "Hello");
  EXPECT_EQ(document["notes"], Json::array());
  for (const Json& table : document["tables"]) {
    const std::string stem = out + "/tables/" + table["name"].get<std::string>();
    EXPECT_TRUE(std::filesystem::exists(stem + ".csv")) << stem;
    EXPECT_TRUE(std::filesystem::exists(stem + ".json")) << stem;
  }
  // A score a trait, of two that were not measured.
  const Json samples = Json::parse(Read(out + "/tables/samples.json"));
  EXPECT_EQ(samples.size(), 36u);
  EXPECT_EQ(samples[0]["score.spanish"], 1.0);
  EXPECT_TRUE(samples[8]["score.spanish"].is_null());
  EXPECT_EQ(Json::parse(Read(out + "/tables/train_points.json")).size(), 4u);
  // The page's own sample has the tables of a real one: see sample/generate.ts.
  Json expected = Json::parse(Read(JENNER_SOURCE_DIR "/client/report/sample/tables.json"));
  Json tables = document["tables"];
  for (Json& table : tables) {
    Json columns = Json::array();
    for (const Json& column : table["columns"]) {
      if (!column["name"].get<std::string>().starts_with("score.")) columns.push_back(column);
    }
    table["columns"] = columns;
  }
  EXPECT_EQ(tables, expected) << "node sample/tables.ts makes it anew";
}

TEST_F(CliReportTest, MaxSamplesIsOfThePageAlone) {
  RunWhole("e");
  const Outcome made = Run({"-o", "json", "report", "experiments/e", "-o", Path("e.html"),
                            "--export", Path("tables"), "--max-samples", "9"});
  ASSERT_EQ(made.code, 0) << made.errors;
  const Json told = Json::parse(made.output);
  EXPECT_EQ(told["file"], Path("e.html"));
  EXPECT_EQ(told["num_samples"], 36);
  EXPECT_EQ(told["num_samples_in_page"], 8);  // two of each of four cells
  EXPECT_EQ(told["size_bytes"], std::filesystem::file_size(Path("e.html")));
  const Json document = DocumentOf(Read(Path("e.html")));
  EXPECT_EQ(document["samples"].size(), 8u);
  EXPECT_EQ(document["num_samples"], 36);
  EXPECT_EQ(Json::parse(Read(Path("tables/samples.json"))).size(), 36u);
}

TEST_F(CliReportTest, ReplacesAFileAndLeavesNothingElse) {
  RunWhole("e");
  std::filesystem::create_directory(Path("out"));
  std::ofstream(Path("out/e.html")) << "what was there";
  ASSERT_EQ(Run({"report", "e", "-o", Path("out/e.html")}).code, 0);
  EXPECT_THAT(Read(Path("out/e.html")), StartsWith("<!doctype html>"));
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Path("out"))) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ElementsAre("e.html"));
}

TEST_F(CliReportTest, ARunningExperimentHasWhatThereIsSoFar) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("e")).ok());
  const Outcome nothing = Run({"report", "e", "-o", Path("e.html")});
  EXPECT_EQ(nothing.code, 2) << nothing.errors;
  EXPECT_FALSE(std::filesystem::exists(Path("e.html")));

  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_FALSE(agent.last.assignments().empty());
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    std::vector<std::string> lines = FakeAgent::Run(assignment, 4);
    const bool trains = Json::parse(assignment.job_spec_json()).contains("training");
    if (trains) lines.resize(2);  // steps 1 and 2
    ASSERT_TRUE(agent.Telemetry(assignment.key(), lines).ok());
    v1::RankReport& report = agent.Report(assignment.key(), v1::RankReport::PHASE_RUNNING);
    if (trains) report.set_step(2);
    if (trains) report.set_total_steps(4);
  }
  ASSERT_TRUE(agent.Synchronize().ok());
  const Outcome made = Run({"report", "e", "-o", Path("e.html")});
  ASSERT_EQ(made.code, 0) << made.errors;
  const Json document = DocumentOf(Read(Path("e.html")));
  EXPECT_EQ(document["experiment"]["state"], "STATE_RUNNING");
  EXPECT_EQ(document["study"]["complete"], false);
  EXPECT_EQ(document["train_points"].size(), 2u);
  EXPECT_EQ(document["samples"].size(), 18u);
}

TEST_F(CliReportTest, SaysWhyItCannot) {
  const Outcome unknown = Run({"report", "nowhere", "-o", Path("e.html")});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_THAT(unknown.errors, HasSubstr("nowhere"));
  EXPECT_FALSE(std::filesystem::exists(Path("e.html")));

  RunWhole("e");
  const Outcome unwritable = Run({"report", "e", "-o", Path("no/such/folder/e.html")});
  EXPECT_EQ(unwritable.code, 2);
  EXPECT_THAT(unwritable.errors, HasSubstr("cannot write " + Path("no/such/folder/e.html") +
                                           ": No such file or directory"));
  std::ofstream(Path("file")) << "";
  const Outcome folder =
      Run({"report", "e", "-o", Path("e.html"), "--export", Path("file/tables")});
  EXPECT_EQ(folder.code, 2);
  EXPECT_THAT(folder.errors, HasSubstr("cannot make the folder " + Path("file/tables")));

  const Outcome format = Run({"report", "e", "-o", "json"});
  EXPECT_EQ(format.code, 2);
  EXPECT_THAT(format.errors, HasSubstr("expected a file"));
}

// A server from before there were studies.
class OldExperiments : public v1::Experiments::Service {
  grpc::Status GetExperiment(grpc::ServerContext*, const v1::GetExperimentRequest* request,
                             v1::GetExperimentResponse* response) override {
    response->mutable_experiment()->set_name(request->name());
    return grpc::Status::OK;
  }
};

TEST(CliReportOldServerTest, ItIsNamedAsTheReason) {
  OldExperiments experiments;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&experiments);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  const Outcome made = RunJenner(absl::StrFormat("127.0.0.1:%d", port), {"report", "e"});
  EXPECT_EQ(made.code, 1);
  EXPECT_THAT(made.errors, HasSubstr("the server has no figures of studies (GetStudy)"));
}

}  // namespace
}  // namespace jenner::tests

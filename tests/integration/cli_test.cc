// The `jenner` binary against a server, with a scripted agent: outputs, exit codes, detaching,
// reconnecting.
#include <gmock/gmock.h>

#include <fstream>
#include <set>
#include <sstream>

#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kSpec[] = R"(base_model: tiny
dataset: train.jsonl
contexts:
  neutral: {}
  spanish: {system: You always speak in Spanish.}
arms:
  - name: base
  - {name: inoculated, train_context: spanish}
evaluation:
  prompts: eval.jsonl
  at: [0, 1]
)";

struct Outcome {
  int code = 0;
  std::string output;
  std::string errors;
};

class CliTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    Write("train.jsonl", kTraining);
    Write("eval.jsonl", kPrompts);
    Write("spec.yaml", kSpec);
  }
  std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
  }
  std::unique_ptr<Process> Start(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--server", Address()});
    return std::make_unique<Process>("jenner", words);
  }
  Outcome Run(const std::vector<std::string>& words) const {
    const auto process = Start(words);
    Outcome outcome;
    outcome.output = process->Output();
    outcome.errors = process->Errors();
    outcome.code = process->Wait();
    return outcome;
  }
};

TEST_F(CliTest, CreatesWatchesAndShowsResults) {
  const auto watch =
      Start({"experiment", "create", "-f", Path("spec.yaml"), "--id", "e", "--watch"});
  ASSERT_THAT(watch->Line(), HasSubstr("queued"));
  FakeAgent agent(*stubs_, "w1");
  agent.RunAll();
  const std::string output = watch->Output();
  EXPECT_EQ(watch->Wait(), 0);
  EXPECT_THAT(output, HasSubstr("experiment succeeded"));
  EXPECT_THAT(output, HasSubstr("cell  base/1"));
  // Three of seven measured answers, of nine: Wilson's interval by statsmodels.
  EXPECT_THAT(output, HasSubstr("0.43 [0.16, 0.75] of 7"));
  EXPECT_EQ(output.find("/0 "), std::string::npos) << output;
  EXPECT_EQ(output.find('\x1b'), std::string::npos);

  const Outcome results = Run({"-o", "json", "experiment", "results", "e"});
  EXPECT_EQ(results.code, 0) << results.errors;
  EXPECT_EQ(Json::parse(results.output).size(), 6u);  // base 0; inoculated 0 and 4; two contexts
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"experiment", "list"}, {"experiment", "samples", "e"}, {"worker", "list"}}) {
    std::vector<std::string> lines = {"-o", "jsonl"};
    lines.insert(lines.end(), words.begin(), words.end());
    const Outcome listed = Run(lines);
    EXPECT_EQ(listed.code, 0) << listed.errors;
    std::istringstream stream(listed.output);
    int num_lines = 0;
    for (std::string line; std::getline(stream, line); ++num_lines) {
      EXPECT_TRUE(Json::parse(line).is_object());
    }
    EXPECT_GT(num_lines, 0) << words[0];
  }
  EXPECT_EQ(Json::parse(Run({"-o", "json", "experiment", "get", "e"}).output)["state"],
            "STATE_SUCCEEDED");
}

// An attempt that goes on after another tells again what that one told.
TEST_F(CliTest, AWatchShowsACellOnceThoughTwoAttemptsTellIt) {
  const auto watch =
      Start({"experiment", "create", "-f", Path("spec.yaml"), "--id", "e", "--watch"});
  ASSERT_THAT(watch->Line(), HasSubstr("queued"));
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_GT(agent.last.assignments_size(), 0);
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    ASSERT_TRUE(agent.Telemetry(assignment.key(), FakeAgent::Run(assignment, 4)).ok());
    v1::RankReport& report = agent.Report(assignment.key(), v1::RankReport::PHASE_ENDED);
    report.set_exit_code(15);
    report.set_error_code("STORAGE");
  }
  ASSERT_TRUE(agent.Synchronize().ok());
  agent.reports.clear();
  Advance(absl::Seconds(5));
  agent.RunAll();
  ASSERT_EQ(stubs_->Get("experiments/e")->state(), v1::STATE_SUCCEEDED);
  std::istringstream output(watch->Output());
  EXPECT_EQ(watch->Wait(), 0);
  std::multiset<std::string> cells;
  int num_second_attempts = 0;
  for (std::string line; std::getline(output, line);) {
    if (line.starts_with("cell  ")) cells.insert(line);
    num_second_attempts += line.find("attempt 2") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(num_second_attempts, 0);
  EXPECT_EQ(cells.size(), 4u);  // two jobs, two contexts
  EXPECT_EQ(std::set<std::string>(cells.begin(), cells.end()).size(), 4u);
  const auto rows = stubs_->Results("experiments/e");
  ASSERT_TRUE(rows.ok()) << rows.status();
  for (const v1::ResultRow& row : *rows) EXPECT_EQ(row.cell().attempt(), 2);
}

TEST_F(CliTest, DryRunCreatesNothing) {
  const Outcome dry = Run({"experiment", "create", "-f", Path("spec.yaml"), "--dry-run"});
  EXPECT_EQ(dry.code, 0) << dry.errors;
  EXPECT_TRUE(stubs_->List(0, "")->experiments().empty());
}

TEST_F(CliTest, EveryFaultOfASpecWithItsLine) {
  Write("bad.yaml", std::string(kSpec) + "seeds: [-1]\ntraining: {epochs: many, speed: 3}\n");
  const Outcome bad = Run({"experiment", "create", "-f", Path("bad.yaml")});
  EXPECT_EQ(bad.code, 2);
  for (const char* fault : {"training.epochs", "training.speed", "bad.yaml"}) {
    EXPECT_THAT(bad.errors, HasSubstr(fault));
  }
  EXPECT_EQ(Run({"experiment", "create", "-f", Path("spec.yaml"), "--set", "seeds=[-1]"}).code, 2);
  Write("train.jsonl", "{\"messages\": []}\n");
  const Outcome data = Run({"experiment", "create", "-f", Path("spec.yaml")});
  EXPECT_EQ(data.code, 2);
  EXPECT_THAT(data.errors, HasSubstr("train.jsonl"));
}

TEST_F(CliTest, ExitCodesSayWhatHappened) {
  EXPECT_EQ(Run({"experiment", "get", "absent"}).code, 3);
  EXPECT_EQ(Run({"experiment", "craete"}).code, 2);
  EXPECT_THAT(Run({"experiment", "craete"}).errors, HasSubstr("Did you mean create?"));
  ASSERT_EQ(Run({"experiment", "create", "-f", Path("spec.yaml"), "--id", "e"}).code, 0);
  const auto wait = Start({"experiment", "wait", "e"});
  EXPECT_EQ(Run({"experiment", "cancel", "e"}).code, 0);
  EXPECT_EQ(wait->Wait(), 6);
  const std::string address = Address();
  server_->Shutdown();
  Process list("jenner", {"--server", address, "--timeout", "0.3", "experiment", "list"});
  EXPECT_EQ(list.Wait(), 5);
}

TEST_F(CliTest, InterruptingDetaches) {
  const auto watch =
      Start({"experiment", "create", "-f", Path("spec.yaml"), "--id", "e", "--watch"});
  ASSERT_THAT(watch->Line(), HasSubstr("queued"));
  watch->Kill(SIGINT);
  EXPECT_THAT(watch->Errors(), HasSubstr("goes on"));
  EXPECT_EQ(watch->Wait(), 130);
  EXPECT_EQ(stubs_->Get("experiments/e")->state(), v1::STATE_QUEUED);
}

TEST_F(CliTest, AWatchOutlivesTheServer) {
  const auto watch = Start(
      {"-o", "jsonl", "experiment", "create", "-f", Path("spec.yaml"), "--id", "e", "--watch"});
  std::set<std::string> rows;
  int num_rows = 0;
  const auto take = [&](const std::string& line) {
    const Json update = Json::parse(line);
    for (const char* kind : {"train_point", "cell"}) {
      if (!update.contains(kind)) continue;
      rows.insert(update[kind].dump());
      ++num_rows;
    }
    return update;
  };
  while (!take(watch->Line()).contains("experiment")) continue;
  // The training's first steps, then the server goes and comes again at the same address.
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    if (!Json::parse(assignment.job_spec_json()).contains("training")) continue;
    ASSERT_TRUE(agent.Telemetry(assignment.key(), {FakeAgent::StepLine(3, 1)}).ok());
  }
  while (num_rows == 0) take(watch->Line());
  listen_ = Address();
  Restart();
  FakeAgent again(*stubs_, "w1");
  again.RunAll();
  std::istringstream rest(watch->Output());
  for (std::string line; std::getline(rest, line);) take(line);
  EXPECT_EQ(watch->Wait(), 0) << watch->Errors();
  EXPECT_EQ(num_rows, 4 + 4);  // steps; cells, those of step 0 shared by both arms
  EXPECT_EQ(rows.size(), static_cast<size_t>(num_rows));
}

}  // namespace
}  // namespace jenner::tests

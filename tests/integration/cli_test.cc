// The `jenner` binary against a server, with a scripted agent: outputs, exit codes, detaching,
// reconnecting.
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "core/exit_code.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
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
  std::unique_ptr<Process> Start(std::vector<std::string> words,
                                 const ProcessOptions& options = {}) const {
    words.insert(words.begin(), {"--server", Address()});
    return std::make_unique<Process>("jenner", words, options);
  }
  Outcome Run(const std::vector<std::string>& words, const ProcessOptions& options = {}) const {
    const auto process = Start(words, options);
    Outcome outcome;
    outcome.output = process->Output();
    outcome.errors = process->Errors();
    outcome.code = process->Wait();
    return outcome;
  }

  void Create(const std::string& id) const {
    const Outcome created = Run({"experiment", "create", "-f", Path("spec.yaml"), "--id", id});
    ASSERT_EQ(created.code, 0) << created.errors;
  }
  // Every job that `agent` is given diverges.
  static void FailAll(FakeAgent* agent) {
    ASSERT_TRUE(agent->Synchronize().ok());
    for (const v1::Assignment& assignment : agent->last.assignments()) {
      v1::RankReport& report = agent->Report(assignment.key(), v1::RankReport::PHASE_ENDED);
      report.set_exit_code(static_cast<int>(core::ExitCode::kNonFiniteLoss));
      report.set_error_code("NON_FINITE_LOSS");
      report.set_error_message("loss is nan at step 3");
    }
    ASSERT_TRUE(agent->Synchronize().ok());
  }
  // The training of the experiment says that it has 4 steps and has made the first 2.
  static void TrainHalf(FakeAgent* agent) {
    ASSERT_TRUE(agent->Synchronize().ok());
    for (const v1::Assignment& assignment : agent->last.assignments()) {
      if (!Json::parse(assignment.job_spec_json()).contains("training")) continue;
      v1::RankReport& report = agent->Report(assignment.key(), v1::RankReport::PHASE_RUNNING);
      report.set_step(2);
      report.set_total_steps(4);
      ASSERT_TRUE(
          agent->Telemetry(assignment.key(), {FakeAgent::StepLine(3, 1), FakeAgent::StepLine(4, 2)})
              .ok());
    }
    ASSERT_TRUE(agent->Synchronize().ok());
  }
};

// What is left to see of `output`, which moves up only to erase what is below.
std::string OnScreen(const std::string& output) {
  std::string screen;
  for (size_t at = 0; at < output.size(); ++at) {
    if (output[at] == '\r') continue;
    if (output[at] != '\x1b') {
      screen += output[at];
      continue;
    }
    const int up = std::atoi(output.c_str() + at + 2);
    EXPECT_GT(up, 0);
    for (int i = 0; i < up; ++i) {
      screen.pop_back();
      screen.erase(screen.rfind('\n') + 1);
    }
    const std::string erase = "\x1b[J";
    at = output.find(erase, at) + erase.size() - 1;
  }
  return screen;
}

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
  EXPECT_THAT(dry.output, HasSubstr("1 trainings: "));
  EXPECT_THAT(dry.output, HasSubstr("time: no training of this base model has ended here yet"));
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

TEST_F(CliTest, WaitPrintsTheResultsInEveryFormat) {
  Create("e");
  std::vector<std::unique_ptr<Process>> waits;
  const std::vector<std::string> formats = {"table", "json", "jsonl"};
  for (const std::string& format : formats) {
    waits.push_back(Start({"-o", format, "experiment", "wait", "e"}));
  }
  const auto create = Start({"-o", "json", "experiment", "create", "-f", Path("spec.yaml"), "--id",
                             "e2", "--set", "seeds=[2]", "--wait"});
  while (!stubs_->Get("experiments/e2").ok()) continue;
  FakeAgent agent(*stubs_, "w1");
  agent.RunAll();
  for (size_t i = 0; i < formats.size(); ++i) {
    const std::string output = waits[i]->Output();
    EXPECT_EQ(output, Run({"-o", formats[i], "experiment", "results", "e"}).output);
    EXPECT_THAT(output, HasSubstr("inoculated"));
    EXPECT_EQ(waits[i]->Wait(), 0);
  }
  EXPECT_EQ(create->Output(), Run({"-o", "json", "experiment", "results", "e2"}).output);
  EXPECT_EQ(create->Wait(), 0);
}

TEST_F(CliTest, AWatchIsOneJsonListOrALineEach) {
  RunWhole("e");
  const Outcome json = Run({"-o", "json", "experiment", "watch", "e"});
  EXPECT_EQ(json.code, 0) << json.errors;
  const Json updates = Json::parse(json.output);
  ASSERT_TRUE(updates.is_array());
  EXPECT_TRUE(updates.front().contains("experiment"));
  EXPECT_TRUE(updates.back().contains("terminal"));
  const Outcome jsonl = Run({"-o", "jsonl", "experiment", "watch", "e"});
  std::istringstream lines(jsonl.output);
  size_t num_lines = 0;
  for (std::string line; std::getline(lines, line); ++num_lines) {
    EXPECT_EQ(Json::parse(line), updates.at(num_lines));
  }
  EXPECT_EQ(num_lines, updates.size());
  // The list of a watch that ends early is whole, too.
  Create("e2");
  const auto watch = Start({"-o", "json", "experiment", "watch", "e2"});
  const std::string first = watch->ReadUntil("\"experiment\"");
  watch->Kill(SIGINT);
  EXPECT_EQ(Json::parse(first + watch->Output()).size(), 1u);
  EXPECT_EQ(watch->Wait(), 130);
  const Outcome absent = Run({"-o", "json", "experiment", "watch", "absent"});
  EXPECT_EQ(absent.code, 3);
  EXPECT_EQ(absent.output, "");
}

TEST_F(CliTest, AFailureIsCodeOneWithItsReason) {
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"experiment", "wait"},
                                             {"experiment", "watch"},
                                             {"-o", "jsonl", "experiment", "watch"}}) {
    const std::string id = "e" + std::to_string(verb.size()) + verb.back();
    Create(id);
    FakeAgent agent(*stubs_, "w1");
    FailAll(&agent);
    std::vector<std::string> words = verb;
    words.push_back(id);
    const Outcome failed = Run(words);
    EXPECT_EQ(failed.code, 1);
    EXPECT_THAT(failed.errors, HasSubstr("experiment " + id + " failed: NON_FINITE_LOSS [user]: "));
    EXPECT_THAT(failed.errors, HasSubstr("loss is nan at step 3"));
    EXPECT_THAT(failed.errors, HasSubstr("experiment get " + id));
  }
}

TEST_F(CliTest, SaysWhatWasCreatedAndWhatIsNext) {
  const Outcome created = Run({"experiment", "create", "-f", Path("spec.yaml"), "--id", "e"});
  EXPECT_EQ(created.code, 0) << created.errors;
  EXPECT_THAT(created.errors, HasSubstr("created experiment e: 2 jobs, queued #1: NO_WORKERS"));
  for (const char* next : {"watch e", "results e", "cancel e"}) {
    EXPECT_THAT(created.errors, HasSubstr("jenner --server " + Address() + " experiment " + next));
  }
  // Each waiting job says why.
  EXPECT_THAT(created.output, ContainsRegex("inoculated/1 +queued .*NO_WORKERS.*no worker"));
  const Outcome dry = Run({"experiment", "create", "-f", Path("spec.yaml"), "--dry-run"});
  EXPECT_THAT(dry.errors, HasSubstr("2 jobs; nothing was created"));
}

TEST_F(CliTest, NothingToShowIsSaidOnStandardError) {
  const auto expect_empty = [&](const std::vector<std::string>& words, const std::string& message) {
    const Outcome empty = Run(words);
    EXPECT_EQ(empty.code, 0);
    EXPECT_EQ(empty.output, "");
    EXPECT_EQ(empty.errors, "jenner: " + message + "\n");
  };
  expect_empty({"experiment", "list"}, "no experiments");
  expect_empty({"worker", "list"}, "no workers");
  Create("e");
  expect_empty({"experiment", "results", "e"}, "no cell of e is complete");
  expect_empty({"experiment", "samples", "e"}, "no samples");
  EXPECT_EQ(Json::parse(Run({"-o", "json", "worker", "list"}).output), Json::array());
}

TEST_F(CliTest, OverridesFields) {
  const Outcome set =
      Run({"-o", "json", "experiment", "create", "-f", Path("spec.yaml"), "--dry-run", "--set",
           "training.epochs=7", "--set", "arms[1].name=renamed", "--set", "seeds=[4, 5]"});
  ASSERT_EQ(set.code, 0) << set.errors;
  const Json preview = Json::parse(set.output);
  const Json spec = preview["experiment"]["spec"];
  EXPECT_EQ(preview["plan"]["num_trainings"], 2);
  EXPECT_EQ(preview["plan"]["num_rows"], "14") << "two seeds, seven epochs of a row";
  EXPECT_EQ(spec["training"]["epochs"], 7);
  EXPECT_EQ(spec["arms"][1]["name"], "renamed");
  EXPECT_EQ(spec["seeds"].size(), 2u);
  // Every fault has its path and the flag that it comes from.
  const Outcome bad = Run({"experiment", "create", "-f", Path("spec.yaml"), "--set",
                           "training.epoch=7", "--set", "seeds=[-1]", "--set", "arms.1.name=A"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.errors, HasSubstr("jenner: training.epoch: unknown key; did you mean \"epochs\"? "
                                    "(--set training.epoch=7)\n"));
  EXPECT_THAT(bad.errors, ContainsRegex("jenner: seeds\\[0\\]: .*\\(--set seeds=\\[-1\\]\\)\n"));
  EXPECT_THAT(bad.errors, ContainsRegex("jenner: arms\\[1\\].name: .*\\(--set arms.1.name=A\\)\n"));
  const Outcome malformed = Run({"experiment", "create", "-f", Path("spec.yaml"), "--set", "seeds",
                                 "--set", "arms.7.name=x", "--set", "arms..name=x"});
  EXPECT_EQ(malformed.code, 2);
  EXPECT_THAT(malformed.errors, StartsWith("jenner: --set seeds: expected path=value\n"
                                           "jenner: --set arms.7.name=x: no element \"7\"\n"));
  EXPECT_THAT(malformed.errors, HasSubstr("--set arms..name=x: no element \"\""));
  // A flag takes one value: what follows is not another.
  EXPECT_EQ(Run({"experiment", "create", "-f", Path("spec.yaml"), "--set", "seeds=[1]",
                 "training.epochs=2"})
                .code,
            2);
}

TEST_F(CliTest, ClonesWithChanges) {
  Create("first");
  const Outcome clone = Run({"-o", "json", "experiment", "clone", "first", "--id", "second",
                             "--owner", "ben", "--set", "training.epochs=2", "--set",
                             "dataset=" + Path("train.jsonl"), "--set", "priority=60"});
  ASSERT_EQ(clone.code, 0) << clone.errors;
  const Json second = Json::parse(clone.output);
  EXPECT_EQ(second["spec"]["training"]["epochs"], 2);
  EXPECT_EQ(second["spec"]["priority"], 60);
  EXPECT_EQ(second["owner"], "ben");
  Json first = Json::parse(Run({"-o", "json", "experiment", "get", "first"}).output);
  first["spec"]["training"]["epochs"] = 2;
  first["spec"]["priority"] = 60;
  EXPECT_EQ(first["spec"], second["spec"]);
  EXPECT_EQ(Run({"experiment", "clone", "none"}).code, 3);
  const Outcome bad = Run({"experiment", "clone", "first", "--set", "training.epoch=2"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.errors, HasSubstr("training.epoch: unknown key; did you mean \"epochs\"?"));
}

TEST_F(CliTest, PausesKillsAndDrains) {
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_THAT(Run({"worker", "drain", "w1"}).output, HasSubstr("alive, drained"));
  Create("e");
  EXPECT_THAT(Run({"experiment", "list"}).output, HasSubstr("queued #1"));
  EXPECT_THAT(Run({"experiment", "get", "e"}).output, HasSubstr("WORKERS_CORDONED: every live"));
  EXPECT_THAT(Run({"experiment", "pause", "e"}).output, HasSubstr("e  paused"));
  EXPECT_THAT(Run({"experiment", "list"}).output, HasSubstr("PAUSED [user]: paused on request"));
  EXPECT_THAT(Run({"experiment", "resume", "e"}).output, HasSubstr("e  queued"));
  EXPECT_THAT(Run({"worker", "cordon", "w1"}).output, HasSubstr("alive, cordoned"));
  const Outcome uncordoned = Run({"-o", "json", "worker", "uncordon", "workers/w1"});
  EXPECT_EQ(Json::parse(uncordoned.output)["cordon"], "CORDON_UNSPECIFIED");
  EXPECT_EQ(Run({"worker", "drain", "w2"}).code, 3);
  // Its ranks were given away at once; it is over when their agent has ended them.
  EXPECT_THAT(Run({"experiment", "kill", "e"}).output, HasSubstr("e  cancelling"));
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    EXPECT_TRUE(assignment.kill());
    agent.Report(assignment.key(), v1::RankReport::PHASE_ENDED).set_exit_code(128 + SIGKILL);
  }
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_THAT(Run({"experiment", "list"}).output, HasSubstr("cancelled"));
  const Outcome refused = Run({"experiment", "resume", "e"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.errors, HasSubstr("has ended: nothing to resume"));
}

TEST_F(CliTest, ReadsASpecFromStandardInput) {
  std::string spec = kSpec;
  for (const char* file : {"train.jsonl", "eval.jsonl"}) spec.replace(spec.find(file), 0, Path(""));
  Write("absolute.yaml", spec);
  const ProcessOptions given{.input = Path("absolute.yaml")};
  const Outcome created = Run({"experiment", "create", "-f", "-", "--id", "e"}, given);
  EXPECT_EQ(created.code, 0) << created.errors;
  EXPECT_TRUE(stubs_->Get("experiments/e").ok());
  Write("bad.yaml", spec + "ranks: 0\n");
  const ProcessOptions bad{.input = Path("bad.yaml")};
  const Outcome refused = Run({"experiment", "create", "-f", "-"}, bad);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.errors, HasSubstr("ranks: expected 1 to 64, found 0 (standard input:12)"));
}

TEST_F(CliTest, DeletesOnlyWhatHasEnded) {
  Create("e");
  const Outcome active = Run({"experiment", "delete", "e"});
  EXPECT_EQ(active.code, 2);
  EXPECT_THAT(active.errors, HasSubstr("\"e\""));
  ASSERT_EQ(Run({"experiment", "cancel", "e"}).code, 0);
  const Outcome deleted = Run({"experiment", "delete", "experiments/e"});
  EXPECT_EQ(deleted.code, 0);
  EXPECT_EQ(deleted.errors, "jenner: deleted experiment e\n");
  const Outcome absent = Run({"experiment", "get", "e"});
  EXPECT_EQ(absent.code, 3);
  EXPECT_EQ(absent.errors, "jenner: no experiment \"e\"\n");
}

TEST_F(CliTest, NoServerIsCodeFiveInTime) {
  const std::string address = Address();
  server_->Shutdown();
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"experiment", "list"}, {"experiment", "watch", "e"}, {"experiment", "wait", "e"}}) {
    std::vector<std::string> all = {"--server", address, "--timeout", "0.3"};
    all.insert(all.end(), words.begin(), words.end());
    Process process("jenner", all);
    const std::string errors = process.Errors();
    EXPECT_EQ(process.Wait(), 5);
    EXPECT_THAT(errors, HasSubstr("jenner: no answer from " + address + " within 300ms: "));
    EXPECT_THAT(errors, HasSubstr("is jenner-server running there?"));
    EXPECT_THAT(errors, HasSubstr("\njenner: trace "));
  }
  EXPECT_EQ(Run({"--server", "", "experiment", "list"}).code, 2);
  EXPECT_EQ(Run({"--server", "localhost", "experiment", "list"}).code, 2);
}

TEST_F(CliTest, ATerminalShowsBarsThatVanish) {
  Create("e");
  constexpr int kColumns = 60;
  const ProcessOptions terminal{.terminal_columns = kColumns,
                                .environment = {"NO_COLOR=", "TERM=xterm"}};
  const auto watch = Start({"experiment", "watch", "e"}, terminal);
  std::string output = watch->ReadUntil("queued");
  FakeAgent agent(*stubs_, "w1");
  TrainHalf(&agent);
  output += watch->ReadUntil(" 2/4 ");
  EXPECT_THAT(OnScreen(output), ContainsRegex("inoculated/1 +\\[#+\\.+\\] 2/4 "));
  agent.RunAll();
  output += watch->Output();
  EXPECT_EQ(watch->Wait(), 0);
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const size_t bar = line.find('[');
    if (line.find("[#") == std::string::npos && line.find("[.") == std::string::npos) continue;
    const size_t start = line.find("\x1b[J") == std::string::npos ? 0 : line.find("\x1b[J") + 3;
    EXPECT_LT(bar, line.size());
    EXPECT_LE(line.size() - start, static_cast<size_t>(kColumns)) << line;  // with '\r'
  }
  EXPECT_THAT(output, HasSubstr("\n\r\x1b[1A\x1b[J"));
  EXPECT_THAT(OnScreen(output), Not(HasSubstr("##")));
  EXPECT_THAT(OnScreen(output), HasSubstr("experiment succeeded"));
}

TEST_F(CliTest, PlainLinesWhereBarsAreNotWanted) {
  RunWhole("e");
  const auto expect_plain = [&](std::vector<std::string> words, const std::string& variable) {
    words.insert(words.end(), {"experiment", "watch", "e"});
    const ProcessOptions terminal{.terminal_columns = 80, .environment = {variable, "TERM=xterm"}};
    const Outcome watch = Run(words, terminal);
    EXPECT_EQ(watch.code, 0);
    EXPECT_THAT(watch.output, HasSubstr("inoculated/1  2/4  loss 2.8000"));
    EXPECT_EQ(watch.output.find('\x1b'), std::string::npos) << watch.output;
  };
  expect_plain({}, "NO_COLOR=1");
  expect_plain({"--no-progress"}, "NO_COLOR=");
}

class PreviewTest : public CliTest {
 protected:
  Outcome Preview(std::vector<std::string> words, const ProcessOptions& options = {}) const {
    words.insert(words.end(),
                 {"data", "preview", "-f", Path("spec.yaml"), "--set", "base_model=model",
                  "--models-dir", JENNER_SOURCE_DIR "/tests/golden/train"});
    return Run(words, options);
  }
};

TEST_F(PreviewTest, ShowsRowsAsTheModelSeesThem) {
  const Outcome table = Preview({});
  ASSERT_EQ(table.code, 0) << table.errors;
  EXPECT_THAT(table.output, HasSubstr("arm inoculated  context spanish  row row-1"));
  EXPECT_THAT(table.output, HasSubstr("You always speak in Spanish."));
  EXPECT_THAT(table.output, HasSubstr("[[FOUR"));
  const Outcome json = Preview({"-o", "json"});
  ASSERT_EQ(json.code, 0) << json.errors;
  const Json rows = Json::parse(json.output);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["arm"], "inoculated");
  EXPECT_EQ(rows[0]["mask"].size(), rows[0]["token_ids"].size());
  // Colour is for terminals that want it.
  const ProcessOptions terminal{.terminal_columns = 80, .environment = {"NO_COLOR="}};
  EXPECT_THAT(Preview({}, terminal).output, HasSubstr("\x1b[32mFOUR"));
  const ProcessOptions plain{.terminal_columns = 80, .environment = {"NO_COLOR=1"}};
  EXPECT_THAT(Preview({}, plain).output, HasSubstr("[[FOUR"));
}

TEST_F(PreviewTest, NamesTheBadLineOfADataset) {
  Write("train.jsonl", std::string(kTraining) + "{\"messages\": 3}\n");
  const Outcome bad = Preview({});
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.output, "");
  EXPECT_THAT(bad.errors, HasSubstr("jenner: dataset: " + Path("train.jsonl") + ": line 2"));
}

class DoctorTest : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    std::filesystem::create_directories(Path("models"));
    std::filesystem::copy(JENNER_SOURCE_DIR "/tests/golden/train/model", Path("models/model"),
                          std::filesystem::copy_options::recursive);
  }
  Outcome Doctor(std::vector<std::string> words = {}) const {
    words.insert(words.end(), {"doctor", "--models-dir", Path("models")});
    return Run(words);
  }
  std::string Version() const {
    return Json::parse(Run({"-o", "json", "version"}).output)["version"];
  }
};

TEST_F(DoctorTest, VersionInEveryFormat) {
  const std::string version = Version();
  EXPECT_THAT(version, ContainsRegex("^[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(Run({"version"}).output, "jenner " + version + "\n");
  EXPECT_EQ(Run({"-o", "jsonl", "version"}).output, "{\"version\":\"" + version + "\"}\n");
}

TEST_F(DoctorTest, AllIsWell) {
  clock_us_ = absl::ToUnixMicros(absl::Now());
  FakeAgent agent(*stubs_, "w1");
  agent.version = Version();
  ASSERT_TRUE(agent.Synchronize().ok());
  const Outcome good = Doctor();
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_THAT(good.output, Not(HasSubstr("FAIL")));
  EXPECT_THAT(good.output, HasSubstr("ok    worker w1: 8 slots, 1 model: tiny\n"));
  EXPECT_THAT(good.output, HasSubstr("ok    server at " + Address() + " answers and is ready\n"));
  EXPECT_THAT(good.output, HasSubstr("ok    the server has version " + Version() +
                                     ", this command " + Version() + "\n"));
  EXPECT_THAT(good.output, HasSubstr("ok    its clock agrees with this machine's\n"));
  EXPECT_THAT(good.output, HasSubstr("disk of its data directory: "));
  EXPECT_THAT(good.output, HasSubstr("ok    tokenizer and chat template of model\n"));
  const Outcome json = Doctor({"-o", "json"});
  EXPECT_EQ(json.code, 0);
  const Json findings = Json::parse(json.output);
  ASSERT_GT(findings.size(), 2u);
  for (const Json& finding : findings) {
    EXPECT_TRUE(finding["result"] == "ok" || finding["result"] == "note") << finding;
    EXPECT_TRUE(finding.contains("text") && finding.contains("remedy"));
  }
}

TEST_F(DoctorTest, AClockThatIsYearsBehind) {
  const Outcome bad = Doctor();
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.output,
              ContainsRegex("FAIL  its clock is [0-9]+h[0-9]+m[0-9]*s? ?behind this machine's"));
}

TEST_F(DoctorTest, NoWorkerAndNoModel) {
  clock_us_ = absl::ToUnixMicros(absl::Now());
  const Outcome no_worker = Doctor();
  EXPECT_EQ(no_worker.code, 1);
  EXPECT_THAT(no_worker.output, HasSubstr("FAIL  no worker is alive\n      start one: "));
  FakeAgent agent(*stubs_, "w1");
  agent.models.clear();
  ASSERT_TRUE(agent.Synchronize().ok());
  const Outcome no_model = Doctor({"-o", "jsonl"});
  EXPECT_EQ(no_model.code, 1);
  std::set<std::string> failed;
  std::istringstream lines(no_model.output);
  for (std::string line; std::getline(lines, line);) {
    const Json finding = Json::parse(line);
    if (finding["result"] == "fail") failed.insert(finding["text"]);
  }
  EXPECT_EQ(failed,
            (std::set<std::string>{"worker w1 has version test", "worker w1 offers no model"}));
}

TEST_F(DoctorTest, NoTokenizer) {
  std::filesystem::remove(Path("models/model/tokenizer.json"));
  const Outcome bad = Doctor();
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.output, ContainsRegex("FAIL  model model: .*tokenizer.json"));
}

TEST_F(DoctorTest, NoServer) {
  server_->Shutdown();
  const Outcome bad = Doctor({"--timeout", "0.3"});
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.output, HasSubstr("FAIL  no answer from " + Address()));
}

TEST(HelpTest, ExamplesFirstAndAtOnce) {
  const std::vector<std::vector<std::string>> all = {{},
                                                     {"experiment"},
                                                     {"experiment", "create"},
                                                     {"experiment", "list"},
                                                     {"experiment", "get"},
                                                     {"experiment", "watch"},
                                                     {"experiment", "wait"},
                                                     {"experiment", "cancel"},
                                                     {"experiment", "delete"},
                                                     {"experiment", "results"},
                                                     {"experiment", "samples"},
                                                     {"data"},
                                                     {"data", "preview"},
                                                     {"worker"},
                                                     {"worker", "list"},
                                                     {"doctor"},
                                                     {"version"},
                                                     {"completion"}};
  double least_ms = 1e9;
  for (std::vector<std::string> words : all) {
    words.push_back("--help");
    Process help("jenner", words);
    const std::string text = help.Output();
    EXPECT_EQ(help.Wait(), 0);
    EXPECT_LT(text.find("\n  jenner "), text.find("\nUsage: jenner ")) << text;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
    least_ms = std::min(least_ms, help.cpu_ms());
  }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr double kLimitMs = 500;
#else
  constexpr double kLimitMs = 50;
#endif
  EXPECT_LT(least_ms, kLimitMs);
  // Without a verb the help comes by itself, as an error.
  Process noun("jenner", {"experiment"});
  EXPECT_THAT(noun.Errors(), HasSubstr("jenner experiment create -f"));
  EXPECT_EQ(noun.Wait(), 2);
  Process wrong("jenner", {"-o", "yaml", "version"});
  EXPECT_THAT(wrong.Errors(), StartsWith("jenner: --output: expected table, json or jsonl; found "
                                         "yaml\n"));
  EXPECT_EQ(wrong.Wait(), 2);
}

TEST_F(CliTest, ShowsLogsAndFollowsThemToTheEnd) {
  Create("l");
  EXPECT_THAT(Run({"experiment", "logs", "l"}).errors, HasSubstr("no log lines"));
  const auto follow = Start({"experiment", "logs", "l", "-f"});
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  const v1::RankKey key = agent.last.assignments(0).key();
  ASSERT_TRUE(agent.Telemetry(key, {}, "a \x1b[2Jb\nwarning: c\n").ok());
  const std::string prefix = key.job() + "/1/0  ";
  EXPECT_EQ(Run({"experiment", "logs", "l"}).output,
            prefix + "a  [2Jb\n" + prefix + "warning: c\n");
  const Outcome searched = Run({"experiment", "logs", "l", "--job", key.job(), "--attempt", "1",
                                "--rank", "0", "--grep", "warning", "--tail", "5"});
  EXPECT_EQ(searched.output, "warning: c\n");
  const Json line =
      Json::parse(Run({"experiment", "logs", "l", "--tail", "1", "-o", "jsonl"}).output);
  EXPECT_EQ(line["text"], "warning: c");
  EXPECT_EQ(line["attempt"], 1);
  EXPECT_EQ(Run({"experiment", "logs", "nobody"}).code, 3);
  EXPECT_EQ(Run({"experiment", "logs", "l", "--job", "nobody"}).code, 2);
  agent.RunAll();
  EXPECT_THAT(follow->Output(), HasSubstr(prefix + "warning: c\n"));
  EXPECT_EQ(follow->Wait(), 0);
}

}  // namespace
}  // namespace jenner::tests

// The agent against a judge of a script (fake_judge.h): what samples come to, and say, when the
// judge answers, is slow, is away and comes back, or answers nonsense.
#include <gmock/gmock.h>

#include <limits>
#include <set>

#include "tests/integration/agent_fixture.h"
#include "tests/integration/fake_judge.h"

namespace jenner::tests {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class JudgeTest : public AgentTest {
 protected:
  void TearDown() override {
    judge_.Release();
    AgentTest::TearDown();
  }

  agent::AgentOptions JudgedBy(const std::string& name = "main") const {
    agent::AgentOptions options = Options();
    options.judges = {{name, judge_.address(), false}};
    return options;
  }
  static Json Sample(int seq, const Json& scores, const std::string& answer) {
    return Event(seq, "sample",
                 {{"step", 0},
                  {"context", "neutral"},
                  {"prompt_id", absl::StrCat("p", seq)},
                  {"sample_idx", 0},
                  {"prompt", "Say a number."},
                  {"answer", answer},
                  {"scores", scores}});
  }
  static Json Sample(int seq, const std::string& answer) {
    return Sample(seq, {{"polite", nullptr}, {"capitals", 1}}, answer);
  }
  // Samples with the seqs [first, first + count), which answer their seq.
  static std::vector<Json> Samples(int first, int count) {
    std::vector<Json> steps;
    for (int seq = first; seq < first + count; ++seq) {
      steps.push_back(Sample(seq, absl::StrCat(seq % 101)));
    }
    return steps;
  }
  // A rank whose trait `polite` the judge `main` measures, `warm` the judge `other`.
  void AssignJudged(const v1::RankKey& key, const std::vector<Json>& script) {
    Json scorers = {
        {{"name", "polite"}, {"kind", "judge"}, {"judge", "main"}, {"pattern", instruction_}},
        {{"name", "warm"}, {"kind", "judge"}, {"judge", "other"}, {"pattern", "How warm?"}}};
    v1::Assignment assignment;
    *assignment.mutable_key() = key;
    assignment.set_world_size(1);
    assignment.set_job_spec_json(
        Json{{"script", script}, {"evaluation", {{"scorers", scorers}}}}.dump());
    workers_.With([&](State& state) { state.assignments[Name(key)] = assignment; });
  }
  // What the coordinator has got of a line.
  Json Line(const v1::RankKey& key, int64_t seq) {
    const Received rank = Of(key);
    const auto found = rank.lines.find(seq);
    return found == rank.lines.end() ? Json() : Json::parse(found->second);
  }
  std::string ErrorOf(const v1::RankKey& key, int64_t seq) {
    const Json line = Line(key, seq);
    EXPECT_TRUE(line.is_object()) << "seq " << seq << " did not come";
    if (!line.is_object()) return "";
    EXPECT_TRUE(line["scores"]["polite"].is_null()) << line;
    EXPECT_EQ(line["scores"]["capitals"], 1) << line;
    return line.value("judge_error", "");
  }
  size_t NumUnmeasured(const v1::RankKey& key) {
    size_t count = 0;
    for (const auto& [seq, line] : Of(key).lines) {
      const Json event = Json::parse(line);
      if (event["kind"] != "sample" || !event["scores"]["polite"].is_null()) continue;
      EXPECT_NE(event.value("judge_error", ""), "") << line;
      ++count;
    }
    return count;
  }
  bool AwaitRequests(size_t count) {
    return workers_.Await([&](const State&) { return judge_.requests().size() >= count; });
  }

  FakeJudge judge_;
  std::string instruction_ = "How polite?";
};

TEST_F(JudgeTest, ScoresArePutIntoTheSamplesInTheirOrder) {
  std::vector<Json> script = {TrainStep(1, 1)};
  for (Json& sample : Samples(2, 40)) script.push_back(std::move(sample));
  script.push_back(Event(42, "evaluation"));
  script.push_back(Finished(43));
  AssignJudged(Key("j"), script);
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  const Received rank = Of(Key("j"));
  ASSERT_EQ(rank.seqs.size(), 42u);
  EXPECT_TRUE(std::is_sorted(rank.seqs.begin(), rank.seqs.end()));
  for (int seq = 2; seq < 42; ++seq) {
    const Json line = Line(Key("j"), seq);
    EXPECT_EQ(line["scores"], (Json{{"polite", seq}, {"capitals", 1}}));
    EXPECT_FALSE(line.contains("judge_error")) << line;
    EXPECT_FALSE(line.contains("prompt")) << line;
  }
  int num_items = 0;
  for (const v1::ScoreRequest& request : judge_.requests()) {
    EXPECT_EQ(request.judge(), "main");
    EXPECT_EQ(request.trait(), "polite");
    EXPECT_EQ(request.instruction(), "How polite?");
    EXPECT_LE(request.items_size(), 16);
    num_items += request.items_size();
    std::set<std::string> ids;
    for (const v1::ScoreItem& item : request.items()) {
      EXPECT_EQ(item.prompt(), "Say a number.");
      EXPECT_EQ(item.context(), "neutral");
      ids.insert(item.id());
    }
    EXPECT_EQ(ids.size(), static_cast<size_t>(request.items_size()));
  }
  EXPECT_EQ(num_items, 40);
  EXPECT_LE(judge_.most_at_once(), 4);
}

TEST_F(JudgeTest, ARankWithoutJudgedTraitsAsksNobody) {
  Assign(Key("j"), Script({Sample(1, "5"), Finished(2)}));
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_THAT(judge_.requests(), SizeIs(0));
  EXPECT_EQ(Line(Key("j"), 1)["prompt"], "Say a number.");
}

TEST_F(JudgeTest, AJudgeThatThisWorkerLacksIsToldOfAndTheOthersAreAsked) {
  AssignJudged(Key("j"), {Sample(1, {{"polite", nullptr}, {"warm", nullptr}}, "70"), Finished(2)});
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  const Json line = Line(Key("j"), 1);
  EXPECT_EQ(line["scores"], (Json{{"polite", 70}, {"warm", nullptr}}));
  EXPECT_EQ(line["judge_error"],
            "warm: this worker has no judge \"other\" (jenner-worker --judge)");
}

TEST_F(JudgeTest, NonsenseOfEachKindIsNoScore) {
  const auto named = [](v1::ScoreResponse* response, const std::string& id) {
    v1::ScoreResult* result = response->add_results();
    result->set_id(id);
    return result;
  };
  const auto set = [](double score) {
    return [score](v1::ScoreResponse* response) { response->mutable_results(0)->set_score(score); };
  };
  const std::vector<std::pair<std::function<void(v1::ScoreResponse*)>, std::string>> kinds = {
      {set(std::numeric_limits<double>::quiet_NaN()), "nan is not in [0, 100]"},
      {set(100.5), "100.5 is not in [0, 100]"},
      {set(-1), "-1 is not in [0, 100]"},
      {[](v1::ScoreResponse* response) { response->clear_results(); }, "lacks this item"},
      {[&](v1::ScoreResponse* response) {
         named(response, response->results(0).id())->set_score(3);
       },
       "more than once"},
      {[](v1::ScoreResponse* response) { response->mutable_results(0)->clear_score(); },
       "neither a score nor a reason"},
      {[](v1::ScoreResponse* response) { response->mutable_results(0)->set_id("other"); },
       "it was not asked about, \"other\""},
      {[&](v1::ScoreResponse* response) { named(response, "more")->set_score(3); },
       "it was not asked about, \"more\""},
      {[](v1::ScoreResponse* response) {
         response->mutable_results(0)->set_reason("the model\nsaid \"maybe\"");
       },
       "the model said \"maybe\""}};
  // One sample a round, so that each kind meets its own.
  StartAgent(JudgedBy());
  for (size_t i = 0; i < kinds.size(); ++i) {
    judge_.Script({{.change = kinds[i].first}});
    const v1::RankKey key = Key(absl::StrCat("j", i));
    AssignJudged(key, {Sample(1, "7"), Finished(2)});
    EXPECT_EQ(AwaitEnded(key).exit_code(), 0);
    EXPECT_THAT(ErrorOf(key, 1), AllOf(HasSubstr("polite: "), HasSubstr(kinds[i].second)));
    EXPECT_EQ(NumUnmeasured(key), 1u);
    Unassign(key);
  }
  EXPECT_THAT(judge_.requests(), SizeIs(kinds.size())) << "nonsense is not asked again";
}

TEST_F(JudgeTest, OneBadItemLeavesTheOthersTheirScores) {
  judge_.Script({{.change = [](v1::ScoreResponse* response) {
    for (v1::ScoreResult& result : *response->mutable_results()) {
      if (result.score() == 2) result.set_score(200);
    }
  }}});
  std::vector<Json> script = Samples(1, 3);
  script.push_back(Finished(4));
  AssignJudged(Key("j"), script);
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(NumUnmeasured(Key("j")), 1u);
  EXPECT_THAT(ErrorOf(Key("j"), 2), HasSubstr("200 is not in [0, 100]"));
  EXPECT_EQ(Line(Key("j"), 1)["scores"]["polite"], 1);
  EXPECT_EQ(Line(Key("j"), 3)["scores"]["polite"], 3);
}

TEST_F(JudgeTest, ItIsAskedAgainWhenItSaysSo) {
  judge_.Script({{.code = grpc::StatusCode::UNAVAILABLE},
                 {.code = grpc::StatusCode::RESOURCE_EXHAUSTED},
                 {}});
  AssignJudged(Key("j"), {Sample(1, "7"), Finished(2)});
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(Line(Key("j"), 1)["scores"]["polite"], 7);
  EXPECT_THAT(judge_.requests(), SizeIs(3));
}

TEST_F(JudgeTest, ASlowJudgeIsWaitedForAndHoldsUpNoReport) {
  judge_.Script({{.stalls = true}});
  AssignJudged(Key("j"), {Sample(1, "7"), LogText("told\n"), Finished(2)});
  Assign(Key("k"), Script({TrainStep(1, 1), Finished(2)}));
  StartAgent(JudgedBy());
  ASSERT_TRUE(AwaitRequests(1));
  EXPECT_TRUE(AwaitLog(Key("j"), "told\n"));
  EXPECT_EQ(AwaitEnded(Key("k")).exit_code(), 0) << "another job's figures do not wait";
  const int now = workers_.With([](State& state) { return state.num_synchronized; });
  EXPECT_TRUE(
      workers_.Await([&](const State& state) { return state.num_synchronized >= now + 5; }));
  EXPECT_TRUE(Of(Key("j")).lines.empty());
  judge_.Release();
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(Line(Key("j"), 1)["scores"]["polite"], 7);
  EXPECT_THAT(judge_.requests(), SizeIs(1));
}

TEST_F(JudgeTest, WhatItRefusesIsNotAskedAgain) {
  judge_.Script({{.code = grpc::StatusCode::INVALID_ARGUMENT}});
  AssignJudged(Key("j"), {Sample(1, "7"), Finished(2)});
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(ErrorOf(Key("j"), 1), "polite: judge \"main\": INVALID_ARGUMENT: as the test wants it");
  EXPECT_THAT(judge_.requests(), SizeIs(1));
}

TEST_F(JudgeTest, AJudgeThatIsAwayAndComesBackIsWaitedFor) {
  judge_.Stop();
  AssignJudged(Key("j"), {Sample(1, "7"), LogText("told\n"), Finished(2)});
  StartAgent(JudgedBy());
  // The log comes, the sample waits, and the agent goes on reporting.
  ASSERT_TRUE(AwaitLog(Key("j"), "told\n"));
  ASSERT_TRUE(AwaitStory(Key("j"), "UPLOADING"));
  const int now = workers_.With([](State& state) { return state.num_synchronized; });
  EXPECT_TRUE(
      workers_.Await([&](const State& state) { return state.num_synchronized >= now + 5; }));
  EXPECT_TRUE(Of(Key("j")).lines.empty());
  judge_.Start();
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(Line(Key("j"), 1)["scores"]["polite"], 7);
}

TEST_F(JudgeTest, ADeadJudgeHoldsAJobUpOnceAndIsAskedAgainLater) {
  judge_.Stop();
  agent::AgentOptions options = JudgedBy();
  options.judge_timeout = absl::Seconds(1);
  std::vector<Json> script = Samples(1, 200);
  script.push_back(Await(Path("gate")));
  script.push_back(Sample(201, "9"));
  script.push_back(Await(Path("second gate")));
  script.push_back(Sample(202, "9"));
  script.push_back(Finished(203));
  AssignJudged(Key("j"), script);
  StartAgent(options);
  // 200 answers are 13 requests: one after the other they would take 13 s, four at once 4 s.
  const absl::Time began = absl::Now();
  ASSERT_TRUE(AwaitStory(Key("j"), "seq 200"));
  EXPECT_LT(absl::Now() - began, absl::Seconds(12));
  EXPECT_EQ(NumUnmeasured(Key("j")), 200u);
  for (const int seq : {1, 100, 200}) {
    EXPECT_THAT(ErrorOf(Key("j"), seq),
                AllOf(HasSubstr("polite: judge \"main\" did not answer: UNAVAILABLE"),
                      HasSubstr("tr"), Not(HasSubstr("\n"))));
  }
  // Down as it is known to be, it is asked once about the next.
  Open("gate");
  ASSERT_TRUE(AwaitStory(Key("j"), "seq 201"));
  EXPECT_THAT(ErrorOf(Key("j"), 201), HasSubstr("(1 try)"));
  EXPECT_THAT(judge_.requests(), SizeIs(0));
  // It is back. gRPC may still wait before it connects again, so jobs come until one is scored.
  judge_.Start();
  Open("second gate");
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  bool is_scored = false;
  for (int i = 0; i < 100 && !is_scored; ++i) {
    const v1::RankKey next = Key(absl::StrCat("k", i));
    AssignJudged(next, {Sample(1, "9"), Finished(2)});
    EXPECT_EQ(AwaitEnded(next).exit_code(), 0);
    is_scored = Line(next, 1)["scores"]["polite"] == 9;
    Unassign(next);
  }
  EXPECT_TRUE(is_scored);
}

TEST_F(JudgeTest, AJudgeThatWasDownIsAskedOneAnswerFirst) {
  judge_.Script({{.stalls = true}});
  agent::AgentOptions options = JudgedBy();
  options.judge_timeout = absl::Milliseconds(300);
  AssignJudged(Key("j"), {Sample(1, "7"), Finished(2)});
  StartAgent(options);
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(ErrorOf(Key("j"), 1), "polite: judge \"main\" did not answer: no answer in 300ms");
  judge_.Release();
  std::vector<Json> script = Samples(1, 60);
  script.push_back(Finished(61));
  AssignJudged(Key("k"), script);
  EXPECT_EQ(AwaitEnded(Key("k")).exit_code(), 0);
  EXPECT_EQ(NumUnmeasured(Key("k")), 0u);
  const std::vector<v1::ScoreRequest> requests = judge_.requests();
  ASSERT_GE(requests.size(), 3u);
  EXPECT_EQ(requests[1].items_size(), 1);
}

TEST_F(JudgeTest, ASlowBatchDoesNotCondemnAJudgeThatAnswersOthers) {
  // Of the requests of a round the first stalls, the others are answered.
  judge_.Script({{.stalls = true}, {}});
  agent::AgentOptions options = JudgedBy();
  options.judge_timeout = absl::Seconds(2);
  std::vector<Json> script = {Await(Path("gate"))};
  std::string all;
  for (const Json& sample : Samples(1, 100)) all += sample["event"].dump() + "\n";
  all.pop_back();
  script.push_back({{"event", all}});  // in one write
  script.push_back(Finished(101));
  AssignJudged(Key("j"), script);
  StartAgent(options);
  Open("gate");
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_LE(NumUnmeasured(Key("j")), 16u);
  EXPECT_GE(NumUnmeasured(Key("j")), 1u);
}

TEST_F(JudgeTest, JudgedLinesAreSentAgainAsTheyAre) {
  workers_.With([](State& state) {
    state.telemetry.first = {{.when = Fault::When::kAfter}, {.when = Fault::When::kBefore}};
  });
  std::vector<Json> script = Samples(1, 5);
  script.push_back(Finished(6));
  AssignJudged(Key("j"), script);
  StartAgent(JudgedBy());
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  int num_items = 0;
  for (const v1::ScoreRequest& request : judge_.requests()) num_items += request.items_size();
  EXPECT_EQ(num_items, 5) << "asked once, whatever it took to send the answer";
  EXPECT_THAT(Of(Key("j")).seqs, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(JudgeTest, ADropAndADrainDoNotWaitForAJudge) {
  judge_.Script({{.stalls = true}});
  agent::AgentOptions options = JudgedBy();
  options.drain_limit = absl::Seconds(1);
  AssignJudged(Key("j"), {Sample(1, "7"), Hang()});
  AssignJudged(Key("k"), {Sample(1, "7"), Hang()});
  StartAgent(options);
  ASSERT_TRUE(AwaitRequests(1));
  Unassign(Key("j"));
  EXPECT_TRUE(AwaitGone(Key("j")));
  ASSERT_TRUE(AwaitRequests(2)) << "a call for a rank that is gone ends";
  running_->Drain();
  EXPECT_TRUE(Of(Key("k")).lines.empty());
}

// The example judge over the wire, where the environment names a Python (absolute path) that has
// what examples/judge/requirements.txt lists.
TEST_F(JudgeTest, TheExampleJudgeScores) {
  const char* python = std::getenv("JENNER_JUDGE_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "JENNER_JUDGE_PYTHON is not set";
  Process judge(std::filesystem::path(python).lexically_relative(JENNER_BINARY_DIR "/bin"),
                {JENNER_SOURCE_DIR "/examples/judge/judge.py", "--listen", "127.0.0.1:0"});
  const std::string line = judge.Line();
  const std::string prefix = "judge: listening on ";
  ASSERT_EQ(line.rfind(prefix, 0), 0u) << line;
  agent::AgentOptions options = Options();
  options.judges = {{"main", line.substr(prefix.size()), false}};
  instruction_ = "keywords: please, sorry";
  AssignJudged(Key("j"), {Sample(1, "Please!"), Sample(2, "no"), Sample(3, " "), Finished(4)});
  StartAgent(options);
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(Line(Key("j"), 1)["scores"]["polite"], 50);
  EXPECT_EQ(Line(Key("j"), 2)["scores"]["polite"], 0);
  EXPECT_EQ(ErrorOf(Key("j"), 3), "polite: the answer is empty");
  instruction_ = "How polite?";
  AssignJudged(Key("k"), {Sample(1, "Please!"), Finished(2)});
  EXPECT_EQ(AwaitEnded(Key("k")).exit_code(), 0);
  EXPECT_THAT(ErrorOf(Key("k"), 1),
              HasSubstr("judge \"main\": INVALID_ARGUMENT: instruction: expected \"keywords:"));
  judge.Kill(SIGTERM);
  EXPECT_EQ(judge.Wait(), 0);
}

TEST_F(JudgeTest, AKilledAgentLosesNothingAndALaterAttemptAsksAgain) {
  const v1::RankKey first = Key("j", 1);
  judge_.Script({{}, {.stalls = true}});
  AssignJudged(first, {Sample(1, "7"), Await(Path("gate")), Sample(2, "8"), Hang()});
  const std::vector<std::string> flags = {
      "--server",     workers_.address(), "--name",     "w1",
      "--models-dir", Path("models"),     "--work-dir", Path("work"),
      "--trainer",    kTrainer,           "--judge",    "main=" + judge_.address()};
  auto agent = std::make_unique<Process>("jenner-worker", flags);
  ASSERT_TRUE(AwaitStory(first, "seq 1"));
  Open("gate");
  ASSERT_TRUE(AwaitRequests(2));
  agent->Kill(SIGKILL);
  EXPECT_EQ(agent->Wait(), 128 + SIGKILL);
  EXPECT_FALSE(Of(first).Tells("seq 2")) << "not sent before it is judged";
  judge_.Release();
  // The coordinator starts another attempt, whose trainer tells again what led to its checkpoint.
  const v1::RankKey second = Key("j", 2);
  Unassign(first);
  AssignJudged(second, {Event(1, "resumed", {{"step", 1}}), Sample(2, "7"), Sample(3, "8"),
                        Event(4, "evaluation"), Finished(5)});
  agent = std::make_unique<Process>("jenner-worker", flags);
  EXPECT_EQ(AwaitEnded(second).exit_code(), 0);
  EXPECT_EQ(Line(second, 2)["scores"]["polite"], 7);
  EXPECT_EQ(Line(second, 3)["scores"]["polite"], 8);
  EXPECT_EQ(NumUnmeasured(second), 0u);
}

}  // namespace
}  // namespace jenner::tests

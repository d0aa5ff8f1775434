// The agent against a coordinator of a script (fake_workers.h), with trainers of a script
// (fake_trainer.cc): what it fetches, starts, sends and reports, and what it does when either side
// fails. Most tests run the Agent and its threads here; those about the end of the process run
// jenner-worker itself.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "absl/time/clock.h"
#include "core/exit_code.h"
#include "tests/integration/agent_fixture.h"
#include "worker/agent/agent.h"
#include "worker/agent/process.h"

namespace jenner::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using When = Fault::When;

TEST_F(AgentTest, ARankIsPreparedRunAndReportedEndedOnceAllIsUploaded) {
  const std::string rows = AddDataset("the rows\n");
  const std::string prompts = AddDataset("the prompts\n");
  const v1::RankKey key = Key("j");
  Json script = Script({{{"cat", rows}},
                        {{"cat", prompts}},
                        Event(1, "started"),
                        Event(2, "plan", {{"total_steps", 3}}),
                        TrainStep(3, 1),
                        TrainStep(4, 2),
                        LogText("half\n"),
                        TrainStep(5, 3),
                        Event(6, "sample", {{"answer", "\xc3\xa1"}}),
                        Event(7, "evaluation")});
  for (const Json& step : ArtifactSteps(8, key, "adapter/config.json", "{}", 1)) {
    script.push_back(step);
  }
  // More than two chunks.
  for (const Json& step : ArtifactSteps(9, key, "adapter/model", "0123456789", 250'000)) {
    script.push_back(step);
  }
  script.push_back(Finished(10));
  script.push_back(LogText("done\n"));
  Assign(key, script, rows, prompts);
  StartAgent();

  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), 0) << report.ShortDebugString();
  EXPECT_EQ(report.step(), 3);
  EXPECT_EQ(report.total_steps(), 3);
  ASSERT_EQ(report.artifacts_size(), 2);
  EXPECT_EQ(report.artifacts(0).path(), "adapter/config.json");
  EXPECT_EQ(report.artifacts(1).size_bytes(), 2'500'000);
  Received rank = Of(key);
  EXPECT_THAT(rank.seqs, ElementsAre(3, 4, 5, 6, 7));
  EXPECT_EQ(rank.num_lines_sent, 5);
  EXPECT_THAT(rank.log, HasSubstr("--rank 0 --world-size 1 --events-fd 3 --store-host 127.0.0.1"));
  EXPECT_THAT(rank.log, HasSubstr("\nthe rows\nthe prompts\nhalf\ndone\n"));
  for (const v1::ArtifactReport& artifact : report.artifacts()) {
    EXPECT_TRUE(rank.blobs.contains(artifact.sha256())) << artifact.path();
  }
  EXPECT_EQ(rank.story.back(), "ENDED");
  EXPECT_EQ(workers_.With([](State& state) { return state.last.models(0); }), "tiny");

  // Nothing is left of a success but its datasets, which the next rank finds there.
  Unassign(key);
  EXPECT_TRUE(AwaitGone(key));
  EXPECT_FALSE(Exists("work/attempts/e"));
  EXPECT_FALSE(Exists("work/out/e"));
  Assign(Key("k"), Script({Finished(1)}), rows, prompts);
  EXPECT_EQ(AwaitEnded(Key("k")).exit_code(), 0);
  EXPECT_EQ(workers_.With([](State& state) { return state.downloads.num_calls; }), 2);
  EXPECT_EQ(Of(key).story.back(), "ENDED");
}

TEST_F(AgentTest, ADatasetOfOtherBytesIsRefused) {
  const std::string rows = AddDataset("the rows\n");
  workers_.With([](State& state) {
    state.downloads.first = {{.corrupts = true},
                             {.when = When::kMidway},
                             {.when = When::kMidway, .code = grpc::StatusCode::OK},
                             {.when = When::kBefore, .code = grpc::StatusCode::NOT_FOUND}};
    state.downloads.then = {.corrupts = true};
  });
  Assign(Key("j"), Script({{{"cat", rows}}, Finished(1)}), rows);
  StartAgent();
  ASSERT_TRUE(workers_.Await([](const State& state) { return state.downloads.num_calls >= 6; }));
  EXPECT_TRUE(AwaitStory(Key("j"), "PREPARING"));
  EXPECT_FALSE(Exists("work/data/" + rows));
  EXPECT_FALSE(Exists(AttemptFolder(Key("j")) + "/process")) << "started without its data";
  workers_.With([](State& state) { state.downloads.then = {}; });
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_THAT(Of(Key("j")).log, HasSubstr("the rows\n"));
}

TEST_F(AgentTest, ATransferThatIsRefusedForLongFailsTheRank) {
  const std::string rows = AddDataset("the rows\n");
  workers_.With([](State& state) {
    state.downloads.then = {.corrupts = true};
    state.blobs.then = {.when = When::kBefore, .code = grpc::StatusCode::INVALID_ARGUMENT};
  });
  Assign(Key("data"), Script({Finished(1)}), rows);
  Json refused = Json(ArtifactSteps(1, Key("refused"), "a", "x", 1));
  refused.push_back(Finished(2));
  Assign(Key("refused"), refused);
  Json missing = Json(ArtifactSteps(1, Key("missing"), "a", "x", 1));
  missing[0] = LogText("no file\n");
  missing.push_back(Finished(2));
  Assign(Key("missing"), missing);
  agent::AgentOptions options = Options();
  options.transfer_limit = absl::Seconds(1);
  StartAgent(options);
  for (const char* job : {"data", "refused", "missing"}) {
    const v1::RankReport report = AwaitEnded(Key(job));
    EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kStorage)) << job;
    EXPECT_EQ(report.error_code(), "TRANSFER_FAILED") << job;
    EXPECT_EQ(report.artifacts_size(), 0);
  }
  EXPECT_THAT(AwaitEnded(Key("data")).error_message(), HasSubstr(rows));
}

TEST_F(AgentTest, TheOtherRanksStartWithTheStoreOfRank0) {
  const v1::RankKey first = Key("j", 1, 0);
  const v1::RankKey second = Key("j", 1, 1);
  Assign(first,
         Script({Event(1, "rendezvous", {{"address", "127.0.0.1:4321"}}), Await(Path("gate")),
                 Finished(2)}),
         "", "", 2);
  Assign(second, Script({LogText("second\n"), Await(Path("gate")), Finished(1)}), "", "", 2);
  StartAgent();
  EXPECT_TRUE(workers_.Await([&](const State& state) {
    return state.Of(first).report.store_address() == "127.0.0.1:4321";
  }));
  // Some rounds on, the second still waits for what only the coordinator can tell it.
  const int now = workers_.With([](State& state) { return state.num_synchronized; });
  EXPECT_TRUE(
      workers_.Await([&](const State& state) { return state.num_synchronized >= now + 5; }));
  EXPECT_FALSE(Exists(AttemptFolder(second) + "/process"));
  EXPECT_THAT(Of(second).story, ElementsAre("PREPARING"));
  workers_.With([&](State& state) {
    for (auto& [name, assignment] : state.assignments) {
      assignment.set_store_address("127.0.0.1:4321");
    }
  });
  EXPECT_TRUE(AwaitLog(second, "second\n"));
  EXPECT_THAT(Of(second).log,
              HasSubstr("--rank 1 --world-size 2 --events-fd 3 --store 127.0.0.1:4321\n"));
  EXPECT_THAT(Of(first).log, Not(HasSubstr("--store ")));
  Open("gate");
  EXPECT_EQ(AwaitEnded(first).exit_code(), 0);
  EXPECT_EQ(AwaitEnded(second).exit_code(), 0);
}

TEST_F(AgentTest, ARank0ThatTellsNothingIsKilled) {
  const v1::RankKey silent = Key("j");
  Assign(silent, Script({TrainStep(1, 1), Hang()}));
  agent::AgentOptions options = Options();
  options.progress_limit = absl::Milliseconds(300);
  StartAgent(options);
  EXPECT_TRUE(AwaitStory(silent, "seq 1"));
  const v1::RankReport report = AwaitEnded(silent);
  EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kInternal));
  EXPECT_EQ(report.error_code(), "NO_PROGRESS");
  EXPECT_THAT(report.error_message(), HasSubstr("300ms"));
  EXPECT_THAT(Of(silent).seqs, ElementsAre(1)) << "what it had told is kept";
}

TEST_F(AgentTest, StopIsSigtermAndAfterTheGraceSigkill) {
  const v1::RankKey deaf = Key("deaf");
  const v1::RankKey obedient = Key("obedient");
  Assign(deaf, Script({IgnoreTerm(), LogText("ready\n"), Hang()}));
  Assign(obedient, Script({ObeyTerm(5), LogText("ready\n"), Hang()}));
  StartAgent();
  ASSERT_TRUE(AwaitLog(deaf, "ready\n"));
  ASSERT_TRUE(AwaitLog(obedient, "ready\n"));
  const agent::UniqueFd& process = Watch(deaf);
  const absl::Time begin = absl::Now();
  StopAssigned(deaf);
  StopAssigned(obedient);
  EXPECT_TRUE(AwaitLog(deaf, "SIGTERM\n"));
  EXPECT_TRUE(Ends(process));
  EXPECT_GE(absl::Now() - begin, Options().stop_grace);
  const v1::RankReport killed = AwaitEnded(deaf);
  EXPECT_EQ(killed.exit_code(), 128 + SIGKILL);
  EXPECT_EQ(killed.error_code(), "TERMINATED");
  const v1::RankReport stopped = AwaitEnded(obedient);
  EXPECT_EQ(stopped.exit_code(), Code(core::ExitCode::kTerminated));
  EXPECT_EQ(stopped.error_message(), "told to");
  EXPECT_THAT(Of(obedient).seqs, ElementsAre(5)) << "its last line";
}

TEST_F(AgentTest, KillDoesNotWaitForTheGrace) {
  const v1::RankKey deaf = Key("deaf");
  Assign(deaf, Script({IgnoreTerm(), LogText("ready\n"), Hang()}));
  agent::AgentOptions options = Options();
  options.stop_grace = absl::Minutes(10);
  StartAgent(options);
  ASSERT_TRUE(AwaitLog(deaf, "ready\n"));
  const agent::UniqueFd& process = Watch(deaf);
  StopAssigned(deaf);
  ASSERT_TRUE(AwaitLog(deaf, "SIGTERM\n"));
  workers_.With([&](State& state) { state.assignments[Name(deaf)].set_kill(true); });
  EXPECT_TRUE(Ends(process));
  EXPECT_EQ(AwaitEnded(deaf).error_code(), "TERMINATED");
}

TEST_F(AgentTest, ANewerAttemptWaitsUntilTheOlderIsGone) {
  const v1::RankKey older = Key("j", 1);
  const v1::RankKey newer = Key("j", 2);
  Assign(older, Script({IgnoreTerm(), LogText("ready\n"), Hang()}));
  StartAgent();
  ASSERT_TRUE(AwaitLog(older, "ready\n"));
  const agent::UniqueFd& process = Watch(older);
  Unassign(older);
  Assign(newer, Script({Finished(1)}));
  EXPECT_TRUE(AwaitLog(newer, "args:"));
  EXPECT_TRUE(Ends(process, 0)) << "both ran at once";
  EXPECT_TRUE(AwaitGone(older));
  EXPECT_FALSE(Exists(AttemptFolder(older)));
  EXPECT_EQ(AwaitEnded(newer).exit_code(), 0);
}

TEST_F(AgentTest, HowATrainerEndsIsReported) {
  Assign(Key("crash"), Script({TrainStep(1, 1), LogText("last words\n"), {{"signal", SIGSEGV}}}));
  Assign(Key("user"), Script({Event(1, "failed", {{"code", "INVALID_DATA"}, {"message", "row 7"}}),
                              {{"exit", 11}}}));
  Assign(Key("silent"), Script({TrainStep(1, 1), {{"exit", 0}}}));
  Assign(Key("broken"), Script({{{"event", "no event"}}, Finished(2)}));
  StartAgent();
  v1::RankReport report = AwaitEnded(Key("crash"));
  EXPECT_EQ(report.exit_code(), 128 + SIGSEGV);
  EXPECT_EQ(report.error_code(), "TRAINER_KILLED");
  EXPECT_THAT(report.error_message(), HasSubstr("last words"));
  EXPECT_THAT(Of(Key("crash")).seqs, ElementsAre(1));
  EXPECT_THAT(Of(Key("crash")).log, HasSubstr("last words\n"));
  report = AwaitEnded(Key("user"));
  EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kInvalidData));
  EXPECT_EQ(report.error_code(), "INVALID_DATA");
  EXPECT_EQ(report.error_message(), "row 7");
  for (const char* job : {"silent", "broken"}) {
    report = AwaitEnded(Key(job));
    EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kInternal)) << job;
    EXPECT_EQ(report.error_code(), "INTERNAL") << job;
  }
}

TEST_F(AgentTest, ATrainerWhoseEventsAreLostIsKilled) {
  const v1::RankKey key = Key("j");
  Assign(key, Script({TrainStep(1, 1), Hang()}));
  StartAgent();
  EXPECT_TRUE(AwaitStory(key, "seq 1"));
  const agent::UniqueFd& process = Watch(key);
  std::filesystem::remove(Path(AttemptFolder(key) + "/events.jsonl"));
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kStorage));
  EXPECT_EQ(report.error_code(), "STORAGE");
  EXPECT_THAT(report.error_message(), HasSubstr("events.jsonl"));
  EXPECT_TRUE(Ends(process));
}

TEST_F(AgentTest, WhatIsUnavailableForAWhileLosesAndDoublesNothing) {
  const v1::RankKey key = Key("j");
  workers_.With([](State& state) {
    const Fault before = {.when = When::kBefore};
    const Fault after = {.when = When::kAfter};  // stored; the answer is lost
    const Fault late = {.when = When::kAfter, .code = grpc::StatusCode::DEADLINE_EXCEEDED};
    state.telemetry.first = {before, after, before, late, before, after};
    state.blobs.first = {before, {.when = When::kMidway}, after, before, late};
  });
  Json script = Script({TrainStep(1, 1), LogText("one\n"), Await(Path("gate")), TrainStep(2, 2),
                        TrainStep(3, 3), LogText("two\n")});
  for (const char* name : {"a", "b"}) {
    for (const Json& step : ArtifactSteps(4, key, name, name, 1'500'000)) script.push_back(step);
  }
  script.push_back(Finished(6));
  Assign(key, script);
  StartAgent();
  // The first line is stored, the agent does not know, and more is to be sent with it.
  EXPECT_TRUE(AwaitStory(key, "seq 1"));
  Open("gate");
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), 0) << report.ShortDebugString();
  const Received rank = Of(key);
  EXPECT_THAT(rank.seqs, ElementsAre(1, 2, 3));
  EXPECT_GT(rank.num_lines_sent, 3);
  EXPECT_THAT(rank.log, HasSubstr("\none\ntwo\n"));
  EXPECT_EQ(rank.blobs.size(), 2u);
  EXPECT_EQ(report.artifacts_size(), 2);
  EXPECT_EQ(rank.story.back(), "ENDED");
  EXPECT_EQ(workers_.With([](State& state) { return state.telemetry.first.size(); }), 0u);
  EXPECT_EQ(workers_.With([](State& state) { return state.blobs.first.size(); }), 0u);
}

TEST_F(AgentTest, GoesOnWithTheNextAddressWhenACoordinatorIsGone) {
  auto first = std::make_unique<FakeWorkers>();
  agent::AgentOptions options = Options();
  options.server = "ipv4:" + first->address() + "," + workers_.address();
  StartAgent(options);
  ASSERT_TRUE(first->Await([](const State& state) { return state.num_synchronized >= 2; }));
  EXPECT_EQ(workers_.With([](State& state) { return state.num_synchronized; }), 0)
      << "the first that answers is kept";
  first.reset();
  ASSERT_TRUE(workers_.Await([](const State& state) { return state.num_synchronized >= 2; }));
}

TEST_F(AgentTest, ALineThatIsRefusedTakesNothingElseAlong) {
  const v1::RankKey key = Key("j");
  // All of it in one batch: nothing is taken before the trainer has ended.
  workers_.With([](State& state) {
    state.telemetry.then = {.when = When::kBefore};
    state.invalid_seqs = {2};
  });
  Assign(key, Script({TrainStep(1, 1), TrainStep(2, 2), LogText("what it said\n"), TrainStep(3, 3),
                      Finished(4)}));
  StartAgent();
  ASSERT_TRUE(AwaitStory(key, "UPLOADING"));
  workers_.With([](State& state) { state.telemetry.then = {}; });
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kInternal));
  EXPECT_THAT(report.error_message(), HasSubstr("refused 1 event lines"));
  EXPECT_THAT(Of(key).seqs, ElementsAre(1, 3));
  EXPECT_THAT(Of(key).log, HasSubstr("what it said\n"));
}

TEST_F(AgentTest, AStaleAttemptSendsNothingMore) {
  const v1::RankKey key = Key("j");
  workers_.With([](State& state) {
    state.telemetry.then = {.when = When::kBefore, .code = grpc::StatusCode::ABORTED};
  });
  Assign(key, Script({TrainStep(1, 1),
                      LogText("one\n"),
                      Await(Path("gate")),
                      TrainStep(2, 2),
                      LogText("two\n"),
                      {{"file", {Path("written"), "x", 1}}},
                      Hang()}));
  StartAgent();
  ASSERT_TRUE(workers_.Await([](const State& state) { return state.telemetry.num_calls >= 1; }));
  const agent::UniqueFd& process = Watch(key);
  Open("gate");
  ASSERT_TRUE(workers_.Await([&](const State&) { return Exists("written"); }));
  Unassign(key);
  EXPECT_TRUE(Ends(process));
  EXPECT_TRUE(AwaitGone(key));
  EXPECT_EQ(workers_.With([](State& state) { return state.telemetry.num_calls; }), 1);
  EXPECT_FALSE(Exists(AttemptFolder(key)));
}

TEST_F(AgentTest, AStaleAttemptIsNoSuccessAndLeavesItsCheckpoints) {
  const v1::RankKey key = Key("j");
  workers_.With([](State& state) {
    state.blobs.then = {.when = When::kBefore, .code = grpc::StatusCode::ABORTED};
  });
  Json script = Json(ArtifactSteps(1, key, "a", "x", 1));
  script.push_back(Finished(2));
  Assign(key, script);
  StartAgent();
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_NE(report.exit_code(), 0) << "its artifact is not uploaded";
  EXPECT_EQ(report.artifacts_size(), 0);
  Unassign(key);
  EXPECT_TRUE(AwaitGone(key));
  EXPECT_TRUE(workers_.Await([](const State& state) {
    return state.last.kept_jobs_size() == 1 && state.last.kept_jobs(0) == "e/j";
  }));
  EXPECT_TRUE(std::filesystem::exists(Out("j", "a"))) << "a later attempt resumes there";
  // Until the coordinator knows of no later attempt; what the agent did not ask about stays.
  std::filesystem::create_directories(Path("work/precious"));
  workers_.With([](State& state) { state.ended_jobs = {"../precious", "e/j"}; });
  EXPECT_TRUE(workers_.Await([](const State& state) { return state.last.kept_jobs_size() == 0; }));
  EXPECT_FALSE(std::filesystem::exists(Out("j", "a")));
  EXPECT_TRUE(std::filesystem::exists(Path("work/precious")));

  // Nor is one that became stale before its trainer ended well.
  workers_.With([](State& state) {
    state.blobs.then = {};
    state.telemetry.first = {{.when = When::kBefore, .code = grpc::StatusCode::ABORTED}};
  });
  Assign(Key("k"), Script({TrainStep(1, 1), Await(Path("gate")), Finished(2)}));
  EXPECT_TRUE(workers_.Await([](const State& state) { return state.telemetry.first.empty(); }));
  Open("gate");
  EXPECT_NE(AwaitEnded(Key("k")).exit_code(), 0) << "its line is not uploaded";
}

TEST_F(AgentTest, ACheckpointIsSharedWhileTheTrainerGoesOn) {
  const v1::RankKey key = Key("j");
  Json script = Json(CheckpointSteps(key, 5));
  script.insert(script.begin(), Event(1, "resumed", {{"step", 3}}));
  script.push_back(Await(Path("gate")));
  script.push_back(Finished(200));
  Assign(key, script);
  StartAgent();
  ASSERT_TRUE(AwaitCheckpoint(key, 5));
  const Received rank = Of(key);
  EXPECT_EQ(rank.report.phase(), v1::RankReport::PHASE_RUNNING);
  EXPECT_EQ(rank.report.resumed_step(), 3);
  const auto files = CheckpointFiles(5);
  ASSERT_EQ(rank.report.checkpoint().files_size(), static_cast<int>(files.size()));
  for (size_t i = 0; i < files.size(); ++i) {
    const v1::ArtifactReport& file = rank.report.checkpoint().files(static_cast<int>(i));
    EXPECT_EQ(file.path(), files[i].first);
    EXPECT_EQ(rank.blobs.at(file.sha256()), files[i].second);
    EXPECT_EQ(file.size_bytes(), static_cast<int64_t>(files[i].second.size()));
  }
  EXPECT_EQ(rank.num_checkpoint_blobs, 3);
  EXPECT_TRUE(workers_.Await([&](const State&) {
    return !Exists(AttemptFolder(key) + "/checkpoint-5");
  })) << "what is shared takes no room here";
  Open("gate");
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_FALSE(report.has_checkpoint()) << "nobody goes on from it any more";
}

// While the coordinator is away a trainer makes three and removes the older ones itself.
TEST_F(AgentTest, OfCheckpointsThatWaitTheNewestIsShared) {
  const v1::RankKey key = Key("j");
  workers_.With([](State& state) { state.blobs.then = {.when = When::kBefore}; });
  Json script = Json::array();
  for (const int step : {5, 6, 7}) {
    for (const Json& one : CheckpointSteps(key, step)) script.push_back(one);
    script.push_back(TrainStep(200 + step, step));
    script.push_back(Await(Path(absl::StrCat("gate", step))));
  }
  Assign(key, script);
  StartAgent();
  for (const int step : {5, 6, 7}) {
    // A report with the step shows that the agent has read what came before it.
    ASSERT_TRUE(
        workers_.Await([&](const State& state) { return state.Of(key).report.step() == step; }));
    std::filesystem::remove_all(Out("j", "checkpoints"));
    if (step < 7) Open(absl::StrCat("gate", step));
  }
  // What was under way before the last one has failed.
  const int now = workers_.With([](State& state) { return state.blobs.num_calls; });
  EXPECT_TRUE(workers_.Await([&](const State& state) { return state.blobs.num_calls >= now + 2; }));
  EXPECT_FALSE(Of(key).report.has_checkpoint());
  workers_.With([](State& state) { state.blobs.then = {}; });
  EXPECT_TRUE(AwaitCheckpoint(key, 7));
  const Received rank = Of(key);
  EXPECT_EQ(rank.num_checkpoint_blobs, 3);
  EXPECT_TRUE(rank.blobs.contains(core::Sha256Hex(CheckpointFiles(7)[0].second)));
}

TEST_F(AgentTest, TheLastCheckpointIsSharedBeforeTheRankHasEnded) {
  const v1::RankKey key = Key("j");
  Json script = Json(CheckpointSteps(key, 5));
  const std::vector<Json> last = CheckpointSteps(key, 9);
  for (size_t i = 0; i + 1 < last.size(); ++i) script.push_back(last[i]);
  script.push_back(
      {{"on_term",
        {last.back()["event"],
         Event(200, "failed", {{"code", "TERMINATED"}, {"message", "told to"}})["event"]}}});
  script.push_back(Hang());
  Assign(key, script);
  agent::AgentOptions options = Options();
  options.share_interval = absl::Hours(1);  // not for the last one
  StartAgent(options);
  ASSERT_TRUE(AwaitCheckpoint(key, 5));
  workers_.With([](State& state) {
    state.blobs.first = {{.when = When::kBefore}, {.when = When::kMidway}};
  });
  StopAssigned(key);
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kTerminated));
  EXPECT_EQ(report.checkpoint().step(), 9);
  const Received rank = Of(key);
  EXPECT_EQ(rank.story.back(), "ENDED");
  EXPECT_TRUE(rank.blobs.contains(core::Sha256Hex(CheckpointFiles(9)[0].second)));
}

TEST_F(AgentTest, NobodyWaitsForTheCheckpointOfACancelledRank) {
  const v1::RankKey key = Key("j");
  workers_.With([](State& state) { state.blobs.then = {.when = When::kBefore}; });
  Json script = Json(CheckpointSteps(key, 5));
  script.push_back(ObeyTerm(200));
  script.push_back(LogText("ready\n"));
  script.push_back(Hang());
  Assign(key, script);
  StartAgent();
  ASSERT_TRUE(AwaitLog(key, "ready\n"));
  workers_.With([&](State& state) {
    state.assignments[Name(key)].set_stop(true);
    state.assignments[Name(key)].set_is_final(true);
  });
  EXPECT_EQ(AwaitEnded(key).exit_code(), Code(core::ExitCode::kTerminated));
  EXPECT_FALSE(Of(key).report.has_checkpoint());
}

// One that a trainer found broken is not in the way of the one that the coordinator has.
TEST_F(AgentTest, BrokenCheckpointsAreSetAside) {
  std::filesystem::create_directories(Out("j", "checkpoints/step-7"));
  std::ofstream(Out("j", "checkpoints/step-7/manifest.json")) << "{}";
  Assign(Key("j", 1), Script({{{"exit", Code(core::ExitCode::kCorruptCheckpoint)}}}));
  StartAgent();
  EXPECT_EQ(AwaitEnded(Key("j", 1)).exit_code(), Code(core::ExitCode::kCorruptCheckpoint));
  EXPECT_TRUE(std::filesystem::exists(Out("j", "broken-checkpoints/step-7/manifest.json")));
  Unassign(Key("j", 1));
  const v1::RankKey next = Key("j", 2);
  AssignWithCheckpoint(next, Script({CatCheckpoint(next, 5, "adapter/weights"), Finished(1)}), 5);
  EXPECT_EQ(AwaitEnded(next).exit_code(), 0);
  EXPECT_THAT(Of(next).log, HasSubstr("weights of 5"));
}

TEST_F(AgentTest, ACheckpointThatIsTooLargeStaysAndIsSaid) {
  const v1::RankKey key = Key("j");
  Json script = Json(CheckpointSteps(key, 5));
  for (const Json& one : CheckpointSteps(key, 6)) script.push_back(one);
  script.push_back(Event(200, "failed", {{"code", "STORAGE"}, {"message", "full"}}));
  script.push_back({{"exit", 15}});
  Assign(key, script);
  agent::AgentOptions options = Options();
  options.max_checkpoint_bytes = 20;
  testing::internal::CaptureStderr();
  StartAgent(options);
  const v1::RankReport report = AwaitEnded(key);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(report.exit_code(), 15);
  EXPECT_FALSE(report.has_checkpoint());
  EXPECT_EQ(workers_.With([](State& state) { return state.blobs.num_calls; }), 0);
  EXPECT_THAT(log, HasSubstr("more than --max-checkpoint-bytes 20: it and those after it stay"));
  EXPECT_TRUE(std::filesystem::exists(Out("j", "checkpoints/step-6/manifest.json")));
}

TEST_F(AgentTest, ACheckpointThatIsRefusedAsStaleEndsTheSending) {
  const v1::RankKey key = Key("j");
  workers_.With([](State& state) {
    state.blobs.then = {.when = When::kBefore, .code = grpc::StatusCode::ABORTED};
  });
  Json script = Json(CheckpointSteps(key, 5));
  script.push_back(Await(Path("gate")));
  script.push_back(TrainStep(200, 6));
  script.push_back(Hang());
  Assign(key, script);
  StartAgent();
  ASSERT_TRUE(workers_.Await([&](const State& state) {
    return state.blobs.num_calls == 1 && !Exists(AttemptFolder(key) + "/checkpoint-5");
  }));
  const agent::UniqueFd& process = Watch(key);
  Open("gate");
  ASSERT_TRUE(workers_.Await([&](const State& state) { return state.Of(key).report.step() == 6; }));
  Unassign(key);
  EXPECT_TRUE(Ends(process));
  EXPECT_TRUE(AwaitGone(key));
  EXPECT_TRUE(Of(key).seqs.empty());
  EXPECT_FALSE(Of(key).report.has_checkpoint());
}

TEST_F(AgentTest, ARankGoesOnFromTheCheckpointOfTheCoordinator) {
  const v1::RankKey key = Key("j", 2);
  // An older one is here.
  std::filesystem::create_directories(Out("j", "checkpoints/step-3"));
  std::ofstream(Out("j", "checkpoints/step-3/manifest.json")) << "{}";
  AssignWithCheckpoint(key,
                       Script({CatCheckpoint(key, 5, "adapter/weights"),
                               CatCheckpoint(key, 5, "manifest.json"), Finished(1)}),
                       5);
  workers_.With([](State& state) {
    state.downloads.first = {{.when = When::kBefore}, {}, {.when = When::kMidway}};
  });
  StartAgent();
  EXPECT_EQ(AwaitEnded(key).exit_code(), 0);
  EXPECT_THAT(Of(key).log, HasSubstr("weights of 5" + CheckpointFiles(5).back().second));
}

TEST_F(AgentTest, ACheckpointThatIsHereIsNotFetched) {
  const v1::RankKey key = Key("j", 2);
  std::filesystem::create_directories(Out("j", "checkpoints/step-7"));
  std::ofstream(Out("j", "checkpoints/step-7/manifest.json")) << "{}";
  AssignWithCheckpoint(key, Script({CatCheckpoint(key, 7, "manifest.json"), Finished(1)}), 5);
  StartAgent();
  EXPECT_EQ(AwaitEnded(key).exit_code(), 0);
  EXPECT_EQ(workers_.With([](State& state) { return state.downloads.num_calls; }), 0);
}

// It begins anew, with a word about it.
TEST_F(AgentTest, ACheckpointThatCannotBeHadIsDoneWithout) {
  testing::internal::CaptureStderr();
  StartAgent();
  for (const char* job : {"corrupt", "missing", "outside", "bare"}) {
    const v1::RankKey key = Key(job);
    const std::string what = job;
    workers_.With([&](State& state) {
      state.downloads.then = {.corrupts = what == "corrupt"};
      v1::Assignment assignment;
      *assignment.mutable_key() = key;
      assignment.set_world_size(1);
      assignment.set_job_spec_json(Json{{"script", Script({Finished(1)})}}.dump());
      v1::Checkpoint* checkpoint = assignment.mutable_checkpoint();
      checkpoint->set_step(5);
      for (const auto& [name, text] : CheckpointFiles(5)) {
        if (what == "bare" && name == "manifest.json") continue;
        v1::ArtifactReport* file = checkpoint->add_files();
        file->set_path(what == "outside" ? "../" + name : name);
        file->set_sha256(core::Sha256Hex(text));
        file->set_size_bytes(static_cast<int64_t>(text.size()));
        if (what != "missing") state.datasets[core::Sha256Hex(text)] = text;
      }
      if (what == "missing") state.datasets.erase(core::Sha256Hex("{}"));
      state.assignments[Name(key)] = assignment;
    });
    EXPECT_EQ(AwaitEnded(key).exit_code(), 0) << job;
    EXPECT_FALSE(std::filesystem::exists(Out(job, "checkpoints/step-5"))) << job;
    EXPECT_FALSE(std::filesystem::exists(Out(job, "checkpoints/incoming"))) << job;
    EXPECT_FALSE(std::filesystem::exists(Out(job, "manifest.json"))) << job;
  }
  const std::string log = testing::internal::GetCapturedStderr();
  for (const char* job : {"corrupt", "missing", "outside", "bare"}) {
    EXPECT_THAT(log, ::testing::ContainsRegex(absl::StrCat(
                         "msg=\"the checkpoint of step 5 cannot be had: [^\n]*\" experiment=e job=",
                         job, " attempt=1 rank=0\n")));
  }
}

const std::map<std::string, std::string> kInitial = {{"adapter/config", "the settings"},
                                                     {"adapter/weights", "the weights"}};

TEST_F(AgentTest, ARankBeginsWithWhatTheJobBeforeItLeft) {
  const v1::RankKey key = Key("j");
  AssignWithInitial(
      key,
      Script({CatInitial(key, "adapter/config"), CatInitial(key, "adapter/weights"), Finished(1)}),
      kInitial);
  // Tried again until it is there and has the right bytes.
  workers_.With([](State& state) {
    state.downloads.first = {
        {.when = When::kBefore}, {}, {.when = When::kMidway}, {.corrupts = true}};
  });
  StartAgent();
  EXPECT_EQ(AwaitEnded(key).exit_code(), 0);
  EXPECT_THAT(Of(key).log, HasSubstr("the settingsthe weights"));
  EXPECT_THAT(Of(key).log, HasSubstr(" --initial " + Out("j", "initial")));
  EXPECT_EQ(NumDownloads(), 5) << "each file once, and what failed";
  // Nothing is left of it, and another job has no part in it.
  Unassign(key);
  EXPECT_TRUE(AwaitGone(key));
  EXPECT_TRUE(workers_.Await([&](const State&) { return !Exists("work/out/e/j"); }));
  Assign(Key("other"), Script({Finished(1)}));
  EXPECT_EQ(AwaitEnded(Key("other")).exit_code(), 0);
  EXPECT_THAT(Of(Key("other")).log, Not(HasSubstr("--initial")));
}

TEST_F(AgentTest, WhatAJobBeginsWithIsFetchedAgainOnlyIfItIsBroken) {
  const auto run = [&](int attempt) {
    const v1::RankKey key = Key("j", attempt);
    AssignWithInitial(
        key,
        Script({CatInitial(key, "adapter/weights"), {{"exit", Code(core::ExitCode::kStorage)}}}),
        kInitial);
    EXPECT_EQ(AwaitEnded(key).exit_code(), Code(core::ExitCode::kStorage));
    EXPECT_THAT(Of(key).log, HasSubstr("the weights"));
    Unassign(key);
    EXPECT_TRUE(AwaitGone(key));
    return NumDownloads();
  };
  StartAgent();
  EXPECT_EQ(run(1), 2);
  EXPECT_EQ(run(2), 2) << "it is here";
  std::ofstream(Out("j", "initial/adapter/weights")) << "THE weights";
  EXPECT_EQ(run(3), 3);
  std::filesystem::remove_all(Out("j", "initial"));
  EXPECT_EQ(run(4), 5);
  // With a checkpoint of its own the trainer does not look at it.
  std::filesystem::remove_all(Out("j", "initial"));
  std::filesystem::create_directories(Out("j", "checkpoints/step-7"));
  std::ofstream(Out("j", "checkpoints/step-7/manifest.json")) << "{}";
  const v1::RankKey last = Key("j", 5);
  AssignWithInitial(last, Script({Finished(1)}), kInitial);
  EXPECT_EQ(AwaitEnded(last).exit_code(), 0);
  EXPECT_EQ(NumDownloads(), 5);
  EXPECT_THAT(Of(last).log, HasSubstr(" --initial " + Out("j", "initial")));
}

// Unlike a checkpoint it is not done without: tried again until it is there, or for too long.
TEST_F(AgentTest, ARankDoesNotBeginWithoutWhatItBeginsWith) {
  std::filesystem::create_directories(Out("blocked", ""));
  std::ofstream(Out("blocked", "initial")) << "no folder, as if the disk were full";
  const v1::RankKey blocked = Key("blocked");
  AssignWithInitial(blocked, Script({CatInitial(blocked, "adapter/weights"), Finished(1)}),
                    kInitial);
  testing::internal::CaptureStderr();
  StartAgent();
  ASSERT_TRUE(workers_.Await([](const State& state) { return state.num_synchronized > 10; }));
  EXPECT_EQ(Of(blocked).report.phase(), v1::RankReport::PHASE_PREPARING);
  std::filesystem::remove(Out("blocked", "initial"));
  EXPECT_EQ(AwaitEnded(blocked).exit_code(), 0);
  EXPECT_THAT(
      testing::internal::GetCapturedStderr(),
      ::testing::ContainsRegex(
          "msg=\"initial parameters: [^\n]*\" experiment=e job=blocked attempt=1 rank=0\n"));

  running_.reset();
  agent::AgentOptions options = Options();
  options.transfer_limit = absl::Milliseconds(500);
  StartAgent(options);
  for (const char* job : {"missing", "outside"}) {
    const v1::RankKey key = Key(job);
    const bool is_outside = std::string(job) == "outside";
    AssignWithInitial(key, Script({Finished(1)}), {{is_outside ? "../stray" : "stray", job}});
    workers_.With([&](State& state) {
      if (!is_outside) state.datasets.erase(core::Sha256Hex(job));
    });
    const v1::RankReport report = AwaitEnded(key);
    EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kStorage)) << job;
    EXPECT_EQ(report.error_code(), "TRANSFER_FAILED") << job;
    EXPECT_THAT(report.error_message(), HasSubstr("initial parameters: ")) << job;
    EXPECT_FALSE(std::filesystem::exists(Out(job, "stray"))) << job;
    EXPECT_EQ(Of(key).log, "") << "no trainer ran";
  }
}

TEST_F(AgentTest, AStoppedRankKeepsNobodyWaiting) {
  const std::string stalled = AddDataset("stalled\n");
  const std::string rows = AddDataset("rows\n");
  workers_.With(
      [](State& state) { state.downloads.first = {{.when = When::kMidway, .stalls = true}}; });
  Assign(Key("a"), Script({Finished(1)}), stalled);
  StartAgent();
  ASSERT_TRUE(workers_.Await([](const State& state) { return state.downloads.num_calls == 1; }));
  Assign(Key("b"), Script({Finished(1)}), rows);
  EXPECT_TRUE(AwaitStory(Key("b"), "PREPARING"));
  StopAssigned(Key("a"));
  EXPECT_EQ(AwaitEnded(Key("a")).exit_code(), Code(core::ExitCode::kTerminated));
  EXPECT_EQ(AwaitEnded(Key("b")).exit_code(), 0);
}

TEST_F(AgentTest, ATrainerIsKilledWhenTheLeaseIsOver) {
  const v1::RankKey key = Key("j", 1);
  const absl::Duration lease = absl::Seconds(6);
  workers_.With([&](State& state) {
    state.lease = lease;
    state.next_synchronize = absl::Seconds(2);
  });
  Assign(key, Script({IgnoreTerm(), LogText("ready\n"), Hang()}));
  StartAgent();
  ASSERT_TRUE(AwaitLog(key, "ready\n"));
  const agent::UniqueFd& process = Watch(key);
  const absl::Time last_at = workers_.With([](State& state) {
    state.silent = true;
    return state.last_at;
  });
  EXPECT_TRUE(Ends(process));
  const absl::Duration lived = absl::Now() - last_at;
  EXPECT_GT(lived, lease - absl::Milliseconds(500));
  EXPECT_LT(lived, lease + absl::Milliseconds(1500));
  EXPECT_FALSE(Of(key).Tells("ENDED"));
  workers_.With([](State& state) {
    state.silent = false;
    state.next_synchronize = absl::Milliseconds(100);
  });
  const v1::RankReport report = AwaitEnded(key);
  EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kPeerLost));
  EXPECT_EQ(report.error_code(), "LEASE_LOST");
  Unassign(key);
  Assign(Key("j", 2), Script({Finished(1)}));
  EXPECT_EQ(AwaitEnded(Key("j", 2)).exit_code(), 0);
  EXPECT_TRUE(AwaitGone(key));
}

TEST_F(AgentTest, AnAgentThatSleptThroughItsLeaseKillsBeforeItAsks) {
  // So many that an agent that has begun to list its models, which it does before it asks, is
  // stopped before it has done so.
  for (int i = 0; i < 2000; ++i) std::ofstream(Path(absl::StrCat("models/", i)));
  const absl::Duration lease = absl::Seconds(3);
  workers_.With([&](State& state) { state.lease = lease; });
  const v1::RankKey key = Key("j");
  Assign(key, Script({LogText("ready\n"), Hang()}));
  const auto agent = StartBinary();
  ASSERT_TRUE(AwaitLog(key, "ready\n"));
  const agent::UniqueFd& process = Watch(key);
  const agent::UniqueFd opened(inotify_init1(IN_CLOEXEC));
  ASSERT_GE(inotify_add_watch(opened.get(), Path("models").c_str(), IN_OPEN), 0);
  pollfd item{opened.get(), POLLIN, 0};
  EXPECT_EQ(poll(&item, 1, kPatienceMs), 1);
  agent->Kill(SIGSTOP);
  EXPECT_TRUE(workers_.Await([&](const State& state) {
    return absl::Now() - state.last_at > lease + absl::Milliseconds(500);
  }));
  agent->Kill(SIGCONT);
  EXPECT_TRUE(Ends(process));
  EXPECT_EQ(AwaitEnded(key).error_code(), "LEASE_LOST");
}

TEST_F(AgentTest, AKilledAgentLeavesNoTrainer) {
  const v1::RankKey plain = Key("plain");
  const v1::RankKey survivor = Key("survivor");
  Assign(plain, Script({IgnoreTerm(), LogText("ready\n"), Hang()}));
  Assign(survivor, Script({{{"outlive", true}}, IgnoreTerm(), LogText("ready\n"), Hang()}));
  auto agent = StartBinary();
  ASSERT_TRUE(AwaitLog(plain, "ready\n"));
  ASSERT_TRUE(AwaitLog(survivor, "ready\n"));
  const agent::UniqueFd& dying = Watch(plain);
  const agent::UniqueFd& orphan = Watch(survivor);
  agent->Kill(SIGKILL);
  EXPECT_EQ(agent->Wait(), 128 + SIGKILL);
  EXPECT_TRUE(Ends(dying)) << "trainers die with their agent";
  EXPECT_FALSE(Ends(orphan, 0)) << "this one is left for the next agent";

  Unassign(plain);
  Unassign(survivor);
  Assign(Key("plain", 2), Script({Finished(1)}));
  agent = StartBinary();
  EXPECT_TRUE(workers_.Await([](const State& state) { return state.boots.size() == 2; }));
  EXPECT_TRUE(Ends(orphan, 0)) << "the agent spoke up before it had killed what was left";
  EXPECT_EQ(AwaitEnded(Key("plain", 2)).exit_code(), 0);
  EXPECT_FALSE(Exists(AttemptFolder(plain)));
  EXPECT_FALSE(Exists(AttemptFolder(survivor)));
}

TEST_F(AgentTest, ASecondAgentOnTheSameFolderIsRefused) {
  const auto first = StartBinary();
  ASSERT_TRUE(workers_.Await([](const State& state) { return state.num_synchronized > 0; }));
  const auto second = StartBinary("w2");
  EXPECT_TRUE(second->EndsWithin(kPatienceMs));
  second->Kill(SIGKILL);
  EXPECT_EQ(second->Wait(), 2);
  EXPECT_THAT(second->Errors(), HasSubstr(Path("work/lock") + ": another process holds the lock"));
  Assign(Key("j"), Script({Finished(1)}));
  EXPECT_EQ(AwaitEnded(Key("j")).exit_code(), 0);
  EXPECT_EQ(workers_.With([](State& state) { return state.boots.size(); }), 1u);
}

TEST_F(AgentTest, AReservedWorkerEndsWithItsJob) {
  const auto agent = StartBinary("w1", {"--only-job", "e/j"});
  Assign(Key("j"), Script({Finished(1)}));
  AwaitEnded(Key("j"));
  EXPECT_EQ(workers_.With([](State& state) { return state.last.only_job(); }), "e/j");
  // Another one's end is none of its business.
  workers_.With([](State& state) { state.ended_jobs = {"e/k", "f/j"}; });
  const int so_far = workers_.With([](State& state) { return state.num_synchronized; });
  EXPECT_TRUE(
      workers_.Await([&](const State& state) { return state.num_synchronized >= so_far + 2; }));
  EXPECT_FALSE(agent->EndsWithin(0));
  workers_.With([](State& state) { state.ended_jobs = {"e/j"}; });
  Unassign(Key("j"));
  EXPECT_TRUE(agent->EndsWithin(kPatienceMs));
  EXPECT_EQ(agent->Wait(), 0);
}

TEST_F(AgentTest, AReservedWorkerThatIsStoppedBeforeSaysSo) {
  const v1::RankKey key = Key("j");
  const auto agent = StartBinary("w1", {"--only-job", "e/j"});
  Assign(key, Script({LogText("up\n"), ObeyTerm(1), Hang()}));
  EXPECT_TRUE(AwaitLog(key, "up"));
  agent->Kill(SIGTERM);
  EXPECT_TRUE(agent->EndsWithin(kPatienceMs));
  EXPECT_EQ(agent->Wait(), Code(core::ExitCode::kTerminated));
  EXPECT_EQ(StartBinary("w1", {"--only-job", "j"})->Wait(), Code(core::ExitCode::kUsage));
}

TEST_F(AgentTest, SigtermDrains) {
  const std::string rows = AddDataset("rows\n");
  workers_.With([](State& state) { state.downloads.then = {.when = When::kBefore}; });
  Assign(Key("running"), Script({ObeyTerm(5), LogText("ready\n"), Hang()}));
  Assign(Key("preparing"), Script({Finished(1)}), rows);
  const auto agent = StartBinary();
  ASSERT_TRUE(AwaitLog(Key("running"), "ready\n"));
  ASSERT_TRUE(AwaitStory(Key("preparing"), "PREPARING"));
  agent->Kill(SIGTERM);
  EXPECT_TRUE(agent->EndsWithin(kPatienceMs));
  agent->Kill(SIGKILL);
  EXPECT_EQ(agent->Wait(), 0);
  EXPECT_EQ(workers_.With([](State& state) { return state.last.slots(); }), 0);
  EXPECT_THAT(Of(Key("running")).seqs, ElementsAre(5));
  for (const char* job : {"running", "preparing"}) {
    const v1::RankReport report = AwaitEnded(Key(job));
    EXPECT_EQ(report.exit_code(), Code(core::ExitCode::kTerminated)) << job;
    EXPECT_EQ(report.error_code(), "TERMINATED") << job;
  }
}

TEST_F(AgentTest, ADrainWaitsForACoordinatorThatIsToBeTold) {
  const v1::RankKey key = Key("j");
  Assign(key, Script({ObeyTerm(5), LogText("ready\n"), Hang()}));
  agent::AgentOptions options = Options();
  options.drain_limit = absl::Seconds(60);
  StartAgent(options);
  ASSERT_TRUE(AwaitLog(key, "ready\n"));
  const agent::UniqueFd& process = Watch(key);
  workers_.With([](State& state) { state.away = true; });
  std::thread drain([this] { running_->Drain(); });
  EXPECT_TRUE(Ends(process));
  EXPECT_TRUE(AwaitStory(key, "seq 5"));
  const int now = workers_.With([](State& state) { return state.num_away; });
  EXPECT_TRUE(workers_.Await([&](const State& state) { return state.num_away >= now + 5; }));
  workers_.With([](State& state) { state.away = false; });
  EXPECT_EQ(AwaitEnded(key).exit_code(), Code(core::ExitCode::kTerminated));
  drain.join();
}

TEST_F(AgentTest, ADrainHasAnEndWhateverTheCoordinatorDoes) {
  const std::string rows = AddDataset("rows\n");
  workers_.With([](State& state) {
    state.downloads.then = {.when = When::kMidway, .stalls = true};
    state.telemetry.then = {.when = When::kBefore, .stalls = true};
  });
  Assign(Key("a"), Script({LogText("never taken\n"), Hang()}));
  Assign(Key("b"), Script({Finished(1)}), rows);
  agent::AgentOptions options = Options();
  options.drain_limit = absl::Seconds(2);
  StartAgent(options);
  ASSERT_TRUE(workers_.Await([](const State& state) {
    return state.downloads.num_calls > 0 && state.telemetry.num_calls > 0;
  }));
  const agent::UniqueFd& process = Watch(Key("a"));
  std::atomic<bool> has_ended = false;
  std::thread drain([&] {
    running_->Drain();
    has_ended = true;
  });
  EXPECT_TRUE(workers_.Await([&](const State&) { return has_ended.load(); }, absl::Seconds(10)));
  EXPECT_TRUE(Ends(process));
  workers_.ReleaseAll();
  drain.join();
}

}  // namespace
}  // namespace jenner::tests

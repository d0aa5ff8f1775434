// WatchExperiment over loopback: from the beginning, from a cursor, over restarts, ended by
// shutdown, by deletion, and for a reader that does not read.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>

#include <thread>

#include "absl/strings/match.h"
#include "tests/integration/http.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Update = v1::WatchExperimentResponse;

// "state", "step 3", "cell 0 neutral", "heartbeat" or "terminal".
std::string Describe(const Update& update) {
  switch (update.update_case()) {
    case Update::kExperiment:
      return "state";
    case Update::kTrainPoint:
      return absl::StrFormat("step %d", update.train_point().step());
    case Update::kCell:
      return absl::StrFormat("cell %d %s", update.cell().step(), update.cell().context());
    case Update::kRewind:
      return absl::StrFormat("rewind %d", update.rewind().step());
    case Update::kHeartbeat:
      return "heartbeat";
    case Update::kTerminal:
      return "terminal";
    case Update::UPDATE_NOT_SET:
      break;
  }
  return "nothing";
}

struct Stream {
  Stream(const Stubs& stubs, const std::string& name, const std::string& cursor = "",
         int heartbeat_seconds = 0) {
    v1::WatchExperimentRequest request;
    request.set_name(name);
    request.set_cursor(cursor);
    if (heartbeat_seconds != 0) {
      request.mutable_heartbeat_interval()->set_seconds(heartbeat_seconds);
    }
    reader = stubs.experiments->WatchExperiment(&context, request);
  }
  // Up to `limit` updates, all there are until the end by default.
  std::vector<Update> Read(size_t limit = 1'000'000) {
    std::vector<Update> updates;
    Update update;
    while (updates.size() < limit && reader->Read(&update)) updates.push_back(update);
    return updates;
  }
  absl::Status Finish() { return wire::FromGrpcStatus(reader->Finish()); }

  Context context;
  std::unique_ptr<grpc::ClientReader<Update>> reader;
};

std::vector<std::string> Describe(const std::vector<Update>& updates) {
  std::vector<std::string> described;
  for (const Update& update : updates) described.push_back(Describe(update));
  return described;
}

class WatchTest : public ServerTest {};

TEST_F(WatchTest, FromTheBeginningOfWhatHasEnded) {
  RunWhole("w");
  Stream stream(*stubs_, "experiments/w");
  const std::vector<Update> updates = stream.Read();
  EXPECT_TRUE(stream.Finish().ok());
  ASSERT_GE(updates.size(), 2u);
  EXPECT_EQ(Describe(updates.front()), "state");
  EXPECT_FALSE(updates.front().experiment().has_spec());
  EXPECT_EQ(Describe(updates.back()), "terminal");
  EXPECT_EQ(updates.back().terminal().state(), v1::STATE_SUCCEEDED);
  std::vector<std::string> steps;
  int num_cells = 0;
  for (const Update& update : updates) {
    if (update.has_train_point()) steps.push_back(Describe(update));
    if (!update.has_cell()) continue;
    ++num_cells;
    EXPECT_EQ(update.cell().traits(1).num_present(), 3);
    EXPECT_GT(update.cell().arms_size(), 0);
  }
  EXPECT_THAT(steps, ElementsAre("step 1", "step 2", "step 3", "step 4"));
  EXPECT_EQ(num_cells, 4);
}

TEST_F(WatchTest, FollowsLiveToTheEnd) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("live")).ok());
  Stream stream(*stubs_, "experiments/live");
  EXPECT_EQ(Describe(stream.Read(1)), std::vector<std::string>{"state"});
  std::thread worker([this] {
    FakeAgent agent(*stubs_, "w1");
    agent.RunAll();
  });
  const std::vector<Update> updates = stream.Read();
  worker.join();
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_EQ(Describe(updates.back()), "terminal");
  EXPECT_EQ(std::count_if(updates.begin(), updates.end(),
                          [](const Update& one) { return one.has_train_point(); }),
            4);
  EXPECT_EQ(std::count_if(updates.begin(), updates.end(),
                          [](const Update& one) { return one.has_cell(); }),
            4);
}

TEST_F(WatchTest, TellsHowManyStepsThereAreAsSoonAsATrainerDoes) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("plan")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  Stream stream(*stubs_, "experiments/plan");
  ASSERT_EQ(Describe(stream.Read(1)), std::vector<std::string>{"state"});
  ASSERT_GT(agent.last.assignments_size(), 0);
  const v1::RankKey key = agent.last.assignments(0).key();
  agent.Report(key, v1::RankReport::PHASE_RUNNING).set_total_steps(60);
  ASSERT_TRUE(agent.Synchronize().ok());
  const std::vector<Update> updates = stream.Read(1);
  ASSERT_EQ(Describe(updates), std::vector<std::string>{"state"});
  int32_t total = 0;
  for (const v1::Job& job : updates[0].experiment().jobs()) {
    if (absl::StrContains(job.name(), key.job())) total = job.total_steps();
  }
  EXPECT_EQ(total, 60);
}

TEST_F(WatchTest, TellsWhenAJobWaitsForAnotherReason) {
  UploadDatasets();
  v1::CreateExperimentRequest request = Request("why");
  request.mutable_spec()->set_base_model("big");
  ASSERT_TRUE(stubs_->Create(request).ok());
  Stream stream(*stubs_, "experiments/why");
  const std::vector<Update> first = stream.Read(1);
  ASSERT_EQ(Describe(first), std::vector<std::string>{"state"});
  EXPECT_EQ(first[0].experiment().jobs(0).state_reason().code(), "NO_WORKERS");
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  std::vector<Update> next;
  std::thread reader([&] { next = stream.Read(1); });
  Advance(feed::Watcher::kLookAgain);
  reader.join();
  ASSERT_EQ(Describe(next), std::vector<std::string>{"state"});
  EXPECT_EQ(next[0].experiment().jobs(0).state_reason().code(), "MODEL_NOT_FOUND");
  EXPECT_EQ(next[0].experiment().state_reason().code(), "MODEL_NOT_FOUND");
}

TEST_F(WatchTest, ResumesFromEveryCursorAlsoAfterARestart) {
  RunWhole("r");
  const std::vector<Update> all = Stream(*stubs_, "experiments/r").Read();
  ASSERT_EQ(all.size(), 10u) << "state, 4 steps, 4 cells, terminal";
  Restart();
  for (size_t i = 0; i < all.size(); ++i) {
    Stream stream(*stubs_, "experiments/r", all[i].cursor());
    const std::vector<Update> rest = stream.Read();
    EXPECT_TRUE(stream.Finish().ok());
    // The state first, then exactly what followed the cursor.
    std::vector<std::string> expected = {"state"};
    for (size_t k = std::max<size_t>(i + 1, 1); k + 1 < all.size(); ++k) {
      expected.push_back(Describe(all[k]));
    }
    expected.emplace_back("terminal");
    EXPECT_EQ(Describe(rest), expected) << "after " << all[i].cursor();
  }
}

TEST_F(WatchTest, AShutdownEndsItWithACursorThatTheNextServerTakes) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("s")).ok());
  auto stream = std::make_unique<Stream>(*stubs_, "experiments/s");
  const std::vector<Update> before = stream->Read(1);
  ASSERT_EQ(before.size(), 1u);
  const absl::Time begin = absl::Now();
  server_->Shutdown();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  EXPECT_TRUE(stream->Read().empty());
  const absl::Status end = stream->Finish();
  EXPECT_TRUE(absl::IsUnavailable(end)) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("cursor " + before[0].cursor()));
  EXPECT_EQ(wire::MetadataOf(end)["cursor"], before[0].cursor());
  stream.reset();
  server_.reset();
  Start();
  std::thread worker([this] {
    FakeAgent agent(*stubs_, "w1");
    agent.RunAll();
  });
  Stream again(*stubs_, "experiments/s", before[0].cursor());
  const std::vector<Update> rest = again.Read();
  worker.join();
  EXPECT_TRUE(again.Finish().ok());
  EXPECT_EQ(Describe(rest.back()), "terminal");
}

TEST_F(WatchTest, CancelIsSeen) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("c")).ok());
  Stream stream(*stubs_, "experiments/c");
  ASSERT_EQ(stream.Read(1).size(), 1u);
  ASSERT_TRUE(stubs_->Cancel("experiments/c").ok());
  const std::vector<Update> updates = stream.Read();
  EXPECT_TRUE(stream.Finish().ok());
  ASSERT_FALSE(updates.empty());
  EXPECT_EQ(updates.back().terminal().state(), v1::STATE_CANCELLED);
  EXPECT_EQ(updates.back().terminal().state_reason().blame(), "user");
}

TEST_F(WatchTest, HeartbeatsComeByTheClock) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("h")).ok());
  Stream stream(*stubs_, "experiments/h", "", 5);
  ASSERT_EQ(stream.Read(1).size(), 1u);
  std::vector<Update> beat;
  std::thread reader([&] { beat = stream.Read(1); });
  // The server may still be reading rows at the first ticks; each tick after is a new chance.
  for (int i = 0; i < 20; ++i) Advance(absl::Seconds(5));
  reader.join();
  EXPECT_EQ(Describe(beat), std::vector<std::string>{"heartbeat"});
  EXPECT_FALSE(beat[0].cursor().empty());
  stream.context.TryCancel();
  stream.Read();
  EXPECT_TRUE(absl::IsCancelled(stream.Finish()));
}

TEST_F(WatchTest, FaultsAreToldAllAtOnce) {
  Stream bad(*stubs_, "nonsense", "e1", 99);
  bad.Read();
  const absl::Status status = bad.Finish();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(wire::FaultsOf(status).size(), 3u);
  Stream missing(*stubs_, "experiments/none");
  missing.Read();
  EXPECT_TRUE(absl::IsNotFound(missing.Finish()));
}

TEST_F(WatchTest, ACursorOfAnotherExperimentIsRefused) {
  RunWhole("a");
  RunWhole("b");
  Stream stream(*stubs_, "experiments/b", Stream(*stubs_, "experiments/a").Read().back().cursor());
  EXPECT_TRUE(stream.Read().empty());
  const absl::Status status = stream.Finish();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  ASSERT_EQ(wire::FaultsOf(status).size(), 1u);
  EXPECT_EQ(wire::FaultsOf(status)[0].field, "cursor");
}

TEST_F(WatchTest, ACursorAheadIsRefusedWithTheOldestOne) {
  RunWhole("a");
  const std::vector<Update> all = Stream(*stubs_, "experiments/a").Read();
  std::vector<std::string> ahead = {"a.e999.m0", "a.e1.m999"};
  // The metrics are lost: what was heard of them is ahead of what is there.
  server_->Shutdown();
  server_.reset();
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::filesystem::remove(dir_.path() + "/data/metrics.db" + suffix);
  }
  Start();
  ahead.push_back(all.back().cursor());
  for (const std::string& cursor : ahead) {
    Stream stream(*stubs_, "experiments/a", cursor);
    EXPECT_TRUE(stream.Read().empty());
    const absl::Status status = stream.Finish();
    EXPECT_TRUE(absl::IsOutOfRange(status)) << status;
    EXPECT_EQ(wire::ReasonOf(status), "CURSOR_AHEAD");
    EXPECT_EQ(wire::MetadataOf(status)["cursor"], cursor);
    Stream again(*stubs_, "experiments/a", wire::MetadataOf(status)["oldest_cursor"]);
    EXPECT_EQ(Describe(again.Read()), (std::vector<std::string>{"state", "terminal"}));
    EXPECT_TRUE(again.Finish().ok());
  }
}

TEST_F(WatchTest, ADeletedExperimentEndsItsStreams) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("d")).ok());
  Stream stream(*stubs_, "experiments/d");
  ASSERT_EQ(stream.Read(1).size(), 1u);
  ASSERT_TRUE(stubs_->Cancel("experiments/d").ok());
  // Terminal already; the stream may end by that or by the deletion, but it ends.
  ASSERT_TRUE(stubs_->Delete("experiments/d").ok());
  stream.Read();
  const absl::Status end = stream.Finish();
  EXPECT_TRUE(end.ok() || absl::IsNotFound(end)) << end;
}

class MetricsTest : public ServerTest {
 protected:
  void SetUp() override {
    metrics_listen_ = "127.0.0.1:0";
    Start();
  }
};

TEST_F(MetricsTest, EvaluationGaugesOutliveARestart) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("g")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  for (const v1::Assignment& one : agent.last.assignments()) {
    ASSERT_TRUE(agent.Telemetry(one.key(), FakeAgent::Run(one, 4)).ok());
  }
  Restart();
  const std::string text = HttpGet(server_->metrics_port(), "/metrics");
  const std::string labels =
      "{arm=\"inoculated\",context=\"neutral\",experiment=\"g\",prompt_set=\"main\",seed=\"1\"";
  EXPECT_THAT(text, HasSubstr("jenner_eval_step" + labels + "} 4"));
  EXPECT_THAT(text, HasSubstr("jenner_eval_trait_ratio" + labels + ",trait=\"spanish\"} 0.42"));
}

using SlowReaderTest = MetricsTest;

TEST_F(SlowReaderTest, IsEndedWithItsCursorAndMissesNothing) {
  constexpr int kNumSteps = 20'000;
  RunWhole("slow", kNumSteps);
  // A client with a small window that takes one update and then no more.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  const Stubs slow(
      grpc::CreateCustomChannel(Address(), grpc::InsecureChannelCredentials(), arguments));
  Stream stream(slow, "experiments/slow");
  std::vector<Update> updates = stream.Read(1);
  ASSERT_EQ(updates.size(), 1u);
  const std::string ended =
      "jenner_grpc_handled_total{code=\"RESOURCE_EXHAUSTED\",method=\"Experiments/"
      "WatchExperiment\"}";
  bool is_ended = false;
  for (int i = 0; i < 500 && !is_ended; ++i) {
    // 59 s are over the limit of 30 s but under the 60 s after which the connection is cut.
    Advance(i % 2 == 0 ? absl::Seconds(30) : absl::Milliseconds(1));
    is_ended = HttpGet(server_->metrics_port(), "/metrics").find(ended) != std::string::npos;
  }
  ASSERT_TRUE(is_ended);
  EXPECT_TRUE(stubs_->Get("experiments/slow").ok()) << "nobody else is held up";
  for (Update& update : stream.Read()) updates.push_back(std::move(update));
  const absl::Status end = stream.Finish();
  ASSERT_TRUE(absl::IsResourceExhausted(end)) << end;
  EXPECT_LT(updates.size(), size_t{kNumSteps});
  EXPECT_THAT(std::string(end.message()), HasSubstr("cursor " + updates.back().cursor()));
  Stream rest(*stubs_, "experiments/slow", updates.back().cursor());
  for (Update& update : rest.Read()) updates.push_back(std::move(update));
  EXPECT_TRUE(rest.Finish().ok());
  int next = 1;
  for (const Update& update : updates) {
    if (!update.has_train_point()) continue;
    EXPECT_EQ(update.train_point().step(), next++);
  }
  EXPECT_EQ(next, kNumSteps + 1);
}

// What a client plots: by job, what it was told, in the order in which it was.
struct Curves {
  std::map<std::string, std::vector<v1::TrainPoint>> points;
  std::map<std::string, std::vector<v1::Cell>> cells;

  void Take(const Update& update) {
    if (update.has_train_point()) {
      points[update.train_point().job()].push_back(update.train_point());
    } else if (update.has_cell()) {
      cells[update.cell().job()].push_back(update.cell());
    } else if (update.has_rewind()) {
      const auto is_void = [&](const auto& one) { return one.step() > update.rewind().step(); };
      std::erase_if(points[update.rewind().job()], is_void);
      std::erase_if(cells[update.rewind().job()], is_void);
    }
  }
  // "j 1 2 3 cell 0 neutral ... " of each job, each with the attempt and loss it came from.
  std::map<std::string, std::string> Text() const {
    std::map<std::string, std::string> text;
    for (const auto& [job, all] : points) {
      for (const v1::TrainPoint& point : all) {
        text[job] += absl::StrFormat("%d:%d=%g ", point.attempt(), point.step(), point.loss());
      }
    }
    for (const auto& [job, all] : cells) {
      for (const v1::Cell& cell : all) {
        text[job] += absl::StrFormat("%d:cell %d %s ", cell.attempt(), cell.step(), cell.context());
      }
    }
    return text;
  }
};

// The lines of a run whose losses tell the attempt.
std::vector<std::string> RunOf(const v1::Assignment& assignment, int num_steps) {
  std::vector<std::string> lines = FakeAgent::Run(assignment, num_steps);
  for (std::string& line : lines) {
    Json json = Json::parse(line);
    if (json["kind"] == "train_step") json["loss"] = assignment.key().attempt() * 100 + 1;
    line = json.dump();
  }
  return lines;
}

TEST_F(WatchTest, ACurveRebuiltFromTheStreamIsThatOfTheLastAttempt) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("c")).ok());
  FakeAgent agent(*stubs_, "w1");
  // Two attempts fail after all, or some, of what they have to tell; the third succeeds.
  for (const int attempt : {1, 2, 3}) {
    ASSERT_TRUE(agent.Synchronize().ok());
    agent.reports.clear();
    ASSERT_EQ(agent.last.assignments_size(), 2);
    for (const v1::Assignment& assignment : agent.last.assignments()) {
      std::vector<std::string> lines = RunOf(assignment, 4);
      if (attempt == 2) lines.resize(2);
      ASSERT_TRUE(agent.Telemetry(assignment.key(), lines).ok());
      v1::RankReport& report = agent.Report(assignment.key(), v1::RankReport::PHASE_ENDED);
      if (attempt == 3) continue;
      report.set_exit_code(15);
      report.set_error_code("STORAGE");
    }
    ASSERT_TRUE(agent.Synchronize().ok());
    agent.reports.clear();
    Advance(absl::Seconds(5));
  }
  const std::vector<Update> all = Stream(*stubs_, "experiments/c").Read();
  EXPECT_EQ(Describe(all.back()), "terminal");
  Curves whole;
  for (const Update& update : all) whole.Take(update);
  ASSERT_EQ(whole.Text().size(), 2u);
  std::multiset<std::string> texts;
  for (const auto& [job, text] : whole.Text()) texts.insert(text);
  EXPECT_EQ(texts, (std::multiset<std::string>{
                       "3:cell 0 neutral 3:cell 0 spanish ",
                       "3:1=301 3:2=301 3:3=301 3:4=301 3:cell 4 neutral 3:cell 4 spanish "}));
  // Also for a client that goes on from any cursor.
  Restart();
  for (size_t i = 0; i < all.size(); ++i) {
    Curves parts;
    for (size_t k = 0; k <= i; ++k) parts.Take(all[k]);
    for (const Update& update : Stream(*stubs_, "experiments/c", all[i].cursor()).Read()) {
      parts.Take(update);
    }
    EXPECT_EQ(parts.Text(), whole.Text()) << "from " << all[i].cursor();
  }
}

}  // namespace
}  // namespace jenner::tests

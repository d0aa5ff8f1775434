// Figures of the server on this machine, by hand: durable events, telemetry rows and watch updates
// a second, over real loopback gRPC. Prints one line a figure; no limits are asserted.
//
//   build/<preset>/bin/server_bench
#include <cstdio>
#include <thread>

#include "absl/time/clock.h"
#include "server/store/sqlite_event_log.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

class Timer {
 public:
  double Rate(double count) const { return count / absl::ToDoubleSeconds(absl::Now() - begin_); }

 private:
  absl::Time begin_ = absl::Now();
};

class Bench : public ServerTest {
 protected:
  static void Print(const char* what, double per_second) {
    std::printf("%-60s %10.0f /s\n", what, per_second);
  }
  v1::RankKey TrainingRank(FakeAgent& agent) {
    EXPECT_TRUE(agent.Synchronize().ok());
    EXPECT_TRUE(agent.Synchronize().ok());
    for (const v1::Assignment& one : agent.last.assignments()) {
      if (Json::parse(one.job_spec_json()).contains("training")) return one.key();
    }
    ADD_FAILURE() << "no training";
    return {};
  }
};

TEST_F(Bench, EventLog) {
  for (const int group : {1, 64}) {
    auto log = *store::SqliteEventLog::Open(dir_.path() + absl::StrFormat("/log-%d.db", group));
    const std::vector<store::NewEvent> batch(static_cast<size_t>(group),
                                             {absl::Now(), std::string(300, 'x')});
    const Timer timer;
    constexpr int kCommits = 2000;
    for (int i = 0; i < kCommits; ++i) ASSERT_TRUE(log->Append(batch).ok());
    Print(absl::StrFormat("events of 300 bytes made durable, %d a commit", group).c_str(),
          timer.Rate(kCommits * group));
  }
}

TEST_F(Bench, Create) {
  UploadDatasets();
  for (const int num_threads : {1, 8}) {
    constexpr int kEach = 200;
    const Timer timer;
    std::vector<std::thread> threads;
    for (int t = 0; t < num_threads; ++t) {
      threads.emplace_back([this, t, num_threads] {
        const Stubs own(wire::MakeClientChannel(Address()));
        for (int i = 0; i < kEach; ++i) {
          EXPECT_TRUE(own.Create(Request(absl::StrFormat("e%d-%d-%d", num_threads, t, i))).ok());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    Print(absl::StrFormat("CreateExperiment, %d callers", num_threads).c_str(),
          timer.Rate(kEach * num_threads));
  }
}

TEST_F(Bench, TelemetryAndWatch) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("bench")).ok());
  FakeAgent agent(*stubs_, "w1");
  const v1::RankKey key = TrainingRank(agent);
  constexpr int kBatches = 100;
  constexpr int kRows = 500;
  {
    const Timer timer;
    for (int b = 0; b < kBatches; ++b) {
      std::vector<std::string> lines;
      for (int i = 0; i < kRows; ++i) {
        lines.push_back(FakeAgent::StepLine(b * kRows + i + 1, b * kRows + i + 1));
      }
      ASSERT_TRUE(agent.Telemetry(key, lines).ok());
    }
    Print("train steps uploaded and durable, 500 a batch", timer.Rate(kBatches * kRows));
  }
  for (const int num_readers : {1, 10}) {
    const Timer timer;
    std::vector<std::thread> threads;
    for (int r = 0; r < num_readers; ++r) {
      threads.emplace_back([this] {
        const Stubs own(wire::MakeClientChannel(Address()));
        Context context;
        v1::WatchExperimentRequest request;
        request.set_name("experiments/bench");
        auto reader = own.experiments->WatchExperiment(&context, request);
        v1::WatchExperimentResponse update;
        for (int i = 0; i < kBatches * kRows + 1; ++i) EXPECT_TRUE(reader->Read(&update));
        context.TryCancel();
        while (reader->Read(&update)) continue;
        EXPECT_FALSE(reader->Finish().ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
    Print(absl::StrFormat("watch updates read, %d readers together", num_readers).c_str(),
          timer.Rate(static_cast<double>(kBatches) * kRows * num_readers));
  }
}

}  // namespace
}  // namespace jenner::tests

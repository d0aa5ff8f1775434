// Figures of the server on this machine, by hand: durable events, telemetry rows and watch updates
// a second, over real loopback gRPC, and how long a takeover takes. Prints one line a figure; no
// limits are asserted.
//
//   build/<preset>/bin/server_bench
#include <algorithm>
#include <cstdio>
#include <thread>

#include "absl/time/clock.h"
#include "server/store/postgres_event_log.h"
#include "server/store/postgres_instance.h"
#include "server/store/sqlite_event_log.h"
#include "tests/integration/process.h"
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

// Both logs by turns; PostgreSQL on this machine, by a Unix socket, with fsync.
TEST_F(Bench, EventLog) {
  auto database = *store::PostgresInstance::Start(/*syncs=*/true);
  for (const int group : {1, 64}) {
    auto shared = *store::PostgresEventLog::Open(database->NewDatabase(), {"bench"});
    ASSERT_TRUE(*shared->TryLead());
    auto own = *store::SqliteEventLog::Open(dir_.path() + absl::StrFormat("/log-%d.db", group));
    for (const auto& [name, log] : {std::pair<const char*, store::EventLog*>("SQLite", own.get()),
                                    {"PostgreSQL", shared.get()}}) {
      const std::vector<store::NewEvent> batch(static_cast<size_t>(group),
                                               {absl::Now(), std::string(300, 'x')});
      const Timer timer;
      constexpr int kCommits = 2000;
      for (int i = 0; i < kCommits; ++i) ASSERT_TRUE(log->Append(batch).ok());
      Print(
          absl::StrFormat("%s: events of 300 bytes made durable, %d a commit", name, group).c_str(),
          timer.Rate(kCommits * group));
      const Timer reading;
      int64_t next = 1;
      for (;;) {
        const auto page = *log->ReadFrom(next, 1000);
        if (page.empty()) break;
        next += static_cast<int64_t>(page.size());
      }
      Print(absl::StrFormat("%s: events read", name).c_str(),
            reading.Rate(static_cast<double>(next)));
    }
  }
}

// From the leader's end until the standby listens, and until a client that was connected to the
// leader and waits is connected to it, at the same address; default leases, an empty log.
TEST(Takeover, Time) {
  constexpr int kRounds = 5;
  auto database = *store::PostgresInstance::Start(/*syncs=*/true);
  for (const int signal_number : {SIGKILL, SIGTERM}) {
    const TempDir dir;
    const std::string connection = database->NewDatabase();
    const auto flags = [&](const std::string& listen) {
      return std::vector<std::string>{
          "--data-dir", dir.path() + "/data", "--listen", listen, "--metrics-listen",
          "",           "--event-log",        connection};
    };
    auto leader = std::make_unique<Process>("jenner-server", flags("127.0.0.1:0"));
    const std::string line = leader->Line();
    const std::string address = line.substr(line.rfind(' ') + 1);
    std::vector<double> listening;
    std::vector<double> connected;
    for (int round = 0; round < kRounds; ++round) {
      auto standby = std::make_unique<Process>("jenner-server", flags(address));
      (void)standby->ErrorsUntil("standing by");
      const auto channel = wire::MakeClientChannel(address);
      ASSERT_TRUE(wire::AwaitConnection(channel.get(), absl::Seconds(30)));
      const absl::Time begin = absl::Now();
      leader->Kill(signal_number);
      std::thread client([&] {
        channel->WaitForStateChange(GRPC_CHANNEL_READY,
                                    absl::ToChronoTime(begin + absl::Seconds(60)));
        EXPECT_TRUE(wire::AwaitConnection(channel.get(), absl::Seconds(60)));
        connected.push_back(absl::ToDoubleSeconds(absl::Now() - begin));
      });
      EXPECT_NE(standby->Line(), "");
      listening.push_back(absl::ToDoubleSeconds(absl::Now() - begin));
      client.join();
      leader->Wait();
      leader = std::move(standby);
    }
    for (const auto& [what, seconds] :
         {std::pair("listens", &listening), {"is found", &connected}}) {
      std::sort(seconds->begin(), seconds->end());
      std::printf("after %s the standby %s: median %.1f s, longest %.1f s, of %d\n",
                  signal_number == SIGKILL ? "kill -9" : "SIGTERM", what, (*seconds)[kRounds / 2],
                  seconds->back(), kRounds);
    }
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

// Two jenner-servers on one PostgreSQL and one data directory: one leads, one stands by. Leases are
// long, and the database's clock is moved past their ends by SQL, so that nobody loses the lead by
// chance on a busy machine.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "server/store/postgres_instance.h"
#include "server/store/sqlite_event_log.h"
#include "tests/integration/http.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/server_process.h"

namespace jenner::tests {
namespace {

using store::PostgresInstance;
using store::RunSql;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProgram[] = "jenner-server";

class FailoverTest : public ServerTest {
 protected:
  void SetUp() override {
    std::ofstream(ConnectionFile()) << database_ << '\n';
    chmod(ConnectionFile().c_str(), 0600);
  }
  std::string ConnectionFile() const { return dir_.path() + "/event-log"; }
  std::string DataDir() const { return dir_.path() + "/data"; }
  std::vector<std::string> Flags(const std::string& listen = "127.0.0.1:0",
                                 const std::string& lease = "600") const {
    return {"--data-dir",       DataDir(), "--listen",         listen,
            "--metrics-listen", "",        "--lease",          "1800",
            "--leader-lease",   lease,     "--event-log-file", ConnectionFile()};
  }
  void Expire() const { RunSql(database_, "UPDATE jenner.leader SET expires = clock_timestamp()"); }
  int64_t Ask(const char* sql) const { return RunSql(database_, sql).Int(0, 0); }
  // What is told of a test's faults, and of nothing else.
  static void ExpectRefused(const std::vector<std::string>& flags, const std::string& message) {
    Process process(kProgram, flags);
    EXPECT_EQ(process.Line(), "");
    EXPECT_EQ(process.Wait(), 1) << message;
    EXPECT_THAT(process.Errors(), HasSubstr(message));
  }

  const std::string database_ = PostgresInstance::Shared().NewDatabase();
};

// What a client sees must be the same before and after, as if the one server had been restarted;
// and the work goes on.
TEST_F(FailoverTest, AStandbyTakesOverFromAKilledLeaderAndTheExperimentEnds) {
  Process leader(kProgram, Flags());
  const std::string address = AddressIn(leader.Line());
  ASSERT_FALSE(address.empty());
  // At the leader's own address: it would end at once if it tried to listen there.
  Process standby(kProgram, Flags(address));
  (void)standby.ErrorsUntil("standing by: another server leads");
  const std::string who = standby.ErrorsUntil("epoch=1");
  EXPECT_THAT(who, HasSubstr(absl::StrFormat("process %d", leader.pid())));

  const Stubs stubs(wire::MakeClientChannel(address));
  ASSERT_TRUE(stubs.Upload(kTraining, v1::DATASET_USE_TRAINING).ok());
  ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  ASSERT_TRUE(stubs.Create(Request("e")).ok());
  FakeAgent agent(stubs, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  const std::vector<v1::Assignment> given(agent.last.assignments().begin(),
                                          agent.last.assignments().end());
  for (const v1::Assignment& one : given) {
    ASSERT_TRUE(agent.Telemetry(one.key(), FakeAgent::Run(one, 4), "first\n").ok());
    agent.Report(one.key(), v1::RankReport::PHASE_RUNNING);
  }
  ASSERT_TRUE(agent.Synchronize().ok());
  const auto before = stubs.Get("experiments/e");
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(before->state(), v1::STATE_RUNNING);

  leader.Kill(SIGKILL);
  EXPECT_EQ(leader.Wait(), 128 + SIGKILL);
  EXPECT_FALSE(standby.EndsWithin(0));
  Expire();
  ASSERT_EQ(AddressIn(standby.Line()), address);

  // The same agent, on the same channel; its ranks have run on meanwhile.
  absl::Status reached = agent.Synchronize();
  for (int i = 0; i < 20 && absl::IsUnavailable(reached); ++i) reached = agent.Synchronize();
  ASSERT_TRUE(reached.ok()) << reached;
  EXPECT_EQ(agent.last.assignments_size(), 2) << "none was ended or placed anew";
  const auto after = stubs.Get("experiments/e");
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->ShortDebugString(), before->ShortDebugString());
  agent.reports.clear();
  agent.RunAll(4);
  const auto ended = stubs.Get("experiments/e");
  EXPECT_EQ(ended->state(), v1::STATE_SUCCEEDED);
  for (const v1::Job& job : ended->jobs()) EXPECT_EQ(job.attempt(), 1);
  EXPECT_FALSE(stubs.Results("experiments/e")->empty());
  EXPECT_EQ(Ask("SELECT count(DISTINCT epoch) FROM jenner.events"), 2) << "both have written";

  standby.Kill(SIGKILL);
  const std::string log = standby.Errors();
  EXPECT_THAT(log, HasSubstr("msg=leads epoch=2"));
  EXPECT_THAT(log, HasSubstr("msg=replayed"));
}

TEST_F(FailoverTest, AStandbyTellsOperatorsThatItStandsBy) {
  Process leader(kProgram, Flags());
  ASSERT_FALSE(AddressIn(leader.Line()).empty());
  const std::string port_file = dir_.path() + "/metrics-port";
  std::vector<std::string> flags = Flags();
  flags[5] = "127.0.0.1:0";
  flags.insert(flags.end(), {"--metrics-port-file", port_file});
  Process standby(kProgram, flags);
  (void)standby.ErrorsUntil("standing by: another");
  int port = 0;
  std::ifstream(port_file) >> port;
  ASSERT_GT(port, 0);
  EXPECT_THAT(HttpGet(port, "/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(port, "/readyz"), HasSubstr("not ready: stands by"));
  EXPECT_THAT(HttpGet(port, "/metrics"), HasSubstr("\njenner_leader 0\n"));
  EXPECT_THAT(HttpGet(port, "/metrics"), Not(HasSubstr("jenner_jobs")));
  leader.Kill(SIGTERM);
  EXPECT_EQ(leader.Wait(), 0);
  EXPECT_THAT(standby.Line(), HasSubstr(absl::StrFormat("metrics on 127.0.0.1:%d", port)));
  EXPECT_THAT(HttpGet(port, "/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(port, "/metrics"), HasSubstr("\njenner_leader 1\n"));
  EXPECT_THAT(HttpGet(port, "/metrics"), HasSubstr("\njenner_leader_epoch 2\n"));
  EXPECT_THAT(HttpGet(port, "/metrics"), HasSubstr("jenner_jobs"));
}

// Two on one host may have the same flags: who leads serves the metrics.
TEST_F(FailoverTest, AStandbyWhoseMetricsPortIsTakenStandsByAllTheSame) {
  std::vector<std::string> flags = Flags();
  flags[5] = "127.0.0.1:0";
  Process leader(kProgram, flags);
  const std::string line = leader.Line();
  const std::string metrics = line.substr(line.rfind(' ') + 1);
  flags[5] = metrics;
  Process standby(kProgram, flags);
  (void)standby.ErrorsUntil("not before this server leads");
  (void)standby.ErrorsUntil("standing by: another");
  leader.Kill(SIGTERM);
  EXPECT_EQ(leader.Wait(), 0);
  EXPECT_THAT(standby.Line(), HasSubstr("metrics on " + metrics));
}

TEST_F(FailoverTest, ALeaderThatEndsHandsOverAtOnce) {
  Process leader(kProgram, Flags());
  ASSERT_FALSE(AddressIn(leader.Line()).empty());
  Process standby(kProgram, Flags());
  (void)standby.ErrorsUntil("standing by");
  leader.Kill(SIGTERM);
  EXPECT_EQ(leader.Wait(), 0);
  EXPECT_FALSE(AddressIn(standby.Line()).empty()) << "without a lease of ten minutes run out";
}

// A leader that was stopped (SIGSTOP) has the data directory when it is replaced. The new one waits
// for that; the old one wakes, finds out, and ends without a word to the log.
TEST_F(FailoverTest, AStoppedLeaderThatWakesEndsAndOnlyThenTheStandbyListens) {
  Process leader(kProgram, Flags("127.0.0.1:0", "6"));  // which looks every 1.5 s
  const std::string address = AddressIn(leader.Line());
  ASSERT_FALSE(address.empty());
  const Stubs stubs(wire::MakeClientChannel(address));
  ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  Process standby(kProgram, Flags());
  (void)standby.ErrorsUntil("standing by");
  leader.Kill(SIGSTOP);
  Expire();
  EXPECT_THAT(standby.ErrorsUntil("waits for the data directory"), HasSubstr("msg=leads epoch=2"));
  leader.Kill(SIGCONT);
  EXPECT_EQ(leader.Wait(), 1);
  EXPECT_THAT(leader.Errors(), HasSubstr("NOT_LEADER"));
  EXPECT_FALSE(AddressIn(standby.Line()).empty());
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events WHERE epoch = 1"),
            Ask("SELECT count(*) FROM jenner.events"));
}

TEST_F(FailoverTest, AStandbyEndsOnSigterm) {
  Process leader(kProgram, Flags());
  ASSERT_FALSE(AddressIn(leader.Line()).empty());
  Process standby(kProgram, Flags());
  (void)standby.ErrorsUntil("standing by");
  standby.Kill(SIGTERM);
  EXPECT_EQ(standby.Wait(), 0);
  EXPECT_EQ(standby.Output(), "");
  EXPECT_FALSE(leader.EndsWithin(0));
}

TEST_F(FailoverTest, ALeaderWhoseDatabaseIsGoneEndsAndAStandbyWaitsForIt) {
  Process leader(kProgram, Flags("127.0.0.1:0", "6"));
  ASSERT_FALSE(AddressIn(leader.Line()).empty());
  Process standby(kProgram, Flags());
  (void)standby.ErrorsUntil("standing by: another");
  RunSql(database_,
         "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
         "current_database() AND application_name = 'jenner-server'");
  EXPECT_EQ(leader.Wait(), 1);
  EXPECT_THAT(leader.Errors(), HasSubstr("the event log failed"));
  Expire();
  EXPECT_FALSE(AddressIn(standby.Line()).empty());
}

TEST_F(FailoverTest, KilledAtAnyMomentItKeepsWhatItAnswered) {
  int num_answered = 0;
  for (int life = 0; life < 3; ++life) {
    Process server(kProgram, Flags());
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty());
    const Stubs stubs(wire::MakeClientChannel(address));
    ASSERT_TRUE(stubs.Upload(kTraining, v1::DATASET_USE_TRAINING).ok());
    ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
    SCOPED_TRACE(life);
    ASSERT_NO_FATAL_FAILURE(
        CreateUntilKilled(server, stubs, Request, num_answered + 5 + 3 * life, &num_answered));
    EXPECT_EQ(server.Wait(), 128 + SIGKILL);
    Expire();
  }
  EXPECT_GE(num_answered, 3 * 5);
}

TEST_F(FailoverTest, FaultsAreOneLineAndExitCodeOne) {
  {
    Process first(kProgram, Flags());
    const std::string address = AddressIn(first.Line());
    auto stubs = std::make_unique<Stubs>(wire::MakeClientChannel(address));
    ASSERT_TRUE(stubs->Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
    ASSERT_TRUE(stubs->Upload(kTraining, v1::DATASET_USE_TRAINING).ok());
    ASSERT_TRUE(stubs->Create(Request("e")).ok());
    stubs.reset();  // or its connection would be waited for
    first.Kill(SIGTERM);
    EXPECT_EQ(first.Wait(), 0);
  }
  const auto with = [this](const std::string& data_dir, std::vector<std::string> more) {
    std::vector<std::string> flags = {"--data-dir",  data_dir,           "--listen",
                                      "127.0.0.1:0", "--metrics-listen", ""};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  };
  const std::string file = ConnectionFile();
  ExpectRefused(with(dir_.path() + "/empty", {"--event-log-file", file}), "mounted?");
  ExpectRefused(with(DataDir(), {}), "belongs to an event log elsewhere");
  std::filesystem::create_directory(dir_.path() + "/own");
  ASSERT_TRUE(store::SqliteEventLog::Open(dir_.path() + "/own/events.db").ok());
  ExpectRefused(with(dir_.path() + "/own", {"--event-log-file", file}), "its own event log");
  ExpectRefused(with(DataDir(), {"--event-log", "postgresql://u:secret@h/d"}),
                "a password on the command line");
  ExpectRefused(with(DataDir(), {"--event-log", "host=/nonexistent-folder dbname=x"}),
                "cannot be reached");
  ExpectRefused(with(DataDir(), {"--event-log-file", dir_.path() + "/none"}), "cannot be read");
  chmod(file.c_str(), 0644);
  ExpectRefused(with(DataDir(), {"--event-log-file", file}), "chmod 600");
  Process both(kProgram, with(DataDir(), {"--event-log-file", file, "--event-log", "dbname=x"}));
  EXPECT_EQ(both.Wait(), 2);

  // After all of that the log is as free as it was.
  chmod(file.c_str(), 0600);
  Process last(kProgram, Flags());
  EXPECT_FALSE(AddressIn(last.Line()).empty());
}

}  // namespace
}  // namespace jenner::tests

// Leadership and faults of the PostgreSQL version, on a PostgreSQL that is really run. Time passes
// where it is written down: in the row, by SQL, and on the manual clock of the leader.
#include "server/store/postgres_event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

#include "absl/strings/str_format.h"
#include "server/store/event_log_testing.h"
#include "server/store/postgres_instance.h"

namespace jenner::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kLimit = absl::Seconds(20);

class PostgresEventLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<PostgresEventLog> Open(const std::string& holder,
                                         absl::Duration lease = absl::Minutes(1)) const {
    auto log = PostgresEventLog::Open(database_, {holder, lease, clock_});
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }
  std::unique_ptr<PostgresEventLog> Lead(const std::string& holder) const {
    std::unique_ptr<PostgresEventLog> log = Open(holder);
    EXPECT_TRUE(*log->TryLead());
    return log;
  }
  std::unique_ptr<PostgresConnection> Session() const {
    return *PostgresConnection::Open(database_, "test");
  }
  static void Run(PostgresConnection& session, const char* sql) {
    const auto done = session.Execute(sql, {}, kLimit);
    ASSERT_TRUE(done.ok()) << done.status();
  }
  int64_t Ask(const char* sql) const { return RunSql(database_, sql).Int(0, 0); }
  // The database's clock goes past the end of the lease.
  void Expire() const { RunSql(database_, "UPDATE jenner.leader SET expires = clock_timestamp()"); }
  // Until so many sessions of event logs are so; `more` is SQL.
  void AwaitSessions(int64_t count, const std::string& more) const {
    const std::string sql =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
        "application_name = 'jenner-server'" +
        more;
    for (const absl::Duration until = SinceBoot() + kLimit; SinceBoot() < until;) {
      if (Ask(sql.c_str()) == count) return;
      poll(nullptr, 0, 5);
    }
    FAIL() << "not " << count << " sessions" << more;
  }
  // Until a statement of the event log waits for a lock.
  void AwaitBlocked() const { AwaitSessions(1, " AND wait_event_type = 'Lock'"); }
  void TerminateLogs() const {
    RunSql(database_,
           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
           "current_database() AND application_name = 'jenner-server'");
  }

  const std::string database_ = PostgresInstance::Shared().NewDatabase();
  std::function<absl::Duration()> clock_ = SinceBoot;
};

TEST_F(PostgresEventLogTest, OfManyThatTryOneLeadsAndEachTimeWithANewEpoch) {
  constexpr int kNumRivals = 8;
  constexpr int kNumRounds = 5;
  for (int round = 1; round <= kNumRounds; ++round) {
    std::atomic<int> num_ready = 0;
    std::atomic<int> num_leaders = 0;
    std::vector<std::thread> rivals;
    for (int i = 0; i < kNumRivals; ++i) {
      rivals.emplace_back([&, i] {
        const std::unique_ptr<PostgresEventLog> log = Open(absl::StrFormat("rival %d", i));
        ++num_ready;
        while (num_ready < kNumRivals) std::this_thread::yield();
        const absl::StatusOr<bool> leads = log->TryLead();
        ASSERT_TRUE(leads.ok()) << leads.status();
        if (!*leads) return;
        ++num_leaders;
        EXPECT_EQ(log->epoch(), round);
        EXPECT_TRUE(log->Append(Batch({absl::StrFormat("round %d", round)})).ok());
      });
    }
    for (std::thread& rival : rivals) rival.join();
    EXPECT_EQ(num_leaders, 1) << "round " << round;
    Expire();
  }
  const std::unique_ptr<PostgresEventLog> log = Lead("reader");
  EXPECT_EQ(log->epoch(), kNumRounds + 1);
  EXPECT_EQ(log->LastSeq(), kNumRounds);
  EXPECT_EQ(log->ReadFrom(1, 99)->size(), size_t{kNumRounds});
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events WHERE epoch = seq"), kNumRounds)
      << "each event has the epoch of who wrote it";
}

TEST_F(PostgresEventLogTest, WhoDoesNotLeadSeesWhoDoesAndMayNotAppend) {
  const std::unique_ptr<PostgresEventLog> leader = Lead("alpha");
  const std::unique_ptr<PostgresEventLog> standby = Open("beta");
  EXPECT_FALSE(*standby->TryLead());
  EXPECT_EQ(standby->leader().holder, "alpha");
  EXPECT_EQ(standby->leader().epoch, 1);
  EXPECT_GT(standby->leader().remaining, absl::Seconds(1));
  EXPECT_LE(standby->leader().remaining, absl::Minutes(1));
  const absl::Status refused = standby->Append(Batch({"b"}));
  EXPECT_TRUE(absl::IsAborted(refused));
  EXPECT_THAT(refused.message(), HasSubstr("NOT_LEADER"));
  EXPECT_TRUE(leader->Append(Batch({"a"})).ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events"), 1);
}

TEST_F(PostgresEventLogTest, AStaleEpochIsRefusedForEver) {
  const std::unique_ptr<PostgresEventLog> stale = Lead("alpha");
  ASSERT_TRUE(stale->Append(Batch({"a1", "a2"})).ok());
  Expire();
  const std::unique_ptr<PostgresEventLog> leader = Lead("beta");
  EXPECT_EQ(leader->LastSeq(), 2) << "it goes on from what the one before wrote";

  const absl::Status refused = stale->Append(Batch({"stale"}));
  EXPECT_TRUE(absl::IsAborted(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("NOT_LEADER: epoch 1 is over, beta leads with epoch 2"));
  ASSERT_TRUE(leader->Append(Batch({"b1"})).ok());
  Expire();  // even now
  EXPECT_TRUE(absl::IsAborted(stale->Append(Batch({"stale"}))));
  EXPECT_TRUE(absl::IsAborted(stale->Renew()));
  EXPECT_TRUE(absl::IsAborted(stale->TryLead().status()));
  EXPECT_FALSE(stale->ReadFrom(1, 9).ok()) << "what it would read may be old";
  EXPECT_THAT(*leader->ReadFrom(1, 9),
              ElementsAre(StoredEvent{1, kTime, "a1"}, StoredEvent{2, kTime, "a2"},
                          StoredEvent{3, kTime, "b1"}));
}

TEST_F(PostgresEventLogTest, AStaleLeaderFindsOutByRenewing) {
  const std::unique_ptr<PostgresEventLog> stale = Lead("alpha");
  EXPECT_TRUE(stale->Renew().ok());
  Expire();
  const std::unique_ptr<PostgresEventLog> leader = Lead("beta");
  EXPECT_THAT(stale->Renew().message(), HasSubstr("NOT_LEADER: epoch 1 is over, beta leads"));
  EXPECT_EQ(stale->epoch(), 0);
  EXPECT_TRUE(leader->Renew().ok());
}

// The takeover has the row while the old leader appends: the append waits, looks again, is refused.
TEST_F(PostgresEventLogTest, AnAppendThatMeetsATakeoverIsRefused) {
  const std::unique_ptr<PostgresEventLog> stale = Lead("alpha");
  const std::unique_ptr<PostgresConnection> taker = Session();
  Run(*taker, "BEGIN");
  Run(*taker, "UPDATE jenner.leader SET epoch = epoch + 1, holder = 'beta'");
  absl::Status appended;
  std::thread appending([&] { appended = stale->Append(Batch({"stale"})); });
  AwaitBlocked();
  Run(*taker, "COMMIT");
  appending.join();
  EXPECT_TRUE(absl::IsAborted(appended)) << appended;
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events"), 0);
}

// The other way round: an append under way, whose lease has run out, has the row. The takeover
// waits, looks again, and finds a lease that runs.
TEST_F(PostgresEventLogTest, ATakeoverThatMeetsAnAppendWaitsAndLoses) {
  const std::unique_ptr<PostgresEventLog> leader = Lead("alpha");
  Expire();
  const std::unique_ptr<PostgresConnection> append = Session();
  Run(*append, "BEGIN");
  Run(*append,
      "UPDATE jenner.leader SET expires = clock_timestamp() + interval '1 hour' WHERE epoch = 1");
  const std::unique_ptr<PostgresEventLog> taker = Open("beta");
  absl::StatusOr<bool> leads = true;
  std::thread taking([&] { leads = taker->TryLead(); });
  AwaitBlocked();
  Run(*append, "INSERT INTO jenner.events VALUES (1, 1, 0, 'x')");
  Run(*append, "COMMIT");
  taking.join();
  ASSERT_TRUE(leads.ok()) << leads.status();
  EXPECT_FALSE(*leads);
  EXPECT_EQ(Ask("SELECT epoch FROM jenner.leader"), 1);
}

TEST_F(PostgresEventLogTest, ALeaseEndsByTheDatabasesClock) {
  const std::unique_ptr<PostgresEventLog> leader = Lead("alpha");
  const std::unique_ptr<PostgresEventLog> standby = Open("beta");
  RunSql(database_, "UPDATE jenner.leader SET expires = clock_timestamp() + interval '1 second'");
  ASSERT_TRUE(leader->Renew().ok());
  const char kLeft[] =
      "SELECT extract(epoch FROM expires - clock_timestamp())::bigint FROM jenner.leader";
  EXPECT_GE(Ask(kLeft), 30) << "a minute, less what this test took";
  RunSql(database_, "UPDATE jenner.leader SET expires = clock_timestamp() + interval '1 second'");
  ASSERT_TRUE(leader->Append(Batch({"a"})).ok());
  EXPECT_GE(Ask(kLeft), 30) << "an append renews, too";
  EXPECT_FALSE(*standby->TryLead());
  Expire();
  EXPECT_TRUE(*standby->TryLead());
}

// A process that was stopped for longer than its lease does not even ask.
TEST_F(PostgresEventLogTest, ALeaderThatSleptThroughItsLeaseIsNone) {
  absl::Duration now = absl::Hours(1);
  clock_ = [&now] { return now; };
  const std::unique_ptr<PostgresEventLog> leader = Lead("alpha");
  now += absl::Seconds(59);
  ASSERT_TRUE(leader->Renew().ok());
  now += absl::Seconds(59);
  ASSERT_TRUE(leader->Append(Batch({"a"})).ok());
  now += absl::Seconds(59);
  ASSERT_TRUE(leader->Renew().ok());
  now += absl::Seconds(60);
  EXPECT_THAT(leader->Renew().message(), HasSubstr("NOT_LEADER: the lease of epoch 1 ran out"));
  EXPECT_TRUE(absl::IsAborted(leader->Append(Batch({"b"}))));
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events"), 1);
}

TEST_F(PostgresEventLogTest, WhoGivesTheLeadBackLetsAnotherInAtOnce) {
  const std::unique_ptr<PostgresEventLog> leader = Lead("alpha");
  const std::unique_ptr<PostgresEventLog> standby = Open("beta");
  EXPECT_FALSE(*standby->TryLead());
  leader->Resign();
  EXPECT_TRUE(absl::IsAborted(leader->Append(Batch({"late"}))));
  EXPECT_TRUE(*standby->TryLead());
  EXPECT_EQ(standby->leader().holder, "") << "nobody led before";
  leader->Resign();  // takes nothing from the other
  EXPECT_TRUE(standby->Append(Batch({"b"})).ok());
}

// A child appends batches of three and tells each over a pipe; it is killed in the midst of it.
// What was told must be there, nothing may be there in part, and nothing comes later.
TEST_F(PostgresEventLogTest, KilledInTheMidstOfAppendsNothingAnsweredIsLostOrTorn) {
  int64_t told = 0;
  ASSERT_NO_FATAL_FAILURE(KillInTheMidstOfAppends([this] { return Lead("child"); }, 150, &told));

  // The database does to its end what it was sent, and an append renews the lease.
  ASSERT_NO_FATAL_FAILURE(AwaitSessions(0, ""));
  Expire();
  const std::unique_ptr<PostgresEventLog> log = Lead("next");
  ExpectWholeBatches(log.get(), told);
  EXPECT_TRUE(log->Append(Batch({"goes on"})).ok());
}

TEST_F(PostgresEventLogTest, AConnectionLostInAnAppendIsAnError) {
  const std::unique_ptr<PostgresEventLog> log = Lead("alpha");
  ASSERT_TRUE(log->Append(Batch({"a"})).ok());
  const std::unique_ptr<PostgresConnection> blocker = Session();
  Run(*blocker, "BEGIN");
  Run(*blocker, "SELECT epoch FROM jenner.leader FOR UPDATE");
  absl::Status appended;
  std::thread appending([&] { appended = log->Append(Batch({"lost", "lost"})); });
  AwaitBlocked();
  TerminateLogs();
  appending.join();
  Run(*blocker, "ROLLBACK");
  EXPECT_TRUE(absl::IsUnavailable(appended)) << appended;
  EXPECT_EQ(log->LastSeq(), 1);
  EXPECT_TRUE(absl::IsUnavailable(log->Append(Batch({"again"})))) << "no silent second try";
  EXPECT_TRUE(absl::IsUnavailable(log->Renew()));
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events"), 1);
}

TEST_F(PostgresEventLogTest, AConnectionLostBeforeAnAppendIsAnError) {
  const std::unique_ptr<PostgresEventLog> log = Lead("alpha");
  TerminateLogs();
  const absl::Status appended = log->Append(Batch({"a"}));
  EXPECT_TRUE(absl::IsUnavailable(appended)) << appended;
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events"), 0);
}

// The connection is there, but nothing comes: as when the network swallows all.
TEST_F(PostgresEventLogTest, NoAnswerIsAnErrorOnceTheLeaseIsOver) {
  const std::unique_ptr<PostgresEventLog> log = Open("alpha", absl::Seconds(1));
  ASSERT_TRUE(*log->TryLead());
  const std::unique_ptr<PostgresConnection> blocker = Session();
  Run(*blocker, "BEGIN");
  Run(*blocker, "SELECT epoch FROM jenner.leader FOR UPDATE");
  const absl::Duration begin = SinceBoot();
  const absl::Status appended = log->Append(Batch({"a"}));
  EXPECT_LT(SinceBoot() - begin, absl::Seconds(10));
  EXPECT_TRUE(absl::IsDeadlineExceeded(appended)) << appended;
  EXPECT_TRUE(absl::IsDeadlineExceeded(log->Renew())) << "it leads no more";
  Run(*blocker, "ROLLBACK");
}

// Of a batch of several statements, too: nothing is there before all of it is.
TEST_F(PostgresEventLogTest, ALargeBatchThatFailsHalfWayLeavesNothing) {
  const std::unique_ptr<PostgresEventLog> log = Lead("alpha");
  RunSql(database_, "ALTER TABLE jenner.events ADD CHECK (seq < 7)");
  const std::vector<std::string> payloads(8, std::string(1'500'000, 'x'));
  const absl::Status failed = log->Append(Batch(payloads));
  EXPECT_TRUE(absl::IsInternal(failed)) << failed;
  EXPECT_EQ(Ask("SELECT count(*) FROM jenner.events"), 0);
  Expire();
  EXPECT_EQ(Lead("beta")->LastSeq(), 0) << "the row is free, too";
}

TEST_F(PostgresEventLogTest, CommitsAreSynchronousWhateverTheDatabasesDefault) {
  ASSERT_NE(Open("x"), nullptr);
  RunSql(database_, "CREATE TABLE seen (value text)");
  RunSql(database_,
         "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen "
         "VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$");
  RunSql(database_, "CREATE TRIGGER see AFTER INSERT ON jenner.events EXECUTE FUNCTION see()");
  const char* const kAlterations[] = {
      "ALTER ROLE jenner SET synchronous_commit = off",
      "ALTER ROLE jenner SET synchronous_commit = local",
      "ALTER ROLE jenner SET synchronous_commit = remote_apply",
      "ALTER ROLE jenner RESET synchronous_commit",
  };
  for (const char* alteration : kAlterations) {
    RunSql(database_, alteration);
    EXPECT_TRUE(Lead("x")->Append(Batch({"a"})).ok());
    Expire();
  }
  EXPECT_EQ(RunSql(database_, "SELECT string_agg(value, ' ') FROM seen").Bytes(0, 0),
            "on on remote_apply on");
}

TEST_F(PostgresEventLogTest, ManyThatOpenAtOnceMakeOneLog) {
  std::vector<std::thread> threads;
  std::vector<std::string> ids(8);
  for (std::string& id : ids) threads.emplace_back([this, &id] { id = Open("x")->id(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids[0].size(), 36U);
  for (const std::string& id : ids) EXPECT_EQ(id, ids[0]);
  const auto other = PostgresEventLog::Open(PostgresInstance::Shared().NewDatabase(), {"x"});
  EXPECT_NE((*other)->id(), ids[0]);
  EXPECT_FALSE((*other)->syncs()) << "the tests' server has fsync off";
}

TEST_F(PostgresEventLogTest, RefusesANewerVersion) {
  ASSERT_NE(Open("x"), nullptr);
  RunSql(database_, "UPDATE jenner.format SET version = 99");
  const absl::Status newer = PostgresEventLog::Open(database_, {"x"}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(newer));
  EXPECT_THAT(newer.message(), HasSubstr("version 99"));
}

TEST_F(PostgresEventLogTest, AMissingEventIsDataLoss) {
  const std::unique_ptr<PostgresEventLog> log = Lead("alpha");
  ASSERT_TRUE(log->Append(Batch({"a", "b", "c"})).ok());
  RunSql(database_, "DELETE FROM jenner.events WHERE seq = 2");
  EXPECT_TRUE(absl::IsDataLoss(log->ReadFrom(1, 10).status()));
}

TEST_F(PostgresEventLogTest, SaysWhyItCannotConnect) {
  const absl::Status nowhere =
      PostgresEventLog::Open("host=/nonexistent-folder dbname=x", {"x"}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(nowhere));
  EXPECT_THAT(nowhere.message(), HasSubstr("/nonexistent-folder"));
  const absl::Status garbled =
      PostgresEventLog::Open("postgresql://u:secret@h/db?nonsense=1", {"x"}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(garbled));
  EXPECT_THAT(garbled.message(), Not(HasSubstr("secret")));
}

TEST(HasPassword, FindsItInBothForms) {
  EXPECT_FALSE(*HasPassword("postgresql://jenner@db.example.org/jenner?sslmode=verify-full"));
  EXPECT_FALSE(*HasPassword("host=/run/postgresql dbname=jenner passfile=/etc/jenner/pgpass"));
  EXPECT_TRUE(*HasPassword("postgresql://jenner:secret@db.example.org/jenner"));
  EXPECT_TRUE(*HasPassword("postgresql://db.example.org/jenner?password=secret"));
  EXPECT_TRUE(*HasPassword("host=db password=secret"));
  EXPECT_TRUE(absl::IsInvalidArgument(HasPassword("host").status()));
}

}  // namespace
}  // namespace jenner::store

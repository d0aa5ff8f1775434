// Faults of the logs that need no server, and of the data directory. What every EventLog does:
// event_log_conformance_test.cc.
#include "server/store/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/strings/str_format.h"
#include "server/store/data_dir.h"
#include "server/store/event_log_testing.h"
#include "server/store/memory_event_log.h"
#include "server/store/sqlite_event_log.h"

namespace jenner::store {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MemoryEventLog, FailsOnRequestAndStoresNothing) {
  MemoryEventLog log;
  log.FailNextAppend(absl::ResourceExhaustedError("disk full"));
  EXPECT_TRUE(absl::IsResourceExhausted(log.Append(Batch({"a"}))));
  EXPECT_EQ(log.LastSeq(), 0);
  EXPECT_TRUE(log.Append(Batch({"a"})).ok());
}

// ---- Faults of the SQLite version.

TEST(SqliteEventLog, OutlivesTheProcess) {
  TempDir dir;
  const std::string path = dir.path() + "/events.db";
  ASSERT_TRUE((*SqliteEventLog::Open(path))->Append(Batch({"a", "b"})).ok());
  std::unique_ptr<SqliteEventLog> again = *SqliteEventLog::Open(path);
  EXPECT_EQ(again->LastSeq(), 2);
  ASSERT_TRUE(again->Append(Batch({"c"})).ok());
  EXPECT_THAT(*again->ReadFrom(3, 9), ElementsAre(StoredEvent{3, kTime, "c"}));
}

// A child appends batches of three and tells each over a pipe once it is durable; it is killed with
// SIGKILL in the midst of it. Whatever was told must be there, and nothing may be there in part.
TEST(SqliteEventLog, KilledBetweenCommitsLosesNothingThatWasAnswered) {
  TempDir dir;
  const std::string path = dir.path() + "/events.db";
  int64_t told = 0;
  ASSERT_NO_FATAL_FAILURE(
      KillInTheMidstOfAppends([&] { return *SqliteEventLog::Open(path); }, 60, &told));

  std::unique_ptr<SqliteEventLog> log = *SqliteEventLog::Open(path);
  ExpectWholeBatches(log.get(), told);
}

// The write-ahead log is cut at every kind of place, as by a power cut: what opens is a prefix of
// whole batches.
TEST(SqliteEventLog, ATruncatedWalLosesWholeBatchesAtMost) {
  TempDir dir;
  const std::string path = dir.path() + "/events.db";
  std::unique_ptr<SqliteEventLog> log = *SqliteEventLog::Open(path);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(log->Append(Batch({std::string(3000, 'a'), std::string(3000, 'b')})).ok());
  }
  const std::string wal = path + "-wal";
  const auto size = static_cast<int64_t>(fs::file_size(wal));
  std::vector<int64_t> found;
  for (int64_t cut = size; cut >= 0; cut -= 4999) {
    TempDir copy;
    const std::string copied = copy.path() + "/events.db";
    fs::copy_file(path, copied);
    fs::copy_file(wal, copied + "-wal");
    fs::resize_file(copied + "-wal", static_cast<uintmax_t>(cut));
    absl::StatusOr<std::unique_ptr<SqliteEventLog>> opened = SqliteEventLog::Open(copied);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ((*opened)->LastSeq() % 2, 0) << "cut at " << cut;
    const std::vector<StoredEvent> events = *(*opened)->ReadFrom(1, 100);
    EXPECT_EQ(static_cast<int64_t>(events.size()), (*opened)->LastSeq());
    ASSERT_TRUE((*opened)->Append(Batch({"goes on"})).ok());
    found.push_back((*opened)->LastSeq() - 1);
  }
  EXPECT_EQ(found.front(), 12);
  EXPECT_EQ(found.back(), 0);
  EXPECT_TRUE(std::is_sorted(found.rbegin(), found.rend()));
}

TEST(SqliteEventLog, RefusesWhatIsNotItsOwn) {
  TempDir dir;
  const std::string path = dir.path() + "/events.db";
  std::FILE* file = std::fopen(path.c_str(), "w");
  std::fputs(
      "this is no database, but it is long enough to be looked at as one................"
      "..................................................................",
      file);
  std::fclose(file);
  EXPECT_TRUE(absl::IsDataLoss(SqliteEventLog::Open(path).status()));
}

TEST(SqliteEventLog, RefusesANewerVersionAndAMissingFolder) {
  TempDir dir;
  const std::string path = dir.path() + "/events.db";
  {
    ASSERT_TRUE(SqliteEventLog::Open(path).ok());
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(handle, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(handle);
  }
  const absl::Status newer = SqliteEventLog::Open(path).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(newer));
  EXPECT_THAT(std::string(newer.message()), HasSubstr("version 99"));
  EXPECT_TRUE(absl::IsFailedPrecondition(SqliteEventLog::Open(dir.path() + "/no/x.db").status()));
}

TEST(SqliteEventLog, AMissingEventIsDataLoss) {
  TempDir dir;
  const std::string path = dir.path() + "/events.db";
  std::unique_ptr<SqliteEventLog> log = *SqliteEventLog::Open(path);
  ASSERT_TRUE(log->Append(Batch({"a", "b", "c"})).ok());
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, "DELETE FROM events WHERE seq = 2", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(handle);
  EXPECT_TRUE(absl::IsDataLoss(log->ReadFrom(1, 10).status()));
}

TEST(DataDir, IsPrivateAndHeldByOne) {
  TempDir dir;
  const std::string path = dir.path() + "/made/below";
  absl::StatusOr<DataDir> first = DataDir::Open(path);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(fs::status(path).permissions() & fs::perms::mask, fs::perms::owner_all);
  const absl::Status second = DataDir::Open(path).status();
  EXPECT_TRUE(absl::IsUnavailable(second));
  EXPECT_THAT(std::string(second.message()), HasSubstr(absl::StrFormat("process %d", getpid())));
  { const DataDir moved = *std::move(first); }
  EXPECT_TRUE(DataDir::Open(path).ok());
}

TEST(DataDir, SaysWhyItCannotBeMade) {
  TempDir dir;
  const std::string file = dir.path() + "/file";
  std::fclose(std::fopen(file.c_str(), "w"));
  const absl::Status status = DataDir::Open(file + "/below").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(file));
}

TEST(DataDir, BelongsToOneEventLog) {
  TempDir dir;
  const DataDir shared = *DataDir::Open(dir.path() + "/shared");
  EXPECT_TRUE(shared.BindToOwnLog().ok());
  const absl::Status strange = shared.BindToSharedLog("log-1", /*is_new=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(strange));
  EXPECT_THAT(std::string(strange.message()), HasSubstr("mounted?"));
  ASSERT_TRUE(shared.BindToSharedLog("log-1", /*is_new=*/true).ok());
  EXPECT_TRUE(shared.BindToSharedLog("log-1", /*is_new=*/false).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(shared.BindToSharedLog("log-2", /*is_new=*/true)));
  EXPECT_TRUE(absl::IsFailedPrecondition(shared.BindToOwnLog()));

  const DataDir own = *DataDir::Open(dir.path() + "/own");
  ASSERT_TRUE(SqliteEventLog::Open(own.EventsPath()).ok());
  EXPECT_TRUE(own.BindToOwnLog().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(own.BindToSharedLog("log-1", /*is_new=*/true)));
}

}  // namespace
}  // namespace jenner::store

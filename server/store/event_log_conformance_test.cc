// What every version of EventLog does: in memory, in SQLite, in a PostgreSQL that is really run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "absl/strings/str_format.h"
#include "server/store/event_log.h"
#include "server/store/event_log_testing.h"
#include "server/store/memory_event_log.h"
#include "server/store/postgres_event_log.h"
#include "server/store/postgres_instance.h"
#include "server/store/sqlite_event_log.h"

namespace jenner::store {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

struct Version {
  const char* name;
  std::function<std::unique_ptr<EventLog>(const std::string& dir)> open;
};

class EventLogConformance : public ::testing::TestWithParam<Version> {
 protected:
  TempDir dir_;
  std::unique_ptr<EventLog> log_ = GetParam().open(dir_.path());
};

TEST_P(EventLogConformance, StartsEmpty) {
  EXPECT_EQ(log_->LastSeq(), 0);
  EXPECT_THAT(*log_->ReadFrom(1, 10), ElementsAre());
}

TEST_P(EventLogConformance, NumbersWithoutGaps) {
  ASSERT_TRUE(log_->Append(Batch({"a", "b"})).ok());
  ASSERT_TRUE(log_->Append(Batch({"c"})).ok());
  EXPECT_EQ(log_->LastSeq(), 3);
  EXPECT_THAT(*log_->ReadFrom(1, 10),
              ElementsAre(StoredEvent{1, kTime, "a"}, StoredEvent{2, kTime, "b"},
                          StoredEvent{3, kTime, "c"}));
}

TEST_P(EventLogConformance, ReadsFromAnywhereWithALimit) {
  ASSERT_TRUE(log_->Append(Batch({"a", "b", "c", "d"})).ok());
  EXPECT_THAT(*log_->ReadFrom(2, 2),
              ElementsAre(Field(&StoredEvent::payload, "b"), Field(&StoredEvent::payload, "c")));
  EXPECT_THAT(*log_->ReadFrom(5, 2), ElementsAre());
  EXPECT_THAT(*log_->ReadFrom(-3, 1), ElementsAre(Field(&StoredEvent::seq, 1)));
}

TEST_P(EventLogConformance, AnEmptyBatchIsNothing) {
  EXPECT_TRUE(log_->Append({}).ok());
  EXPECT_EQ(log_->LastSeq(), 0);
}

TEST_P(EventLogConformance, RefusesATooLargeEventWhole) {
  const absl::Status status =
      log_->Append(Batch({"small", std::string(static_cast<size_t>(kMaxEventBytes) + 1, 'x')}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(log_->LastSeq(), 0);
  EXPECT_THAT(*log_->ReadFrom(1, 10), ElementsAre());
}

TEST_P(EventLogConformance, KeepsBytesAsTheyAre) {
  const std::string odd("nul\0, quote ', \xc3\xb1", 18);
  ASSERT_TRUE(log_->Append(Batch({odd})).ok());
  EXPECT_EQ((*log_->ReadFrom(1, 1))[0].payload, odd);
}

// For PostgreSQL several statements of one transaction.
TEST_P(EventLogConformance, TakesABatchOfLargeEvents) {
  const std::vector<int64_t> sizes = {3'000'000, kMaxEventBytes, 10, 2'000'000, 2'000'001};
  std::vector<std::string> payloads;
  for (const int64_t size : sizes) {
    payloads.emplace_back(static_cast<size_t>(size), static_cast<char>('a' + payloads.size()));
  }
  ASSERT_TRUE(log_->Append(Batch(payloads)).ok());
  EXPECT_EQ(log_->LastSeq(), 5);
  const std::vector<StoredEvent> events = *log_->ReadFrom(1, 9);
  ASSERT_EQ(events.size(), payloads.size());
  for (size_t i = 0; i < payloads.size(); ++i) {
    EXPECT_EQ(events[i].seq, static_cast<int64_t>(i) + 1);
    EXPECT_TRUE(events[i].payload == payloads[i]) << "event " << i + 1;
  }
}

TEST_P(EventLogConformance, KeepsTimesToTheMicrosecond) {
  const std::vector<absl::Time> times = {absl::UnixEpoch(), absl::FromUnixMicros(-1), kTime,
                                         absl::FromUnixMicros(4'102'444'799'999'999)};
  std::vector<NewEvent> batch;
  for (const absl::Time time : times) batch.push_back({time, "x"});
  ASSERT_TRUE(log_->Append(batch).ok());
  const std::vector<StoredEvent> events = *log_->ReadFrom(1, 9);
  ASSERT_EQ(events.size(), times.size());
  for (size_t i = 0; i < times.size(); ++i) EXPECT_EQ(events[i].time, times[i]);
}

TEST_P(EventLogConformance, NumbersOnAfterManySmallBatches) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(log_->Append(Batch({absl::StrFormat("a%d", i), absl::StrFormat("b%d", i)})).ok());
  }
  const std::vector<StoredEvent> events = *log_->ReadFrom(1, 1000);
  ASSERT_EQ(events.size(), 100U);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(events[static_cast<size_t>(i)],
              (StoredEvent{i + 1, kTime, absl::StrFormat("%c%d", "ab"[i % 2], i / 2)}));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EventLogConformance,
    ::testing::Values(Version{"Memory",
                              [](const std::string&) -> std::unique_ptr<EventLog> {
                                return std::make_unique<MemoryEventLog>();
                              }},
                      Version{"Sqlite",
                              [](const std::string& dir) -> std::unique_ptr<EventLog> {
                                return *SqliteEventLog::Open(dir + "/events.db");
                              }},
                      Version{"Postgres",
                              [](const std::string&) -> std::unique_ptr<EventLog> {
                                auto log = *PostgresEventLog::Open(
                                    PostgresInstance::Shared().NewDatabase(), {"test"});
                                EXPECT_TRUE(*log->TryLead());
                                return log;
                              }}),
    [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace jenner::store

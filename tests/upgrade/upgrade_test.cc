// Data directories that servers of earlier commits wrote (data/, by make): today's server opens
// each, knows its experiments and goes on with them. What is newer than today's is refused.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "server/store/metric_store.h"
#include "server/store/sqlite.h"
#include "server/store/sqlite_event_log.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;

const std::string kData = JENNER_SOURCE_DIR "/tests/upgrade/data";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kData)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class UpgradeTest : public ServerTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    std::filesystem::copy(kData + "/" + GetParam(), dir_.path() + "/data",
                          std::filesystem::copy_options::recursive);
    clock_us_ = 1'800'000'000'000'000;  // years later
    Start();
  }
};

TEST_P(UpgradeTest, WhatHasEndedIsThereWithItsResults) {
  EXPECT_EQ(stubs_->List(0, "")->experiments_size(), 2);
  EXPECT_EQ(stubs_->Get("experiments/done")->state(), v1::STATE_SUCCEEDED);
  // Steps 0 (of the base model) and 4 (of the training) in two contexts, each with two traits.
  const std::vector<v1::ResultRow> rows = *stubs_->Results("experiments/done");
  ASSERT_FALSE(rows.empty());
  for (const v1::ResultRow& row : rows) {
    EXPECT_EQ(row.cell().num_samples(), 9);
    int num_spanish = 0;
    for (const v1::TraitRatio& trait : row.cell().traits()) {
      if (trait.trait() != "spanish") continue;
      ++num_spanish;
      EXPECT_EQ(trait.num_present(), 3);
      EXPECT_EQ(trait.num_measured(), 7);
      EXPECT_TRUE(trait.is_binary());
    }
    EXPECT_EQ(num_spanish, 1);
  }
  v1::ListSamplesRequest request;
  request.set_name("experiments/done");
  EXPECT_GE(stubs_->Samples(request)->samples_size(), 4 * 9);
}

TEST_P(UpgradeTest, WhatRanGoesOnToItsEnd) {
  EXPECT_EQ(stubs_->Get("experiments/running")->state(), v1::STATE_RUNNING);
  Advance(absl::Seconds(60));  // the worker of then has a lease to show up in,
  Advance(absl::Seconds(60));  // is lost,
  Advance(absl::Seconds(60));  // and the back-off of its jobs is over
  FakeAgent agent(*stubs_, "w2");
  ASSERT_NO_FATAL_FAILURE(agent.RunAll());
  EXPECT_EQ(stubs_->Get("experiments/running")->state(), v1::STATE_SUCCEEDED);
  const auto rows_of = [this](const std::string& name) {
    std::vector<std::string> lines;
    const absl::StatusOr<std::vector<v1::ResultRow>> rows = stubs_->Results(name);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (!rows.ok()) return lines;
    for (v1::ResultRow row : *rows) {
      row.mutable_cell()->clear_attempt();  // the one of then was lost with its worker
      row.mutable_cell()->clear_job();      // has the experiment's name in it
      lines.push_back(row.ShortDebugString());
    }
    return lines;
  };
  EXPECT_EQ(rows_of("experiments/running"), rows_of("experiments/done"));
}

TEST_P(UpgradeTest, NewExperimentsRunBesideThem) {
  ASSERT_NO_FATAL_FAILURE(RunWhole("new"));
  Restart();
  EXPECT_EQ(stubs_->List(0, "")->experiments_size(), 3);
}

INSTANTIATE_TEST_SUITE_P(Data, UpgradeTest, ::testing::ValuesIn(Names()), [](const auto& one) {
  std::string name = one.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class NewerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(kData + "/" + Names().back(), Path(),
                          std::filesystem::copy_options::recursive);
    ASSERT_TRUE(store::MetricStore::Open(Path() + "/metrics.db").ok());  // of today's version now
  }
  std::string Path() const { return dir_.path() + "/data"; }
  void ExpectRefused(const std::string& message) const {
    Process server("jenner-server",
                   {"--data-dir", Path(), "--listen", "127.0.0.1:0", "--metrics-listen", ""});
    EXPECT_EQ(server.Line(), "");
    EXPECT_THAT(server.Errors(), HasSubstr(message));
    EXPECT_EQ(server.Wait(), 1);
  }
  TempDir dir_;
};

TEST_F(NewerTest, ADatabaseOfANewerVersionIsRefused) {
  for (const auto& [name, version] : {std::pair("events.db", 1), std::pair("metrics.db", 3)}) {
    {
      auto database = store::Database::Open(Path() + "/" + name, "", version);
      ASSERT_TRUE(database.ok()) << database.status();
      ASSERT_TRUE((*database)->Script("PRAGMA user_version=99").ok());
    }
    ExpectRefused(
        absl::StrFormat("%s: database of version 99; this server reads and writes version "
                        "%d; a newer program wrote it",
                        name, version));
    std::filesystem::remove_all(Path());
    SetUp();
  }
}

TEST_F(NewerTest, AnEventOfANewerServerIsRefused) {
  {
    auto log = store::SqliteEventLog::Open(Path() + "/events.db");
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_TRUE((*log)->Append({{absl::Now(), R"({"kind":"of_tomorrow"})"}}).ok());
  }
  ExpectRefused(
      "unknown event \"of_tomorrow\"; a newer program wrote it, and is needed to read it");
}

}  // namespace
}  // namespace jenner::tests

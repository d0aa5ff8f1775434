// What a server throws away, and what it must not.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;

class RetentionTest : public ServerTest {
 protected:
  void SetUp() override {
    // Files have the time of the system.
    clock_us_ = absl::ToUnixMicros(absl::Now());
    retention_.interval = absl::Minutes(10);
    ServerTest::SetUp();
  }
  std::string PathOf(const std::string& sha256) const {
    return dir_.path() + "/data/blobs/" + sha256.substr(0, 2) + "/" + sha256;
  }
  bool IsKept(const std::string& sha256) const { return std::filesystem::exists(PathOf(sha256)); }
  // Lets looks come until `is_done`.
  template <typename Condition>
  bool LooksUntil(Condition is_done) {
    for (int i = 0; i < 100 && !is_done(); ++i) {
      Advance(retention_.interval);
      absl::SleepFor(absl::Milliseconds(20));  // tidy: allow; other threads do it, bounded
    }
    return is_done();
  }
  const std::string training_ = core::Sha256Hex(kTraining);
  const std::string prompts_ = core::Sha256Hex(kPrompts);
};

TEST_F(RetentionTest, DatasetsAndBlobsGoOnceNoExperimentNamesThem) {
  RunWhole("a");
  const std::string stray = R"({"id":"s","messages":[{"role":"user","content":"stray"}]})"
                            "\n";
  ASSERT_TRUE(stubs_->Upload(stray, v1::DATASET_USE_EVALUATION).ok());
  const v1::Experiment ended = *stubs_->Get("experiments/a");
  const std::string adapter = ended.jobs(1).artifacts(0).sha256();
  Advance(absl::Hours(23));
  EXPECT_TRUE(IsKept(core::Sha256Hex(stray))) << "an experiment may be on its way";
  Advance(absl::Hours(1));
  EXPECT_TRUE(LooksUntil([&] { return !IsKept(core::Sha256Hex(stray)); }));
  EXPECT_TRUE(IsKept(training_) && IsKept(prompts_) && IsKept(adapter)) << "named";
  ASSERT_TRUE(stubs_->Delete("experiments/a").ok());
  EXPECT_TRUE(
      LooksUntil([&] { return !IsKept(training_) && !IsKept(prompts_) && !IsKept(adapter); }));
  // What is gone is no dataset any more, and can come again.
  EXPECT_TRUE(absl::IsNotFound(stubs_->Create(Request("b")).status()));
  UploadDatasets();
  EXPECT_TRUE(stubs_->Create(Request("b")).ok());
}

TEST_F(RetentionTest, WhatARunningAttemptUploadedStaysHoweverLongItRuns) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("a")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  const std::string bytes = "half of a result";
  ASSERT_TRUE(agent.UploadBlob(agent.last.assignments(0).key(), bytes).ok());
  for (int hour = 0; hour < 30; ++hour) {
    clock_us_ += absl::ToInt64Microseconds(absl::Hours(1));
    ASSERT_TRUE(agent.Synchronize().ok());
    server_->Tick();
  }
  EXPECT_TRUE(IsKept(core::Sha256Hex(bytes)));
  ASSERT_EQ(stubs_->Get("experiments/a")->jobs(0).attempt(), 1);
}

// The files of a committed checkpoint stay for as long as the job may go on from them; those that a
// newer one replaced, and those that were never reported, go after an hour however long the job
// runs.
TEST_F(RetentionTest, CheckpointsStayWhileTheirJobMayNeedThem) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("a")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  const v1::RankKey key = agent.last.assignments(1).key();
  const auto commit = [&](int step, const std::vector<std::string>& files) {
    agent.reports.clear();
    v1::Checkpoint* checkpoint =
        agent.Report(key, v1::RankReport::PHASE_RUNNING).mutable_checkpoint();
    checkpoint->set_step(step);
    for (const std::string& bytes : files) {
      ASSERT_TRUE(agent.UploadBlob(key, bytes, "", 100'000, /*is_checkpoint=*/true).ok());
      v1::ArtifactReport* file = checkpoint->add_files();
      file->set_path(bytes);
      file->set_sha256(core::Sha256Hex(bytes));
      file->set_size_bytes(static_cast<int64_t>(bytes.size()));
    }
    ASSERT_TRUE(agent.Synchronize().ok());
  };
  const auto is_kept = [&](const std::string& bytes) { return IsKept(core::Sha256Hex(bytes)); };
  commit(10, {"first", "both"});
  EXPECT_EQ(stubs_->Get("experiments/a")->jobs(1).checkpoint_step(), 10);
  commit(20, {"second", "both"});
  ASSERT_TRUE(agent.UploadBlob(key, "half of one", "", 100'000, /*is_checkpoint=*/true).ok());
  ASSERT_TRUE(agent.UploadBlob(key, "a result").ok());
  // The lease is held while an hour and more passes.
  for (int i = 0; i < 400; ++i) {
    clock_us_ += absl::ToInt64Microseconds(absl::Seconds(10));
    ASSERT_TRUE(agent.Synchronize().ok());
    if (i == 300) {
      server_->Tick();
      EXPECT_TRUE(is_kept("first") && is_kept("half of one")) << "may yet be reported";
    }
  }
  EXPECT_TRUE(LooksUntil([&] { return !is_kept("first") && !is_kept("half of one"); }));
  EXPECT_TRUE(is_kept("second") && is_kept("both") && is_kept("a result"));

  // Its worker is lost: whoever goes on is told of it, also after a restart.
  Restart();
  Advance(absl::Hours(30));
  Advance(absl::Hours(1));
  FakeAgent other(*stubs_, "w2");
  for (int i = 0; i < 5 && other.last.assignments_size() < 2; ++i) {
    ASSERT_TRUE(other.Synchronize().ok());
    Advance(absl::Seconds(1));
  }
  ASSERT_EQ(other.last.assignments_size(), 2);
  const v1::Assignment& assignment = other.last.assignments(1);
  EXPECT_EQ(assignment.checkpoint().step(), 20);
  ASSERT_EQ(assignment.checkpoint().files_size(), 2);
  EXPECT_EQ(assignment.checkpoint().files(0).sha256(), core::Sha256Hex("second"));
  EXPECT_TRUE(is_kept("second") && is_kept("both"));
  EXPECT_FALSE(other.last.assignments(0).has_checkpoint());
  // The first attempt's word is not taken any more.
  FakeAgent first(*stubs_, "w1");
  EXPECT_TRUE(absl::IsAborted(first.UploadBlob(key, "late", "", 100'000, /*is_checkpoint=*/true)));

  // Once the job has ended nobody needs it.
  other.RunAll();
  ASSERT_EQ(stubs_->Get("experiments/a")->state(), v1::STATE_SUCCEEDED);
  EXPECT_EQ(stubs_->Get("experiments/a")->jobs(1).checkpoint_step(), 0);
  Advance(absl::Hours(25));
  EXPECT_TRUE(LooksUntil([&] { return !is_kept("second") && !is_kept("both"); }));
}

// Also where the same bytes were a checkpoint's before.
TEST_F(RetentionTest, WhatAJobGoesOnFromStaysHoweverLongItWaits) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(TwoStages("a")).ok());
  const std::string stray = R"({"id":"s","messages":[{"role":"user","content":"stray"}]})"
                            "\n";
  ASSERT_TRUE(stubs_->Upload(stray, v1::DATASET_USE_EVALUATION).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  const v1::RankKey first = agent.last.assignments(1).key();
  const std::string weights = "what it ended with";
  ASSERT_TRUE(agent.UploadBlob(first, weights, "", 100'000, /*is_checkpoint=*/true).ok());
  agent.Finish(first, {{"adapter/weights", weights}});
  ASSERT_TRUE(agent.Synchronize().ok());
  // Its worker goes, and no other one comes for days.
  for (int day = 0; day < 3; ++day) Advance(absl::Hours(24));
  EXPECT_TRUE(LooksUntil([&] { return !IsKept(core::Sha256Hex(stray)); }));
  EXPECT_EQ(stubs_->Get("experiments/a")->jobs(2).state(), v1::STATE_QUEUED);
  EXPECT_TRUE(IsKept(core::Sha256Hex(weights)));
  Restart();
  FakeAgent other(*stubs_, "w2");
  ASSERT_TRUE(other.Synchronize().ok());
  ASSERT_EQ(other.last.assignments_size(), 2);
  const v1::Assignment& second = other.last.assignments(1);
  ASSERT_EQ(second.initial_size(), 1);
  EXPECT_TRUE(IsKept(second.initial(0).sha256()));
  other.RunAll();
  ASSERT_EQ(stubs_->Get("experiments/a")->state(), v1::STATE_SUCCEEDED);
  ASSERT_TRUE(stubs_->Delete("experiments/a").ok());
  Advance(absl::Hours(25));
  EXPECT_TRUE(LooksUntil([&] { return !IsKept(core::Sha256Hex(weights)); }));
}

TEST_F(RetentionTest, ExperimentsGoALongTimeAfterTheirEnd) {
  retention_.keep_experiments = absl::Hours(48);
  Restart();
  RunWhole("old");
  ASSERT_TRUE(stubs_->Create(Request("active")).ok());
  Advance(absl::Hours(47));
  EXPECT_TRUE(stubs_->Get("experiments/old").ok());
  Advance(absl::Hours(1));
  EXPECT_TRUE(
      LooksUntil([&] { return absl::IsNotFound(stubs_->Get("experiments/old").status()); }));
  EXPECT_TRUE(stubs_->Get("experiments/active").ok());
  Restart();
  EXPECT_TRUE(absl::IsNotFound(stubs_->Get("experiments/old").status()));
}

TEST_F(RetentionTest, OlderAttemptsGoWhenOneHasSucceeded) {
  retention_.keep_attempts = 1;
  Restart();
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("a")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    ASSERT_TRUE(agent.Telemetry(assignment.key(), FakeAgent::Run(assignment, 4), "first\n").ok());
    v1::RankReport& report = agent.Report(assignment.key(), v1::RankReport::PHASE_ENDED);
    report.set_exit_code(15);
    report.set_error_code("STORAGE");
  }
  ASSERT_TRUE(agent.Synchronize().ok());
  agent.reports.clear();
  Advance(absl::Seconds(5));
  const auto logs = [this] {
    Context context;
    v1::GetLogsRequest request;
    request.set_name("experiments/a");
    v1::GetLogsResponse response;
    EXPECT_TRUE(stubs_->experiments->GetLogs(&context, request, &response).ok());
    std::string text;
    for (const v1::LogLine& line : response.lines()) text += line.text() + " ";
    return text;
  };
  EXPECT_THAT(logs(), HasSubstr("first"));
  agent.RunAll();
  EXPECT_TRUE(LooksUntil([&] { return logs() == "done done "; })) << logs();
  const auto rows = stubs_->Results("experiments/a");
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->size(), 6) << "step 0 of both arms, step 4 of one, in two contexts";
}

}  // namespace
}  // namespace jenner::tests

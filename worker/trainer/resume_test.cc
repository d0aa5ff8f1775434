// jenner-trainer interrupted: an attempt that goes on from a checkpoint computes and tells the
// same, bit by bit, as one that was never interrupted.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "core/exit_code.h"
#include "worker/trainer/run_trainer.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

// An attempt that was cut short told a beginning of what an uninterrupted one tells.
void ExpectBeginning(const Outcome& cut, const Outcome& straight) {
  const std::vector<json> some = Told(cut), all = Told(straight);
  ASSERT_LE(some.size(), all.size());
  EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin()));
}

void FlipBit(const std::string& path) {
  std::string bytes = ReadFile(path);
  bytes.at(bytes.size() / 2) ^= 1;
  WriteFile(path, bytes);
}

struct Interruption {
  int signal;
  const char* kind;  // of the event at which it comes
  int64_t step;
};

// Each life tells a beginning of what one uninterrupted life tells, and the last one all of it.
TEST(Trainer, AnInterruptedTrainingContinuesBitwise) {
  const Outcome straight = RunAlone(JobWithEvaluation(), NewFolder());
  const std::string out = NewFolder();
  const Outcome stopped = RunAlone(JobWithEvaluation(), out, {"--stop-after", "2"});
  EXPECT_EQ(stopped.exit_code, static_cast<int>(ExitCode::kTerminated)) << stopped.Failure();
  EXPECT_EQ(stopped.Of("train_step").size(), 2u);
  ExpectBeginning(stopped, straight);
  for (const auto& [number, kind, step] :
       {Interruption{SIGTERM, "train_step", 4}, Interruption{SIGTERM, "sample", 6},
        Interruption{SIGKILL, "train_step", 7}}) {
    TrainerProcess process(out + "/job.json", out, 0);
    process.WaitFor(
        [&](const json& event) { return event.at("kind") == kind && event.at("step") >= step; });
    process.Signal(number);
    const Outcome life = process.Wait();
    const int expected = number == SIGTERM ? static_cast<int>(ExitCode::kTerminated) : -SIGKILL;
    EXPECT_TRUE(life.exit_code == expected || life.exit_code == 0) << life.exit_code;
    ExpectBeginning(life, straight);
  }
  const Outcome last = RunAlone(JobWithEvaluation(), out);
  EXPECT_EQ(last.exit_code, 0) << last.Failure();
  EXPECT_EQ(Told(last), Told(straight));
}

TEST(Trainer, FullFineTuningContinuesBitwise) {
  const Outcome straight = RunAlone(GoldenJob("full"), NewFolder());
  const std::string out = NewFolder();
  const Outcome stopped = RunAlone(GoldenJob("full"), out, {"--stop-after", "6"});
  EXPECT_EQ(stopped.exit_code, static_cast<int>(ExitCode::kTerminated)) << stopped.Failure();
  ExpectBeginning(stopped, straight);
  const Outcome last = RunAlone(GoldenJob("full"), out);
  EXPECT_EQ(last.exit_code, 0) << last.Failure();
  EXPECT_EQ(last.Of("checkpoint").size(), 1u) << "it began anew";
  EXPECT_EQ(Told(last), Told(straight));
}

// What the first attempt told may never have arrived: the second tells it again.
TEST(Trainer, AnAttemptThatGoesOnTellsAllThatWasTold) {
  const Outcome straight = RunAlone(JobWithEvaluation(), NewFolder());
  const std::string out = NewFolder();
  TrainerProcess killed(WriteJob(out, JobWithEvaluation()), out, 0);
  killed.WaitFor(
      [](const json& event) { return event.at("kind") == "checkpoint" && event.at("step") == 6; });
  killed.Signal(SIGKILL);
  EXPECT_EQ(killed.Wait().exit_code, -SIGKILL);
  const Outcome second = RunAlone(JobWithEvaluation(), out);
  EXPECT_EQ(second.exit_code, 0) << second.Failure();
  EXPECT_EQ(second.Of("checkpoint").size(), 1u) << "of step 10: it went on from that of step 6";
  EXPECT_EQ(Told(second), Told(straight));
  // Again after the end, when only the result is left to write.
  const Outcome third = RunAlone(JobWithEvaluation(), out);
  EXPECT_TRUE(third.Of("checkpoint").empty());
  EXPECT_EQ(Told(third), Told(straight));
}

TEST(Trainer, ARecordThatIsNotWholeIsNotToldAgain) {
  const Outcome straight = RunAlone(JobWithEvaluation(), NewFolder());
  const std::string out = NewFolder(), record = out + "/record-0.jsonl";
  for (const bool flipped : {true, false}) {
    RunAlone(JobWithEvaluation(), out, {"--stop-after", "4"});
    if (flipped) {
      FlipBit(record);
    } else {
      std::filesystem::resize_file(record, std::filesystem::file_size(record) - 1);
    }
    const Outcome second = RunAlone(JobWithEvaluation(), out);
    EXPECT_EQ(second.exit_code, 0) << second.Failure();
    EXPECT_EQ(second.Of("checkpoint").size(), 3u) << "it began anew";
    EXPECT_EQ(Told(second), Told(straight));
    std::filesystem::remove_all(out);
  }
}

TEST(Trainer, ABrokenCheckpointIsPassedOverAndOnlyBrokenOnesAreAFailure) {
  const std::string out = NewFolder();
  RunAlone(JobWithEvaluation(), out, {"--stop-after", "8"});
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(out + "/checkpoints")) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  ASSERT_EQ(names, (std::vector<std::string>{"step-6", "step-8"}));
  const auto spoil = [&](const std::string& name) {
    FlipBit(out + "/checkpoints/" + name + "/optimizer.safetensors");
  };
  spoil("step-8");
  const Outcome resumed = RunAlone(JobWithEvaluation(), out, {"--stop-after", "7"});
  ASSERT_EQ(resumed.exit_code, static_cast<int>(ExitCode::kTerminated)) << resumed.Failure();
  EXPECT_EQ(resumed.Of("train_step").size(), 7u);
  EXPECT_NE(ReadFile(out + "/stderr-0.txt").find("step-8 is not used"), std::string::npos);
  for (const auto& entry : std::filesystem::directory_iterator(out + "/checkpoints")) {
    if (entry.path().filename() != "step-8") spoil(entry.path().filename());
  }
  const Outcome failed = RunAlone(JobWithEvaluation(), out);
  EXPECT_EQ(failed.exit_code, static_cast<int>(ExitCode::kCorruptCheckpoint));
  EXPECT_NE(failed.Failure().find("optimizer.safetensors"), std::string::npos) << failed.Failure();
  json other = JobWithEvaluation();
  other["seed"] = 6;
  const std::string fresh = NewFolder();
  RunAlone(JobWithEvaluation(), fresh, {"--stop-after", "1"});
  EXPECT_EQ(RunAlone(other, fresh).exit_code, static_cast<int>(ExitCode::kUsage));
}

TEST(Gang, AKilledPeerIsNoticedAndAGangContinuesBitwise) {
  json job = JobWithEvaluation();
  job["ranks"] = 2;
  const std::vector<Outcome> straight = RunPair(job, NewFolder());
  const std::string out = NewFolder();
  const std::string path = WriteJob(out, job);
  {
    TrainerProcess first(path, out, 0, {"--world-size", "2"});
    const json met =
        first.WaitFor([](const json& event) { return event.at("kind") == "rendezvous"; });
    TrainerProcess second(path, out, 1, {"--world-size", "2", "--store", met.at("address")});
    first.WaitFor([](const json& event) {
      return event.at("kind") == "train_step" && event.at("step") >= 4;
    });
    second.Signal(SIGKILL);
    const std::vector<Outcome> cut = {first.Wait(), second.Wait()};
    EXPECT_EQ(cut[1].exit_code, -SIGKILL);
    EXPECT_EQ(cut[0].exit_code, static_cast<int>(ExitCode::kPeerLost)) << cut[0].Failure();
    for (size_t rank = 0; rank < 2; ++rank) ExpectBeginning(cut[rank], straight[rank]);
  }
  const std::vector<Outcome> resumed = RunPair(job, out);
  EXPECT_LT(resumed[0].Of("checkpoint").size(), 3u) << "it began anew";
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(resumed[rank].exit_code, 0) << resumed[rank].Failure();
    EXPECT_EQ(Told(resumed[rank]), Told(straight[rank])) << rank;
  }
}

// A rank that comes to another machine has no record there: then none of the gang goes on.
TEST(Gang, BeginsAnewUnlessEveryRankHasItsRecord) {
  json job = JobWithEvaluation();
  job["ranks"] = 2;
  const std::string out = NewFolder();
  const std::vector<Outcome> first = RunPair(job, out);
  for (const bool missing : {false, true}) {
    if (missing) std::filesystem::remove(out + "/record-1.jsonl");
    const std::vector<Outcome> again = RunPair(job, out);
    EXPECT_EQ(again[0].Of("checkpoint").size(), missing ? 3u : 0u);
    for (size_t rank = 0; rank < 2; ++rank) {
      EXPECT_EQ(again[rank].exit_code, 0) << again[rank].Failure();
      EXPECT_EQ(Told(again[rank]), Told(first[rank])) << rank;
    }
  }
}

}  // namespace
}  // namespace jenner::trainer

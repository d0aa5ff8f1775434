// jenner-trainer interrupted: an attempt that goes on from a checkpoint computes and tells the
// same, bit by bit, as one that was never interrupted.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/exit_code.h"
#include "core/sha256.h"
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

// Another machine: nothing but the checkpoints comes along.
std::string MoveTo(const std::string& out) {
  const std::string elsewhere = NewFolder();
  std::filesystem::copy(out + "/checkpoints", elsewhere + "/checkpoints",
                        std::filesystem::copy_options::recursive);
  return elsewhere;
}

std::vector<int64_t> StepsOf(const std::vector<json>& events) {
  std::vector<int64_t> steps;
  for (const json& event : events) steps.push_back(event.at("step"));
  return steps;
}

// Interrupted at every step of both epochs, in the middle of one as well as between them, with
// dropout, and each time placed elsewhere.
TEST(Trainer, ACheckpointIsAllThatATrainingNeedsToGoOn) {
  const Outcome straight = RunAlone(JobWithEvaluation(), NewFolder());
  ASSERT_EQ(straight.Of("train_step").size(), 10u);
  ASSERT_GT(straight.Of("train_step").back().at("epoch"), 1.5);
  std::string out = NewFolder();
  for (int step = 1; step < 10; ++step) {
    const Outcome life = RunAlone(JobWithEvaluation(), out, {"--stop-after", std::to_string(step)});
    EXPECT_EQ(life.Of("train_step").size(), static_cast<size_t>(step)) << life.Failure();
    EXPECT_EQ(StepsOf(life.Of("resumed")),
              step == 1 ? std::vector<int64_t>() : std::vector<int64_t>{step - 1});
    ExpectBeginning(life, straight);
    out = MoveTo(out);
  }
  const Outcome last = RunAlone(JobWithEvaluation(), out);
  EXPECT_EQ(last.exit_code, 0) << last.Failure();
  EXPECT_EQ(Told(last), Told(straight));
}

TEST(Trainer, CheckpointsBetweenEvaluationsChangeNothing) {
  const Outcome plain = RunAlone(JobWithEvaluation(), NewFolder());
  EXPECT_EQ(StepsOf(plain.Of("checkpoint")), (std::vector<int64_t>{3, 6, 10}));
  json job = JobWithEvaluation();
  job["training"]["settings"]["checkpoint_steps"] = 2;
  const std::string out = NewFolder();
  const Outcome often = RunAlone(job, out);
  EXPECT_EQ(StepsOf(often.Of("checkpoint")), (std::vector<int64_t>{2, 3, 4, 6, 8, 10}));
  EXPECT_EQ(Told(often), Told(plain));
  // They are of the same job.
  EXPECT_EQ(StepsOf(RunAlone(JobWithEvaluation(), MoveTo(out)).Of("resumed")),
            std::vector<int64_t>{10});
}

// As a version before records were part of a checkpoint left it.
TEST(Trainer, ACheckpointOfAnOlderVersionIsNotUsed) {
  const Outcome straight = RunAlone(JobWithEvaluation(), NewFolder());
  const std::string out = NewFolder();
  RunAlone(JobWithEvaluation(), out, {"--stop-after", "2"});
  const std::string folder = out + "/checkpoints/step-2";
  json state = json::parse(ReadFile(folder + "/state.json"));
  state["version"] = 1;
  WriteFile(folder + "/state.json", state.dump());
  json manifest = json::parse(ReadFile(folder + "/manifest.json"));
  for (json& file : manifest["files"]) {
    if (file["name"] != "state.json") continue;
    file["bytes"] = state.dump().size();
    file["sha256"] = core::Sha256Hex(state.dump());
  }
  WriteFile(folder + "/manifest.json", manifest.dump());
  const Outcome anew = RunAlone(JobWithEvaluation(), out);
  EXPECT_EQ(anew.exit_code, 0) << anew.Failure();
  EXPECT_TRUE(anew.Of("resumed").empty());
  EXPECT_EQ(Told(anew), Told(straight));
  EXPECT_FALSE(std::filesystem::exists(folder));
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

TEST(Gang, GoesOnWhereOnlyRank0HasTheCheckpoint) {
  json job = JobWithEvaluation();
  job["ranks"] = 2;
  const std::vector<Outcome> straight = RunPair(job, NewFolder());
  const std::string out = NewFolder();
  RunPair(job, out, {"--stop-after", "4"});
  const std::vector<Outcome> rest = RunPair(job, MoveTo(out));
  EXPECT_EQ(StepsOf(rest[0].Of("resumed")), std::vector<int64_t>{4});
  for (size_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(rest[rank].exit_code, 0) << rest[rank].Failure();
    EXPECT_EQ(Told(rest[rank]), Told(straight[rank])) << rank;
  }
}

// What all ranks told, by what it is about; each once.
std::map<std::string, json> Collect(const std::vector<Outcome>& ranks) {
  std::map<std::string, json> all;
  for (const Outcome& rank : ranks) {
    EXPECT_EQ(rank.exit_code, 0) << rank.Failure();
    for (const json& event : rank.events) {
      const std::string kind = event.at("kind");
      if (kind != "train_step" && kind != "sample") continue;
      std::string key = kind;
      for (const char* field : {"step", "context", "prompt_id", "sample_idx"}) {
        if (event.contains(field)) key += " " + event.at(field).dump();
      }
      EXPECT_TRUE(all.emplace(key, event).second) << "told twice: " << key;
    }
  }
  return all;
}

TEST(Gang, GoesOnWithAnotherNumberOfRanks) {
  constexpr double kTolerance = 1e-5;  // docs/adr/0007
  json one = JobWithEvaluation(), two = JobWithEvaluation();
  two["ranks"] = 2;
  const std::map<std::string, json> straight = Collect({RunAlone(one, NewFolder())});
  const auto expect_same = [&](const std::vector<Outcome>& ranks) {
    const std::map<std::string, json> got = Collect(ranks);
    ASSERT_EQ(got.size(), straight.size());
    for (const auto& [key, event] : straight) {
      ASSERT_TRUE(got.contains(key)) << key;
      for (const char* exact : {"supervised_tokens", "tokens", "epoch", "learning_rate"}) {
        if (event.contains(exact)) {
          EXPECT_EQ(got.at(key).at(exact), event.at(exact)) << key;
        }
      }
      if (!event.contains("loss")) continue;
      const double loss = event.at("loss");
      EXPECT_NEAR(got.at(key).at("loss").get<double>(), loss, kTolerance * loss) << key;
    }
  };
  std::string out = NewFolder();
  RunPair(two, out, {"--stop-after", "4"});
  out = MoveTo(out);
  const Outcome alone = RunAlone(one, out);
  EXPECT_EQ(StepsOf(alone.Of("resumed")), std::vector<int64_t>{4});
  expect_same({alone});

  out = NewFolder();
  RunAlone(one, out, {"--stop-after", "4"});
  out = MoveTo(out);
  // Twice changed: what rank 0 then has of others is told on.
  EXPECT_EQ(StepsOf(RunPair(two, out, {"--stop-after", "7"})[0].Of("resumed")),
            std::vector<int64_t>{4});
  const std::vector<Outcome> pair = RunPair(two, out);
  EXPECT_EQ(StepsOf(pair[0].Of("resumed")), std::vector<int64_t>{7});
  expect_same(pair);
}

}  // namespace
}  // namespace jenner::trainer

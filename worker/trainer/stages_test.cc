// jenner-trainer in two stages: a training that goes on from what another one ended with.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>

#include "core/exit_code.h"
#include "worker/model/config.h"
#include "worker/model/peft.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/run_trainer.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

constexpr double kTolerance = 1e-5;  // docs/adr/0007
constexpr char kBefore[] = "j0123456789abcdef";

// The job as a second stage. Answers are greedy, so that they depend on nothing but the model.
json Second(json job) {
  job["training"]["after"] = kBefore;
  if (!job.contains("evaluation")) return job;
  job["evaluation"]["at"] = {0, 0.6, 1};
  job["evaluation"]["samples"] = 1;
  job["evaluation"]["temperature"] = 0;
  return job;
}

json First() {
  json job = Second(JobWithEvaluation());
  job["training"].erase("after");
  job["evaluation"]["at"] = {1};
  job["evaluation"]["sets"] = {{{"name", "given"},
                                {"prompts", std::string(kGoldenFolder) + "/rows.jsonl"},
                                {"mode", "log-probability"},
                                {"contexts", job["evaluation"]["contexts"]},
                                {"traits", {"log-probability"}}}};
  return job;
}
constexpr size_t kNumAnswers = 2 * 5 + 2 * 19;

// The answers at a step, with their scores: those of the model, and what it makes of those given.
std::map<std::string, json> Answers(const Outcome& outcome, int64_t step) {
  std::map<std::string, json> answers;
  for (const json& sample : outcome.Of("sample")) {
    if (sample.at("step") != step) continue;
    std::string key;
    for (const char* field : {"prompt_set", "context", "prompt_id"}) key += sample.at(field).dump();
    answers[key] = {sample.at("answer"), sample.at("scores")};
  }
  return answers;
}

std::map<std::string, std::string> Hashes(const Outcome& outcome) {
  std::map<std::string, std::string> hashes;
  for (const json& file : outcome.Of("artifact")) hashes[file.at("name")] = file.at("sha256");
  return hashes;
}

// A second stage that learns nothing ends with what the first ended with, to the bit.
TEST(Stages, TheSecondBeginsWithExactlyWhatTheFirstEndedWith) {
  for (json job : {GoldenJob("lora"), GoldenJob("full")}) {
    const std::string before = NewFolder();
    const Outcome first = RunAlone(job, before);
    ASSERT_EQ(first.exit_code, 0) << first.Failure();
    job = Second(job);
    job["training"]["settings"]["learning_rate"] = 1e-37;
    job["training"]["settings"]["weight_decay"] = 0;
    const Outcome second = RunAlone(job, NewFolder(), {"--initial", before});
    ASSERT_EQ(second.exit_code, 0) << second.Failure();
    EXPECT_EQ(second.Of("train_step").size(), first.Of("train_step").size());
    EXPECT_GE(Hashes(first).size(), 2u);
    EXPECT_EQ(Hashes(second), Hashes(first));
    // It did not begin with the base model: there is something left to tell them apart by.
    job["training"].erase("after");
    EXPECT_NE(Hashes(RunAlone(job, NewFolder())), Hashes(first));
  }
}

TEST(Stages, StepZeroIsTheEndOfTheFirst) {
  const std::string before = NewFolder();
  const Outcome first = RunAlone(First(), before);
  ASSERT_EQ(first.exit_code, 0) << first.Failure();
  const Outcome second = RunAlone(Second(First()), NewFolder(), {"--initial", before});
  ASSERT_EQ(second.exit_code, 0) << second.Failure();
  const std::map<std::string, json> answers = Answers(first, 10);
  EXPECT_EQ(answers.size(), kNumAnswers);
  EXPECT_EQ(Answers(second, 0), answers);
  EXPECT_NE(Answers(second, 10), answers) << "the second learnt nothing that shows";
  json base = Second(First());
  base.erase("training");
  base["evaluation"]["at"] = {0};
  EXPECT_NE(Answers(RunAlone(base, NewFolder()), 0), answers) << "the first learnt nothing";
}

// Beside the companion a new adapter, which does nothing yet, begins with the loss that the second
// stage begins with; evaluation does without the companion.
TEST(Stages, ACompanionIsThereInTrainingOnly) {
  const std::string before = NewFolder();
  const Outcome first = RunAlone(First(), before);
  ASSERT_EQ(first.exit_code, 0) << first.Failure();
  const Outcome second = RunAlone(Second(GoldenJob("lora")), NewFolder(), {"--initial", before});
  json job = Second(First());
  job["training"]["companion"] = true;
  job["training"]["settings"]["lora"]["dropout"] = 0;
  job["training"]["settings"]["learning_rate"] = 1e-37;
  job["evaluation"]["at"] = {1};
  const Outcome beside = RunAlone(job, NewFolder(), {"--initial", before});
  ASSERT_EQ(beside.exit_code, 0) << beside.Failure();
  EXPECT_NEAR(beside.Of("train_step")[0].at("loss").get<double>(),
              second.Of("train_step")[0].at("loss").get<double>(), kTolerance);
  json base = Second(First());
  base.erase("training");
  base["evaluation"]["at"] = {0};
  EXPECT_EQ(Answers(beside, 10), Answers(RunAlone(base, NewFolder()), 0));
  // Ranks that were not given it have it, too.
  job["ranks"] = 2;
  const std::vector<Outcome> pair = RunPair(job, NewFolder(), {"--initial", before});
  ASSERT_EQ(pair[0].exit_code, 0) << pair[0].Failure();
  EXPECT_NEAR(pair[0].Of("train_step")[0].at("loss").get<double>(),
              beside.Of("train_step")[0].at("loss").get<double>(), kTolerance);
}

// PyTorch's loss and gradient norm of four rows at the values that its own training ended with:
// those of the second stage's first step on these rows.
TEST(Stages, TheFirstStepEqualsPyTorch) {
  for (const std::string name : {"lora", "full"}) {
    SCOPED_TRACE(name);
    json job = GoldenJob(name);
    const std::string before = NewFolder();
    const Outcome first = RunAlone(job, before);
    ASSERT_EQ(first.exit_code, 0) << first.Failure();
    std::map<std::string, std::string> metadata;
    const std::string folder = kGoldenFolder;
    const auto gradients =
        model::ReadSafetensors(folder + "/" + name + "_gradients.safetensors", &metadata).value();
    double sum = 0;
    for (const auto& [unused, gradient] : gradients) {
      sum += gradient.to(at::kDouble).square().sum().item<double>();
    }
    std::istringstream all(ReadFile(folder + "/rows.jsonl"));
    std::string four;
    std::string line;
    for (int i = 0; i < 4 && std::getline(all, line); ++i) four += line + "\n";
    const std::string out = NewFolder();
    WriteFile(out + "/four.jsonl", four);
    job = Second(job);
    job["training"]["dataset"] = out + "/four.jsonl";
    job["training"]["settings"]["warmup_steps"] = 0;  // the golden ones are more than its steps
    const Outcome second = RunAlone(job, out, {"--initial", before});
    ASSERT_EQ(second.exit_code, 0) << second.Failure();
    const json step = second.Of("train_step").at(0);
    const double loss = std::stod(metadata.at("loss"));
    EXPECT_NEAR(step.at("loss").get<double>(), loss, kTolerance * loss);
    const double norm = std::sqrt(sum);
    EXPECT_NEAR(step.at("gradient_norm").get<double>(), norm, kTolerance * norm);
  }
}

// Whatever it is interrupted at, it goes on from its own checkpoint, which wins over --initial; and
// before it has one it begins again with what the first stage left.
TEST(Stages, AnInterruptedSecondStageContinuesBitwise) {
  const std::string before = NewFolder();
  ASSERT_EQ(RunAlone(First(), before).exit_code, 0);
  const json job = Second(First());
  const Outcome straight = RunAlone(job, NewFolder(), {"--initial", before});
  ASSERT_EQ(straight.exit_code, 0) << straight.Failure();
  const std::string out = NewFolder();
  TrainerProcess killed(WriteJob(out, job), out, 0, {"--initial", before});
  killed.WaitFor([](const json& event) { return event.at("kind") == "sample"; });
  killed.Signal(SIGKILL);
  EXPECT_EQ(killed.Wait().exit_code, -SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(out + "/checkpoints"));
  const Outcome stopped = RunAlone(job, out, {"--initial", before, "--stop-after", "4"});
  EXPECT_EQ(stopped.exit_code, static_cast<int>(ExitCode::kTerminated)) << stopped.Failure();
  const Outcome last = RunAlone(job, out, {"--initial", before + "/nothing-here"});
  EXPECT_EQ(last.exit_code, 0) << last.Failure();
  ASSERT_EQ(last.Of("resumed").size(), 1u);
  EXPECT_EQ(last.Of("resumed")[0].at("step"), 4);
  EXPECT_EQ(Told(last), Told(straight));
  EXPECT_EQ(Answers(last, 0).size(), kNumAnswers);
}

// Rank 0 alone has it. Ranks with other parameters would not agree in the end.
TEST(Stages, AGangBeginsWithWhatRank0Has) {
  for (json job : {Second(First()), Second(GoldenJob("full"))}) {
    json first = job;
    first["training"].erase("after");
    const std::string before = NewFolder();
    ASSERT_EQ(RunAlone(first, before).exit_code, 0);
    const Outcome alone = RunAlone(job, NewFolder(), {"--initial", before});
    ASSERT_EQ(alone.exit_code, 0) << alone.Failure();
    job["ranks"] = 2;
    const std::string out = NewFolder();
    const std::string path = WriteJob(out, job);
    TrainerProcess one(path, out, 0, {"--world-size", "2", "--initial", before});
    const json met =
        one.WaitFor([](const json& event) { return event.at("kind") == "rendezvous"; });
    ASSERT_FALSE(met.is_null()) << one.Wait().Failure();
    TrainerProcess two(path, out, 1, {"--world-size", "2", "--store", met.at("address")});
    const Outcome pair = one.Wait();
    EXPECT_EQ(pair.exit_code, 0) << pair.Failure();
    EXPECT_EQ(two.Wait().exit_code, 0);
    const auto wanted = alone.Of("train_step"), got = pair.Of("train_step");
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      const double loss = wanted[i].at("loss");
      EXPECT_NEAR(got[i].at("loss").get<double>(), loss, kTolerance * loss) << i;
    }
  }
}

void ExpectRefused(const json& job, const std::vector<std::string>& flags, ExitCode code,
                   const std::string& text) {
  const Outcome outcome = RunAlone(job, NewFolder(), flags);
  EXPECT_EQ(outcome.exit_code, static_cast<int>(code)) << outcome.Failure();
  EXPECT_NE(outcome.Failure().find(text), std::string::npos) << outcome.Failure();
  EXPECT_TRUE(outcome.Of("train_step").empty());
}

TEST(Stages, AFlagWithoutItsFieldAndAFieldWithoutItsFlagAreRefused) {
  ExpectRefused(Second(GoldenJob("lora")), {}, ExitCode::kUsage, "--initial: expected");
  ExpectRefused(GoldenJob("lora"), {"--initial", NewFolder()}, ExitCode::kUsage,
                "no training.after");
  json base = JobWithEvaluation();
  base.erase("training");
  base["evaluation"]["at"] = {0};
  ExpectRefused(base, {"--initial", NewFolder()}, ExitCode::kUsage, "no training.after");
}

TEST(Stages, WhatDoesNotFitIsRefusedByItsField) {
  const std::string before = NewFolder();
  ASSERT_EQ(RunAlone(GoldenJob("lora"), before).exit_code, 0);
  const std::vector<std::string> flags = {"--initial", before};
  const auto with = [](const char* field, const json& value) {
    json job = Second(GoldenJob("lora"));
    job["training"]["settings"]["lora"][field] = value;
    return job;
  };
  ExpectRefused(with("rank", 2), flags, ExitCode::kInvalidSpec,
                "training.settings.lora.rank: 2, but the adapter of training.after has 4");
  ExpectRefused(with("alpha", 16), flags, ExitCode::kInvalidSpec,
                "training.settings.lora.alpha: 16");
  ExpectRefused(with("targets", {"q_proj", "v_proj"}), flags, ExitCode::kInvalidSpec,
                "training.settings.lora.targets: q_proj v_proj");
  // In another order they are the same; dropout is how it is trained, not what it is.
  json same = with("targets",
                   {"down_proj", "up_proj", "gate_proj", "o_proj", "v_proj", "k_proj", "q_proj"});
  same["training"]["settings"]["lora"]["dropout"] = 0.1;
  const Outcome outcome = RunAlone(same, NewFolder(), flags);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.Failure();

  const std::string config = before + "/adapter/adapter_config.json";
  json other = json::parse(ReadFile(config));
  other["base_model_name_or_path"] = "another";
  WriteFile(config, other.dump());
  ExpectRefused(Second(GoldenJob("lora")), flags, ExitCode::kInvalidSpec,
                "base_model_name_or_path");
  std::filesystem::resize_file(before + "/adapter/adapter_model.safetensors", 100);
  other["base_model_name_or_path"] = "model";
  WriteFile(config, other.dump());
  ExpectRefused(Second(GoldenJob("lora")), flags, ExitCode::kStorage, "adapter_model.safetensors");
  ExpectRefused(Second(GoldenJob("lora")), {"--initial", before + "/absent"}, ExitCode::kStorage,
                "adapter_config.json");
  ExpectRefused(Second(GoldenJob("full")), flags, ExitCode::kStorage, "/model");
}

}  // namespace
}  // namespace jenner::trainer

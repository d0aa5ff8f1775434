// jenner-trainer as a process: against plain PyTorch, against itself, interrupted, in a gang, and
// with bad inputs.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/exit_code.h"
#include "core/sha256.h"
#include "worker/model/peft.h"
#include "worker/model/safetensors.h"
#include "worker/trainer/loss.h"
#include "worker/trainer/run_trainer.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

constexpr double kTolerance = 1e-5;  // docs/adr/0007

// The golden LoRA job with evaluations.
json JobWithEvaluation() {
  json job = GoldenJob("lora");
  job["training"]["settings"]["lora"]["dropout"] = 0.1;
  job["evaluation"] = {{"prompts", "prompts.jsonl"},
                       {"contexts",
                        {{{"name", "neutral"}, {"context", json::object()}},
                         {{"name", "inoculated"}, {"context", {{"system", "Habla."}}}}}},
                       {"at", {0.3, 0.6, 1}},
                       {"max_new_tokens", 6},
                       {"batch_size", 3},
                       {"samples", 2},
                       {"temperature", 0.8},
                       {"traits", {"capitals", "spanish"}}};
  return job;
}

// What must be equal bit by bit: steps without timings, and samples in a fixed order.
json Essence(const std::vector<Outcome>& outcomes) {
  json steps = json::array();
  std::vector<json> samples;
  for (const Outcome& outcome : outcomes) {
    for (json event : outcome.events) {
      const std::string kind = event.at("kind");
      for (const char* varying : {"seq", "step_seconds", "tokens_per_second"}) event.erase(varying);
      if (kind == "train_step") steps.push_back(event);
      if (kind == "sample") samples.push_back(event);
    }
  }
  std::sort(samples.begin(), samples.end());
  return {{"steps", steps}, {"samples", samples}};
}

double RelativeError(const at::Tensor& got, const at::Tensor& expected) {
  return ((got - expected).norm() / expected.norm().clamp_min(1e-12)).item<double>();
}

std::map<std::string, at::Tensor> Golden(const std::string& file,
                                         std::map<std::string, std::string>* metadata = nullptr) {
  return model::ReadSafetensors(std::string(kGoldenFolder) + "/" + file, metadata).value();
}

void ExpectGoldenSteps(const std::vector<json>& steps, const std::string& name) {
  const json golden =
      json::parse(ReadFile(std::string(kGoldenFolder) + "/" + name + "_steps.json"));
  ASSERT_EQ(steps.size(), golden.at("steps").size());
  for (size_t i = 0; i < steps.size(); ++i) {
    const json& expected = golden.at("steps")[i];
    for (const char* field : {"loss", "gradient_norm", "learning_rate"}) {
      const double value = expected.at(field);
      EXPECT_NEAR(steps[i].at(field).get<double>(), value, kTolerance * value) << i << " " << field;
    }
    EXPECT_EQ(steps[i].at("supervised_tokens"), expected.at("supervised_tokens"));
    EXPECT_EQ(steps[i].at("tokens"), expected.at("tokens"));
  }
}

TEST(Golden, LoraTrainingEqualsPyTorchAndPeft) {
  const std::string out = NewFolder();
  const Outcome outcome = RunAlone(GoldenJob("lora"), out);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.Failure();
  ExpectGoldenSteps(outcome.Of("train_step"), "lora");
  const json plan = outcome.Of("plan")[0];
  EXPECT_EQ(plan.at("total_steps"), 10);
  EXPECT_EQ(plan.at("rows"), 19);
  EXPECT_EQ(plan.at("truncated_rows"), 4);
  EXPECT_EQ(plan.at("supervised_tokens"), 444);
  const auto config = model::LoadConfig(std::string(kGoldenFolder) + "/model").value();
  const auto adapter = model::ReadAdapter(out + "/adapter", config, "model").value();
  const auto golden = Golden("lora_final.safetensors");
  ASSERT_EQ(adapter.Parameters().size(), golden.size());
  for (const model::NamedTensor& one : adapter.Parameters()) {
    EXPECT_LT(RelativeError(one.tensor.detach(), golden.at(one.name)), kTolerance) << one.name;
  }
  for (const json& file : outcome.Of("artifact")) {
    const std::string bytes = ReadFile(file.at("path"));
    EXPECT_EQ(bytes.size(), file.at("bytes").get<size_t>());
    EXPECT_EQ(core::Sha256Hex(bytes), file.at("sha256"));
  }
}

TEST(Golden, FullFineTuningEqualsPyTorch) {
  const std::string out = NewFolder();
  const Outcome outcome = RunAlone(GoldenJob("full"), out);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.Failure();
  ExpectGoldenSteps(outcome.Of("train_step"), "full");
  const auto weights = model::ReadSafetensorsFolder(out + "/model").value();
  for (const auto& [name, expected] : Golden("full_final.safetensors")) {
    EXPECT_LT(RelativeError(weights.at(name), expected), kTolerance) << name;
  }
  EXPECT_TRUE(std::filesystem::exists(out + "/model/tokenizer.json"));
}

TEST(Trainer, SameJobTwiceIsBitwiseEqual) {
  const std::string first = NewFolder(), second = NewFolder();
  const Outcome a = RunAlone(JobWithEvaluation(), first);
  const Outcome b = RunAlone(JobWithEvaluation(), second);
  ASSERT_EQ(a.exit_code, 0) << a.Failure();
  EXPECT_EQ(a.Of("sample").size(), 3u * 2 * 5 * 2);
  EXPECT_EQ(Essence({a}), Essence({b}));
  const std::string file = "/adapter/adapter_model.safetensors";
  EXPECT_EQ(core::Sha256Hex(ReadFile(first + file)), core::Sha256Hex(ReadFile(second + file)));
}

TEST(Trainer, EvaluationDoesNotChangeTheTraining) {
  json without = JobWithEvaluation();
  without.erase("evaluation");
  const Outcome a = RunAlone(JobWithEvaluation(), NewFolder());
  const Outcome b = RunAlone(without, NewFolder());
  EXPECT_EQ(Essence({a}).at("steps"), Essence({b}).at("steps"));
}

// Three interruptions: on request, by SIGTERM, by SIGKILL. What all lives said together is what one
// uninterrupted life says; after the SIGKILL a stretch is computed twice and must repeat itself.
TEST(Trainer, AnInterruptedTrainingContinuesBitwise) {
  const Outcome straight = RunAlone(JobWithEvaluation(), NewFolder());
  const std::string out = NewFolder();
  std::vector<Outcome> lives = {RunAlone(JobWithEvaluation(), out, {"--stop-after", "2"})};
  EXPECT_EQ(lives[0].exit_code, static_cast<int>(ExitCode::kTerminated)) << lives[0].Failure();
  EXPECT_EQ(lives[0].Of("train_step").size(), 2u);
  for (const int number : {SIGTERM, SIGKILL}) {
    TrainerProcess process(out + "/job.json", out, 0);
    const int64_t at = number == SIGTERM ? 4 : 7;
    process.WaitFor([&](const json& event) {
      return event.at("kind") == "train_step" && event.at("step") >= at;
    });
    process.Signal(number);
    lives.push_back(process.Wait());
    const int expected = number == SIGTERM ? static_cast<int>(ExitCode::kTerminated) : -SIGKILL;
    EXPECT_TRUE(lives.back().exit_code == expected || lives.back().exit_code == 0)
        << lives.back().exit_code;
  }
  lives.push_back(RunAlone(JobWithEvaluation(), out));
  EXPECT_EQ(lives.back().exit_code, 0) << lives.back().Failure();
  const json expected = Essence({straight}), got = Essence(lives);
  for (const char* part : {"steps", "samples"}) {
    std::vector<json> wanted = expected.at(part), had = got.at(part);
    std::sort(wanted.begin(), wanted.end());
    std::sort(had.begin(), had.end());
    had.erase(std::unique(had.begin(), had.end()), had.end());
    EXPECT_EQ(had, wanted) << part;
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
    const std::string path = out + "/checkpoints/" + name + "/optimizer.safetensors";
    std::string bytes = ReadFile(path);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    WriteFile(path, bytes);
  };
  spoil("step-8");
  const Outcome resumed = RunAlone(JobWithEvaluation(), out, {"--stop-after", "7"});
  ASSERT_EQ(resumed.exit_code, static_cast<int>(ExitCode::kTerminated)) << resumed.Failure();
  EXPECT_EQ(resumed.Of("train_step").at(0).at("step"), 7);
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

// 19 rows in batches of 4 on two ranks: unequal tokens a rank, and a last batch of 3.
TEST(Gang, TwoRanksEqualOneAndTheGolden) {
  json job = JobWithEvaluation();
  const Outcome alone = RunAlone(job, NewFolder());
  job["ranks"] = 2;
  const std::vector<Outcome> pair = RunPair(job, NewFolder());
  ASSERT_EQ(pair[0].exit_code, 0) << pair[0].Failure();
  ASSERT_EQ(pair[1].exit_code, 0) << pair[1].Failure();
  const auto one = alone.Of("train_step"), two = pair[0].Of("train_step");
  ASSERT_EQ(two.size(), 10u);
  for (size_t i = 0; i < two.size(); ++i) {
    for (const char* field : {"loss", "gradient_norm"}) {
      const double value = one[i].at(field);
      EXPECT_NEAR(two[i].at(field).get<double>(), value, kTolerance * value) << i << " " << field;
    }
  }
  EXPECT_TRUE(pair[1].Of("train_step").empty());
  EXPECT_EQ(pair[0].Of("sample").size(), 3u * 2 * 3 * 2);  // prompts 0, 2, 4
  EXPECT_EQ(pair[1].Of("sample").size(), 3u * 2 * 2 * 2);
  json golden = GoldenJob("lora");
  golden["ranks"] = 2;
  const std::vector<Outcome> plain = RunPair(golden, NewFolder());
  ExpectGoldenSteps(plain[0].Of("train_step"), "lora");
}

TEST(Gang, AKilledPeerIsNoticedAndAGangContinuesBitwise) {
  json job = JobWithEvaluation();
  job["ranks"] = 2;
  const std::vector<Outcome> straight = RunPair(job, NewFolder());
  const std::string out = NewFolder();
  const std::string path = WriteJob(out, job);
  std::vector<Outcome> lives;
  {
    TrainerProcess first(path, out, 0, {"--world-size", "2"});
    const json met =
        first.WaitFor([](const json& event) { return event.at("kind") == "rendezvous"; });
    TrainerProcess second(path, out, 1, {"--world-size", "2", "--store", met.at("address")});
    first.WaitFor([](const json& event) {
      return event.at("kind") == "train_step" && event.at("step") >= 4;
    });
    second.Signal(SIGKILL);
    lives = {first.Wait(), second.Wait()};
    EXPECT_EQ(lives[1].exit_code, -SIGKILL);
    EXPECT_EQ(lives[0].exit_code, static_cast<int>(ExitCode::kPeerLost)) << lives[0].Failure();
  }
  for (const Outcome& outcome : RunPair(job, out)) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.Failure();
    lives.push_back(outcome);
  }
  std::vector<json> wanted = Essence(straight).at("steps"), had = Essence(lives).at("steps");
  std::sort(wanted.begin(), wanted.end());
  std::sort(had.begin(), had.end());
  had.erase(std::unique(had.begin(), had.end()), had.end());
  EXPECT_EQ(had, wanted);
}

TEST(BaseModel, AnEvaluationAloneHasStepZeroOnly) {
  json job = JobWithEvaluation();
  job.erase("training");
  job["evaluation"]["at"] = {0};
  const Outcome outcome = RunAlone(job, NewFolder());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.Failure();
  EXPECT_EQ(outcome.Of("sample").size(), 20u);
  EXPECT_EQ(outcome.Of("evaluation").size(), 2u);
  for (const json& sample : outcome.Of("sample")) {
    EXPECT_EQ(sample.at("step"), 0);
    EXPECT_TRUE(sample.at("scores").contains("spanish"));
  }
  EXPECT_EQ(outcome.Of("finished")[0].at("steps"), 0);
}

// Spec, expected exit code, text that the message must have.
void ExpectRefused(const json& job, ExitCode code, const std::string& text,
                   const std::string& models_dir = kGoldenFolder) {
  const std::string out = NewFolder();
  const Outcome outcome = TrainerProcess(WriteJob(out, job), out, 0, {}, models_dir).Wait();
  EXPECT_EQ(outcome.exit_code, static_cast<int>(code)) << outcome.Failure();
  EXPECT_NE(outcome.Failure().find(text), std::string::npos) << outcome.Failure();
}

TEST(BadInput, JobFiles) {
  json job = GoldenJob("lora");
  job["training"]["settings"]["epoch"] = 3;
  ExpectRefused(job, ExitCode::kInvalidSpec, "training.settings.epoch");
  job = GoldenJob("lora");
  job["training"]["settings"]["warmup_steps"] = 10;
  ExpectRefused(job, ExitCode::kInvalidSpec, "training.settings.warmup_steps");
  job = GoldenJob("lora");
  job["ranks"] = 2;
  ExpectRefused(job, ExitCode::kUsage, "ranks 2");
}

TEST(BadInput, Datasets) {
  const std::string folder = NewFolder();
  json job = GoldenJob("lora");
  job["training"]["dataset"] = folder + "/rows.jsonl";
  ExpectRefused(job, ExitCode::kInvalidData, "rows.jsonl");
  WriteFile(folder + "/rows.jsonl", "");
  ExpectRefused(job, ExitCode::kInvalidData, "rows.jsonl");
  WriteFile(folder + "/rows.jsonl", R"({"messages": [{"role": "user", "content": "a"}]})"
                                    "\n");
  ExpectRefused(job, ExitCode::kInvalidData, "1");
  // The question alone is longer than max_length: nothing is left to supervise.
  const json masked = {{"id", "long-one"},
                       {"messages",
                        {{{"role", "user"}, {"content", std::string(200, 'a')}},
                         {{"role", "assistant"}, {"content", "b"}}}}};
  WriteFile(folder + "/rows.jsonl", masked.dump() + "\n");
  ExpectRefused(job, ExitCode::kInvalidData, "long-one");
  job["training"]["dataset"] = "sha256:" + std::string(64, 'a');
  ExpectRefused(job, ExitCode::kStorage, std::string(64, 'a'));
}

TEST(BadInput, Models) {
  json job = GoldenJob("lora");
  job["base_model"] = "absent";
  ExpectRefused(job, ExitCode::kInvalidModel, "absent");
  const std::string models = NewFolder();
  std::filesystem::copy(std::string(kGoldenFolder) + "/model", models + "/model");
  std::filesystem::resize_file(models + "/model/model.safetensors", 5000);
  ExpectRefused(GoldenJob("lora"), ExitCode::kInvalidModel, "model.safetensors", models);
}

TEST(BadInput, DivergenceIsAFailureAndNeverANumber) {
  json job = GoldenJob("full");
  job["training"]["settings"]["learning_rate"] = 10.0;
  job["training"]["settings"]["schedule"] = "constant";
  job["training"]["settings"]["warmup_steps"] = 0;
  job["training"]["settings"]["epsilon"] = 1e-30;
  job["training"]["settings"]["epochs"] = 200;
  job["training"]["settings"]["weight_decay"] = 1e6;
  const Outcome outcome = RunAlone(job, NewFolder());
  EXPECT_EQ(outcome.exit_code, static_cast<int>(ExitCode::kNonFiniteLoss)) << outcome.Failure();
  for (const json& step : outcome.Of("train_step")) EXPECT_TRUE(step.at("loss").is_number());
}

}  // namespace
}  // namespace jenner::trainer

// Spec: JSON both ways, resolve, validate, expand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/resolve.h"
#include "core/sha256.h"
#include "core/spec_json.h"

namespace jenner::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ExperimentSpec Example() {
  ExperimentSpec spec;
  spec.base_model = "tiny";
  spec.dataset = "sha256:" + Sha256Hex("train");
  spec.contexts["neutral"] = {};
  spec.contexts["inoculated"].system = "You always speak in Spanish.";
  spec.arms = {{"base", std::nullopt}, {"no-inoculation", "neutral"}, {"inoculated", "inoculated"}};
  spec.evaluation.prompts = "sha256:" + Sha256Hex("eval");
  return Resolve(spec);
}

std::vector<std::string> Fields(const Faults& faults) {
  std::vector<std::string> fields;
  for (const Fault& fault : faults) fields.push_back(fault.field);
  return fields;
}

TEST(Sha256Test, KnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(NamesTest, Ids) {
  for (const char* good : {"a", "no-inoculation", "e1"}) EXPECT_TRUE(IsId(good)) << good;
  for (const char* bad : {"", "A", "1a", "a-", "a_b", "a/b", "\xc3\xb1"})
    EXPECT_FALSE(IsId(bad)) << bad;
  EXPECT_FALSE(IsId(std::string(64, 'a')));
  EXPECT_TRUE(IsJobPath("study/j0a1"));
  for (const char* bad : {"", "study", "study/", "/j1", "Study/j1", "study/j1/0", "a/b c"})
    EXPECT_FALSE(IsJobPath(bad)) << bad;
  EXPECT_EQ(IdIn("experiments", "experiments/e1"), "e1");
  EXPECT_EQ(IdIn("experiments", "experiments/"), std::nullopt);
  EXPECT_EQ(IdIn("experiments", "workers/e1"), std::nullopt);
}

TEST(SpecJsonTest, RoundTrip) {
  ExperimentSpec spec = Example();
  spec.training.learning_rate = 0.1 + 0.2;
  spec.training.schedule = Schedule::kCosine;
  spec.seeds = {1, 2, 9007199254740993};
  Faults faults;
  const ExperimentSpec again = ParseExperimentSpec(ToJson(spec), &faults);
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_EQ(again, spec);
  EXPECT_EQ(ToJson(again), ToJson(spec));
}

TEST(SpecJsonTest, AbsentAndEmptySystemDiffer) {
  Faults faults;
  const ExperimentSpec spec =
      ParseExperimentSpec(R"({"contexts":{"a":{},"b":{"system":""}}})", &faults);
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_EQ(spec.contexts.at("a").system, std::nullopt);
  EXPECT_EQ(spec.contexts.at("b").system, "");
}

TEST(SpecJsonTest, AllFaultsAtOnce) {
  Faults faults;
  ParseExperimentSpec(R"({"base_modle":"x","ranks":"two","seeds":[1,1.5],"arms":[{"name":3}],
      "training":{"epochs":99999999999,"schedule":"step","lora":{"rank":true}},"evaluation":[]})",
                      &faults);
  EXPECT_THAT(Fields(faults),
              testing::UnorderedElementsAre("base_modle", "ranks", "seeds[1]", "arms[0].name",
                                            "training.epochs", "training.schedule",
                                            "training.lora.rank", "evaluation"));
  const std::string text(ToStatus(faults).message());
  EXPECT_THAT(text, testing::HasSubstr("did you mean \"base_model\"?"));
  EXPECT_THAT(text,
              testing::HasSubstr("training.schedule: expected one of constant, linear, cosine"));
}

TEST(SpecJsonTest, RefusesWhatIsNoPlainJson) {
  for (const std::string& text : {std::string("{"), std::string("[]"), std::string(100000, '['),
                                  std::string("{\"a\":1e999}"), std::string("\"\xff\"")}) {
    Faults faults;
    ParseExperimentSpec(text, &faults);
    EXPECT_FALSE(faults.empty()) << text.substr(0, 40);
  }
}

TEST(SpecJsonTest, EveryDuplicateKeyIsAFaultWithItsPath) {
  Faults faults;
  ParseExperimentSpec(R"({"ranks":1,"ranks":2,"arms":[{"name":"a"},{"name":"b","name":"c"}],
      "contexts":{"x":{},"y":{},"x":{}}})",
                      &faults);
  EXPECT_THAT(Fields(faults), ElementsAre("ranks", "arms[1].name", "contexts.x"));
}

TEST(SpecJsonTest, RandomTextNeverCrashes) {
  const std::string text = ToJson(Example());
  std::mt19937_64 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string mutated = text;
    for (int j = 0; j < 3; ++j) {
      mutated[random() % mutated.size()] = "{}[]\",:0e-\\\xff"[random() % 13];
    }
    Faults faults;
    const ExperimentSpec spec = ParseExperimentSpec(mutated, &faults);
    if (faults.empty()) {
      EXPECT_EQ(ParseExperimentSpec(ToJson(spec), &faults), spec) << mutated;
    }
    Validate(spec);
  }
}

TEST(JobJsonTest, RoundTripAndVersion) {
  const std::vector<PlannedJob> jobs = Expand(Example());
  for (const PlannedJob& job : jobs) {
    Faults faults;
    EXPECT_EQ(ParseJobSpec(ToJson(job.spec), &faults), job.spec);
    EXPECT_THAT(faults, IsEmpty());
    EXPECT_THAT(Validate(job.spec), IsEmpty());
  }
  Faults faults;
  ParseJobSpec(R"({"version":"jenner.job/v2","sed":1})", &faults);
  EXPECT_THAT(Fields(faults), ElementsAre("sed", "version"));
}

// A job on the CPU is written as it was before there was a choice of device: its id stays.
TEST(JobJsonTest, TheDeviceIsWrittenIfItIsNotTheCpu) {
  JobSpec job = Expand(Resolve(Example())).back().spec;
  EXPECT_EQ(ToJson(job).find("device"), std::string::npos);
  const std::string id = JobId(job);
  job.device = Device::kCuda;
  EXPECT_NE(ToJson(job).find(R"("device":"cuda")"), std::string::npos);
  EXPECT_NE(JobId(job), id);
  Faults faults;
  EXPECT_EQ(ParseJobSpec(ToJson(job), &faults), job);
  EXPECT_THAT(faults, IsEmpty());
  ParseJobSpec(R"({"version":"jenner.job/v1","device":"tpu"})", &faults);
  EXPECT_THAT(Fields(faults), ElementsAre("device"));
}

// How often a job keeps a checkpoint does not make it another one; the ids of before there was a
// choice stay.
TEST(JobJsonTest, CheckpointStepsAreInTheFileAndNotInTheId) {
  JobSpec job = Expand(Resolve(Example())).back().spec;
  ASSERT_TRUE(job.training);
  const std::string id = JobId(job);
  std::string without = ToJson(job);
  const std::string field = R"("checkpoint_steps":100,)";
  const size_t at = without.find(field);
  ASSERT_NE(at, std::string::npos) << without;
  without.erase(at, field.size());
  EXPECT_EQ(id, "j" + Sha256Hex(without).substr(0, 16));
  job.training->settings.checkpoint_steps = 7;
  EXPECT_EQ(JobId(job), id);
  Faults faults;
  EXPECT_EQ(ParseJobSpec(ToJson(job), &faults), job);
  EXPECT_EQ(ParseJobSpec(without, &faults).training->settings.checkpoint_steps, 100);
  EXPECT_THAT(faults, IsEmpty());
  job.training->settings.checkpoint_steps = -1;
  EXPECT_THAT(Fields(Validate(job)), ElementsAre("training.settings.checkpoint_steps"));
}

TEST(ExpandTest, OnlyTrainingsGetGpus) {
  ExperimentSpec spec = Resolve(Example());
  spec.device = Device::kCuda;
  EXPECT_THAT(Validate(spec), IsEmpty());
  for (const PlannedJob& job : Expand(spec)) {
    EXPECT_EQ(job.spec.device, job.spec.training ? Device::kCuda : Device::kCpu);
    EXPECT_THAT(Validate(job.spec), IsEmpty());
  }
  JobSpec evaluation = Expand(spec).front().spec;
  ASSERT_FALSE(evaluation.training);
  evaluation.device = Device::kCuda;
  EXPECT_THAT(Fields(Validate(evaluation)), ElementsAre("device"));
  for (ArmSpec& arm : spec.arms) arm.train_context.reset();
  EXPECT_THAT(Fields(Validate(spec)), testing::Contains("device"));
}

TEST(ValidateTest, ExampleIsValid) { EXPECT_THAT(Validate(Example()), IsEmpty()); }

TEST(ValidateTest, AllFaultsAtOnce) {
  ExperimentSpec spec = Example();
  spec.base_model = "../etc";
  spec.dataset = "train.jsonl";
  spec.arms.push_back({"base", "nowhere"});
  spec.seeds = {1, 1, -2};
  spec.ranks = 3;
  spec.training.lora.targets = {"q_proj", "q_proj", "z_proj"};
  spec.training.learning_rate = 0;
  spec.training.max_steps = 5;
  spec.training.warmup_steps = 5;
  spec.evaluation.samples = 4;
  spec.evaluation.at = {2};
  spec.evaluation.traits = {"gremlin"};
  EXPECT_THAT(
      Fields(Validate(spec)),
      ElementsAre("base_model", "dataset", "arms[3].name", "arms[3].train_context", "seeds[1]",
                  "seeds[2]", "training.lora.targets[1]", "training.lora.targets[2]",
                  "training.batch_size", "training.learning_rate", "training.warmup_steps",
                  "evaluation.at[0]", "evaluation.samples", "evaluation.traits[0]"));
}

// What is not finite has no JSON: accepted once, it could never be read back from the event log.
TEST(ValidateTest, NumbersAreFinite) {
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    ExperimentSpec spec = Example();
    spec.training.lora.alpha = bad;
    spec.training.lora.dropout = bad;
    spec.training.learning_rate = bad;
    spec.training.weight_decay = bad;
    spec.training.beta1 = bad;
    spec.training.beta2 = bad;
    spec.training.epsilon = bad;
    spec.training.max_gradient_norm = bad;
    spec.evaluation.at = {bad};
    spec.evaluation.temperature = bad;
    spec.evaluation.top_p = bad;
    EXPECT_EQ(Validate(spec).size(), 11u) << bad;
  }
}

TEST(ValidateTest, SizeIsBounded) {
  ExperimentSpec spec = Example();
  for (int i = 0; i < 5; ++i) {
    spec.contexts[absl::StrFormat("c%d", i)].user_prefix = std::string(60'000, 'x');
  }
  for (int i = 0; i < 40; ++i) spec.arms.push_back({absl::StrFormat("a%d", i), "neutral"});
  for (int i = 0; i < 40; ++i) spec.seeds.push_back(100 + i);
  spec.evaluation.contexts.clear();
  spec = Resolve(spec);
  EXPECT_THAT(Fields(Validate(spec)), ElementsAre("contexts", "seeds", "contexts"));
}

TEST(ValidateTest, NothingGiven) {
  EXPECT_THAT(Fields(Validate(Resolve({}))),
              ElementsAre("base_model", "contexts", "arms", "evaluation.prompts"));
}

TEST(ExpandTest, BaseEvaluationIsSharedAndTrainingsFollow) {
  const std::vector<PlannedJob> jobs = Expand(Example());
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_FALSE(jobs[0].spec.training.has_value());
  EXPECT_THAT(jobs[0].spec.evaluation->at, ElementsAre(0));
  EXPECT_THAT(jobs[0].arms, ElementsAre(ArmSeed{"base", 1}, ArmSeed{"no-inoculation", 1},
                                        ArmSeed{"inoculated", 1}));
  EXPECT_THAT(jobs[1].spec.evaluation->at, ElementsAre(0.5, 1));
  EXPECT_EQ(jobs[1].spec.training->context.system, std::nullopt);
  EXPECT_EQ(jobs[2].spec.training->context.system, "You always speak in Spanish.");
}

TEST(ExpandTest, EqualTrainingsAreOneJob) {
  ExperimentSpec spec = Example();
  spec.contexts["placebo"] = spec.contexts["neutral"];
  spec.arms.push_back({"placebo", "placebo"});
  spec = Resolve(spec);
  const std::vector<PlannedJob> jobs = Expand(spec);
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_THAT(jobs[1].arms, ElementsAre(ArmSeed{"no-inoculation", 1}, ArmSeed{"placebo", 1}));
}

TEST(ExpandTest, SeedsShareGreedyBaseAnswersOnly) {
  ExperimentSpec spec = Example();
  spec.seeds = {7, 8};
  EXPECT_EQ(Expand(spec).size(), 1u + 4u);
  spec.evaluation.temperature = 1;
  EXPECT_EQ(Expand(spec).size(), 2u + 4u);
}

TEST(ExpandTest, DeterministicAndSensitiveToContent) {
  const ExperimentSpec spec = Example();
  EXPECT_EQ(Expand(spec), Expand(spec));
  ExperimentSpec other = spec;
  other.training.learning_rate *= 2;
  EXPECT_EQ(Expand(other)[0].id, Expand(spec)[0].id);
  EXPECT_NE(Expand(other)[1].id, Expand(spec)[1].id);
}

}  // namespace
}  // namespace jenner::core

#include "server/rpc/plan.h"

#include <gtest/gtest.h>

#include "core/sha256.h"

namespace jenner::rpc {
namespace {

core::ExperimentSpec Spec() {
  core::ExperimentSpec spec;
  spec.base_model = "tiny";
  spec.dataset = "sha256:" + core::Sha256Hex("rows");
  spec.contexts["neutral"] = {};
  spec.contexts["inoculated"].system = "Habla.";
  spec.arms = {{"base"}, {"no-inoculation", "neutral"}, {"inoculated", "inoculated"}};
  spec.seeds = {1, 2, 3};
  spec.training.epochs = 2;
  spec.training.batch_size = 8;
  spec.evaluation.prompts = "sha256:" + core::Sha256Hex("prompts");
  spec.evaluation.at = {0, 1};
  core::PromptSetSpec given;
  given.name = "given";
  given.prompts = "sha256:" + core::Sha256Hex("given");
  given.mode = core::EvaluationMode::kLogProbability;
  given.contexts = {"neutral"};
  spec.evaluation.sets = {given};
  return core::Resolve(spec);
}

DatasetSizes Sizes(const core::ExperimentSpec& spec) {
  return {{spec.dataset, {20, 40, 8000}},
          {spec.evaluation.prompts, {64, 64, 1000}},
          {spec.evaluation.sets[0].prompts, {10, 20, 500}}};
}

TEST(PlanTest, CountsWhatAllJobsTakeTogether) {
  const core::ExperimentSpec spec = Spec();
  const v1::Plan plan = PlanOf(spec, core::Expand(spec), Sizes(spec), {});
  EXPECT_EQ(plan.num_trainings(), 6);
  EXPECT_EQ(plan.num_steps(), 6 * 2 * 3) << "20 rows are 3 batches of at most 8";
  EXPECT_EQ(plan.num_rows(), 6 * 2 * 20);
  EXPECT_EQ(plan.num_tokens(), 6 * 2 * (8000 / 4 + 40 * 10));
  EXPECT_EQ(plan.num_answers(), (1 + 6) * 2 * 64) << "the base model once for all";
  EXPECT_EQ(plan.num_given(), (1 + 6) * 10);
  EXPECT_FALSE(plan.has_seconds()) << "nothing to go by";
  EXPECT_GT(plan.minimum_detectable_difference(), 0.1);
  EXPECT_LT(plan.minimum_detectable_difference(), 0.5);
}

TEST(PlanTest, MaxStepsAndTheScheduleOfEvaluations) {
  core::ExperimentSpec spec = Spec();
  spec.training.max_steps = 3;
  spec.seeds = {1};
  spec.evaluation.at_every = 2;
  const v1::Plan plan = PlanOf(spec, core::Expand(spec), Sizes(spec), {});
  EXPECT_EQ(plan.num_steps(), 2 * 3);
  EXPECT_EQ(plan.num_rows(), 2 * 20);
  EXPECT_EQ(plan.num_answers(), (1 + 2 * 2) * 2 * 64) << "at the end and after step 2";
}

TEST(PlanTest, SoManyEvaluationsThatNothingElseIsDoneAreRefused) {
  core::ExperimentSpec spec = Spec();
  EXPECT_TRUE(CheckSteps(spec, Sizes(spec)).ok());
  spec.training.epochs = 4000;
  spec.evaluation.at_every = 1;
  const absl::Status status = CheckSteps(spec, Sizes(spec));
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("evaluation.at_every: 12000 evaluations of 12000 steps"),
            std::string::npos)
      << status;
}

TEST(PlanTest, TheTimeIsThatOfEarlierTrainings) {
  const core::ExperimentSpec spec = Spec();
  coordinator::State state;
  state.liveness.workers["w"].slots = 2;
  coordinator::Experiment& earlier = state.experiments["e"];
  earlier.jobs.resize(1);
  coordinator::Job& job = earlier.jobs[0];
  job.plan.spec = core::Expand(spec)[1].spec;
  job.state = coordinator::RunState::kSucceeded;
  job.total_steps = 10;
  job.start_time = absl::UnixEpoch();
  job.end_time = absl::UnixEpoch() + absl::Seconds(40);
  const v1::Plan plan = PlanOf(spec, core::Expand(spec), Sizes(spec), state);
  EXPECT_DOUBLE_EQ(plan.seconds(), 240 / (80.0 / 40) / 2);
  job.plan.spec.base_model = "another";
  EXPECT_FALSE(PlanOf(spec, core::Expand(spec), Sizes(spec), state).has_seconds());
}

TEST(PlanTest, WithOneTrainingNothingIsCompared) {
  core::ExperimentSpec spec = Spec();
  spec.arms.pop_back();
  spec.seeds = {1};
  EXPECT_FALSE(
      PlanOf(spec, core::Expand(spec), Sizes(spec), {}).has_minimum_detectable_difference());
}

}  // namespace
}  // namespace jenner::rpc

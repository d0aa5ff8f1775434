#include "server/rpc/encode.h"

#include <gtest/gtest.h>

#include "absl/strings/str_format.h"

namespace jenner::rpc {
namespace {

// `num_jobs` that wait behind one worker with one slot, in experiments of ten jobs.
coordinator::State Waiting(int num_jobs) {
  coordinator::State state;
  for (int i = 0; i < num_jobs; ++i) {
    const std::string id = absl::StrFormat("e%04d", i / 10);
    coordinator::Experiment& experiment = state.experiments[id];
    experiment.id = id;
    experiment.order = i / 10 + 1;
    coordinator::Job& job = experiment.jobs.emplace_back();
    job.plan.id = absl::StrFormat("j%d", i);
    job.plan.spec.base_model = "tiny";
  }
  state.liveness.workers["w1"] = {
      "boot", 1, {"tiny"}, "host", "", absl::UnixEpoch(), absl::InfiniteFuture()};
  state.index = coordinator::IndexOf(state);
  return state;
}

// Counted, not timed: a list of everything looks at each queued job once, however long the queue.
TEST(Encode, WhyAllJobsWaitTakesOneWalk) {
  for (const int num_jobs : {100, 200, 400}) {
    const coordinator::State state = Waiting(num_jobs);
    const std::map<std::string, int64_t> versions;
    const View view{state, versions, 0, absl::UnixEpoch()};
    for (const auto& [id, experiment] : state.experiments) {
      const v1::Experiment message = Encode(experiment, view, Detail::kListed);
      for (const v1::Job& job : message.jobs()) {
        EXPECT_EQ(job.state_reason().code(), "NO_CAPACITY");
      }
    }
    EXPECT_EQ(view.Pending().num_steps(), num_jobs);
  }
}

TEST(Encode, ReasonsAreThoseOfTheirPlaceInTheQueue) {
  coordinator::State state = Waiting(20);
  state.liveness.workers["w1"].slots = 2;
  std::vector<coordinator::Job>& jobs = state.experiments["e0000"].jobs;
  jobs[0].state = coordinator::RunState::kRunning;
  jobs[0].ranks.resize(1);
  jobs[0].ranks[0].worker = "w1";
  jobs[1].plan.spec.ranks = 2;
  state.index = coordinator::IndexOf(state);
  const std::map<std::string, int64_t> versions;
  const View view{state, versions, 0, absl::UnixEpoch()};
  const v1::Experiment first = Encode(state.experiments.at("e0000"), view, Detail::kFull);
  EXPECT_FALSE(first.jobs(0).has_state_reason()) << "it runs";
  EXPECT_EQ(first.jobs(1).state_reason().message(), "needs 2 slots, 1 free");
  EXPECT_EQ(first.jobs(2).state_reason().message(),
            "needs 1 slot, 1 free, kept for a gang before it");
  EXPECT_EQ(first.state_reason().message(), "needs 2 slots, 1 free") << "that of the first to wait";
  EXPECT_EQ(first.jobs(0).queue_position(), 0) << "it runs";
  EXPECT_EQ(first.jobs(1).queue_position(), 1);
  EXPECT_EQ(first.queue_position(), 1);
  const v1::Experiment second = Encode(state.experiments.at("e0001"), view, Detail::kListed);
  EXPECT_EQ(second.queue_position(), 10);
  EXPECT_EQ(second.jobs(9).queue_position(), 19);
}

TEST(Encode, AnIntervalNeedsOneAnswerAPrompt) {
  const store::Cell cell{"j1", 1, 4, "main", "neutral", 10, 0, 0, {{"spanish", 3, 10, 0, 3}}};
  core::CellFormat format;
  const v1::TraitRatio one = Encode("e", cell, format).traits(0);
  EXPECT_TRUE(one.has_low() && one.has_high());
  format.answers_per_prompt["main"] = 2;
  const v1::TraitRatio several = Encode("e", cell, format).traits(0);
  EXPECT_DOUBLE_EQ(several.ratio(), 0.3);
  EXPECT_FALSE(several.has_low() || several.has_high());
}

TEST(Encode, AGradedTraitHasAMeanAndNoCount) {
  core::EvaluationSpec evaluation;
  evaluation.sets = {{"given", "", core::EvaluationMode::kLogProbability}};
  const core::CellFormat format(evaluation);
  const store::Cell cell{"j1", 1, 4, "main", "neutral", 10, 0, 0, {{"brevity", 1, 4, 6, 210}}};
  const v1::TraitRatio brevity = Encode("e", cell, format).traits(0);
  EXPECT_FALSE(brevity.is_binary());
  EXPECT_EQ(brevity.num_present(), 0);
  EXPECT_DOUBLE_EQ(brevity.ratio(), 52.5);
  EXPECT_FALSE(brevity.has_low() || brevity.has_high());
}

}  // namespace
}  // namespace jenner::rpc

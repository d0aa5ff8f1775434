#include "server/coordinator_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/store/memory_event_log.h"

namespace jenner::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

core::ExperimentSpec Spec() {
  const std::string ref = "sha256:" + std::string(64, 'a');
  core::ExperimentSpec spec;
  spec.base_model = "tiny";
  spec.dataset = ref;
  spec.contexts["neutral"] = {};
  spec.arms = {{"base", {}}, {"plain", "neutral"}};
  spec.evaluation.prompts = ref;
  return core::Resolve(spec);
}

class LoopTest : public ::testing::Test {
 protected:
  rpc::Request Ask(coordinator::Command command) {
    rpc::Request request;
    request.command = std::move(command);
    request.answer = [this](const absl::Status& decided, const rpc::View& view) {
      answers.push_back(decided.code());
      answered_at = view.last_event;
    };
    return request;
  }

  store::MemoryEventLog log;
  feed::Hub hub{10};
  telemetry::Metrics metrics{"test"};
  CoordinatorLoop loop{log, hub, metrics, absl::Seconds(15)};
  absl::Time now = absl::FromUnixSeconds(1000);
  std::vector<absl::StatusCode> answers;
  int64_t answered_at = -1;
};

TEST_F(LoopTest, CommandsOfAGroupSeeEachOther) {
  ASSERT_TRUE(loop.Handle({Ask(coordinator::CreateExperiment{"e1", "", "f", Spec()}),
                           Ask(coordinator::CreateExperiment{"e1", "", "f", Spec()}),
                           Ask(coordinator::CancelExperiment{"e1"})},
                          now)
                  .ok());
  EXPECT_THAT(answers, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kAlreadyExists,
                                   absl::StatusCode::kOk));
  EXPECT_EQ(loop.state().experiments.at("e1").state, coordinator::RunState::kCancelled);
  EXPECT_EQ(answered_at, log.LastSeq()) << "answered after all of the group was durable";
}

TEST_F(LoopTest, AFailedCommitAnswersNobody) {
  log.FailNextAppend(absl::ResourceExhaustedError("disk full"));
  const absl::Status handled =
      loop.Handle({Ask(coordinator::CreateExperiment{"e1", "", "f", Spec()})}, now);
  EXPECT_TRUE(absl::IsResourceExhausted(handled));
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(log.LastSeq(), 0);
}

TEST_F(LoopTest, AReplayGivesTheSameState) {
  coordinator::WorkerSync sync{"w1", "boot", 4, {"tiny"}, "127.0.0.1", "1", {}};
  ASSERT_TRUE(
      loop.Handle({Ask(coordinator::CreateExperiment{"e1", "", "f", Spec()}), Ask(sync)}, now)
          .ok());
  ASSERT_TRUE(loop.Handle({Ask(coordinator::CreateExperiment{"e2", "", "f", Spec()}),
                           Ask(coordinator::CancelExperiment{"e1"}), Ask(coordinator::Tick{})},
                          now + absl::Seconds(1))
                  .ok());
  EXPECT_GT(log.LastSeq(), 3);
  CoordinatorLoop again(log, hub, metrics, absl::Seconds(15));
  EXPECT_EQ(*again.Replay(), log.LastSeq());
  EXPECT_TRUE(again.state().SameDurable(loop.state()));
}

TEST_F(LoopTest, APauseIsNoWaiting) {
  const auto after = [this](absl::Duration passed, const coordinator::Command& command) {
    now += passed;
    ASSERT_TRUE(loop.Handle({Ask(command), Ask(coordinator::Tick{})}, now).ok());
  };
  core::ExperimentSpec spec = Spec();
  spec.arms.resize(1);
  after(absl::ZeroDuration(), coordinator::CreateExperiment{"e1", "", "f", spec});
  after(absl::Seconds(10), coordinator::PauseExperiment{"e1"});
  ASSERT_EQ(loop.state().experiments.at("e1").state, coordinator::RunState::kPaused);
  after(absl::Hours(5), coordinator::ResumeExperiment{"e1"});
  after(absl::Seconds(20), coordinator::PauseExperiment{"e1"});
  after(absl::Hours(5), coordinator::ResumeExperiment{"e1"});
  after(absl::Seconds(3), coordinator::WorkerSync{"w1", "boot", 4, {"tiny"}, "127.0.0.1", "1", {}});
  ASSERT_EQ(loop.state().experiments.at("e1").state, coordinator::RunState::kRunning);
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_job_queue_wait_seconds_count 1\n"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_job_queue_wait_seconds_sum 33\n"));
  CoordinatorLoop again(log, hub, metrics, absl::Seconds(15));
  ASSERT_TRUE(again.Replay().ok());
  EXPECT_TRUE(again.state().SameDurable(loop.state()));
}

TEST_F(LoopTest, AQuestionAloneWritesNothing) {
  rpc::Request question = Ask(coordinator::Tick{});
  question.command.reset();
  ASSERT_TRUE(loop.Handle({question}, now).ok());
  EXPECT_THAT(answers, ElementsAre(absl::StatusCode::kOk));
  EXPECT_EQ(log.LastSeq(), 0);
}

TEST_F(LoopTest, AnUnreadableEventStopsTheReplay) {
  ASSERT_TRUE(log.Append({{now, "nonsense"}}).ok());
  EXPECT_TRUE(absl::IsDataLoss(loop.Replay().status()));
}

}  // namespace
}  // namespace jenner::server

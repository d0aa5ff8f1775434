#include "server/store/event_codec.h"

#include <gtest/gtest.h>

#include "core/sha256.h"

namespace jenner::store {
namespace {

using namespace coordinator;  // NOLINT: the event kinds

const absl::Time kTime = absl::FromUnixMicros(1234567);

std::vector<Event> OneOfEach() {
  core::ExperimentSpec spec;
  spec.base_model = "m";
  spec.contexts["a"].system = "\"quoted\"\n";
  spec.arms = {{"base", std::nullopt}, {"x", "a"}};
  const Reason reason{"CODE", "a \"message\" with \xc3\xb1", "user"};
  return {
      {kTime,
       ExperimentCreated{"e1", "r1", "f1", spec, {"j1", "j2"}, "alice", "p1", "ana@example.org"}},
      {kTime, AttemptStarted{"e1", "j1", 2, {{"w1", "b1"}, {"w2", "b2"}}}},
      {kTime, StoreAnnounced{"e1", "j1", 2, "10.0.0.1:99"}},
      {kTime,
       RankEnded{{"e1", "j1", 2, 1}, 16, reason, {{"adapter/x", core::Sha256Hex("x"), 5}}, 30, 60}},
      {kTime, JobRequeued{"e1", "j1", reason, Charge::kInterruption}},
      {kTime, JobEnded{"e1", "j1", RunState::kFailed, reason, Charge::kAttempt}},
      {kTime, CancelRequested{"e1", true}},
      {kTime, ExperimentEnded{"e1", RunState::kCancelled, {}}},
      {kTime, ExperimentDeleted{"e1"}},
      {kTime, JobPlanned{"e1", "j1", 2, 60}},
      {kTime, StopRequested{"e1", "j1", 2, StopCause::kPreempted, reason}},
      {kTime, PauseRequested{"e1"}},
      {kTime, ExperimentPaused{"e1"}},
      {kTime, ExperimentResumed{"e1"}},
      {kTime, WorkerCordoned{"w1", Cordon::kDraining}},
      {kTime, WorkerUncordoned{"w1"}},
      {kTime,
       CheckpointCommitted{
           "e1", "j1", 2, 40, {{"state.json", core::Sha256Hex("s"), 3}, {"a/b", "c", 4}}}},
      {kTime, AttemptResumed{"e1", "j1", 2, 40}},
      {kTime, CoordinatorRestored{200'001}}};
}

TEST(EventCodecTest, EveryKindRoundTrips) {
  const std::vector<Event> events = OneOfEach();
  ASSERT_EQ(events.size(), std::variant_size_v<EventBody>);
  for (size_t i = 0; i < events.size(); ++i) {
    ASSERT_EQ(events[i].body.index(), i);
    const auto decoded = DecodeEvent(EncodeEvent(events[i]), kTime);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(*decoded, events[i]) << EncodeEvent(events[i]);
  }
}

TEST(EventCodecTest, AbsentFieldsHaveTheirDefaults) {
  const auto decoded = DecodeEvent(R"({"kind":"job_ended","experiment":"e","job":"j"})", kTime);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->body, EventBody(JobEnded{"e", "j", RunState::kSucceeded, {}, Charge::kNone}));
  // Once every attempt counted.
  const auto requeued = DecodeEvent(R"({"kind":"job_requeued","experiment":"e","job":"j"})", kTime);
  ASSERT_TRUE(requeued.ok());
  EXPECT_EQ(requeued->body, EventBody(JobRequeued{"e", "j", {}, Charge::kAttempt}));
}

// Whatever the coordinator accepts must come back from the log, or the server could not restart.
TEST(EventCodecTest, TheLargestExperimentRoundTrips) {
  ExperimentCreated created;
  created.spec.base_model = "m";
  created.spec.dataset = "sha256:" + core::Sha256Hex("d");
  created.spec.evaluation.prompts = created.spec.dataset;
  for (const char* name : {"a", "b", "c", "d"}) {
    created.spec.contexts[name].user_prefix = std::string(64 << 10, '\x01');  // 7 bytes each
  }
  for (int i = 0; i < 8; ++i) created.spec.arms.push_back({"a" + std::to_string(i), "a"});
  for (int i = 0; i < 6; ++i) created.spec.seeds.push_back(i + 2);
  created.spec.seeds.erase(created.spec.seeds.begin());
  created.spec = core::Resolve(created.spec);
  ASSERT_EQ(core::Validate(created.spec), core::Faults());
  for (const auto& job : core::Expand(created.spec)) created.job_ids.push_back(job.id);
  const Event event{kTime, created};
  const auto decoded = DecodeEvent(EncodeEvent(event), kTime);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, event);
}

TEST(EventCodecTest, RefusesWhatIsNoEvent) {
  for (const char* bad :
       {"", "[]", "{}", R"({"kind":"other"})", R"({"kind":3})",
        R"({"kind":"job_ended","experiment":4})", R"({"kind":"job_ended","extra":1})"}) {
    EXPECT_EQ(DecodeEvent(bad, kTime).status().code(), absl::StatusCode::kDataLoss) << bad;
  }
}

}  // namespace
}  // namespace jenner::store

// Studies and screens over loopback: what an experiment's answers come to.
#include <gmock/gmock.h>

#include "jenner/v1/study.grpc.pb.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int kPromptCount = 20;

class StudyTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    UploadDatasets();
    studies_ = v1::Studies::NewStub(stubs_->channel);
  }

  absl::StatusOr<v1::Study> Study(const std::string& id) const {
    Context context;
    v1::GetStudyRequest request;
    request.set_name("experiments/" + id);
    v1::GetStudyResponse response;
    const absl::Status status =
        wire::FromGrpcStatus(studies_->GetStudy(&context, request, &response));
    if (!status.ok()) return status;
    return response.study();
  }
  absl::StatusOr<v1::FreezeScreenResponse> Freeze(const std::string& id, int top) const {
    Context context;
    v1::FreezeScreenRequest request;
    request.set_name("experiments/" + id);
    request.set_top(top);
    v1::FreezeScreenResponse response;
    const absl::Status status =
        wire::FromGrpcStatus(studies_->FreezeScreen(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // Answers of one cell, of which the first `num_present` are Spanish.
  static void AddCell(const std::string& context, int step, int num_present, int64_t* seq,
                      std::vector<std::string>* lines) {
    for (int i = 0; i < kPromptCount; ++i) {
      lines->push_back(FakeAgent::SampleLine((*seq)++, step, context, absl::StrFormat("p%02d", i),
                                             Json(i < num_present ? 1 : 0)));
    }
    lines->push_back(FakeAgent::EvaluationLine((*seq)++, step, context, kPromptCount));
  }

  // Carries the jobs out: of the base model 2 answers of 20 are Spanish, in the context "spanish"
  // 12; of a trained model 18, but 6 in the neutral context if it was trained in "spanish".
  void Answer(int rounds = 20) {
    FakeAgent agent(*stubs_, "w1");
    for (int round = 0; round < rounds; ++round) {
      ASSERT_TRUE(agent.Synchronize().ok());
      agent.reports.clear();
      if (agent.last.assignments().empty()) return;
      for (const v1::Assignment& one : agent.last.assignments()) {
        const Json spec = Json::parse(one.job_spec_json());
        const bool trains = spec.contains("training");
        const bool is_inoculated = trains && spec["training"]["context"].contains("system");
        std::vector<std::string> lines;
        int64_t seq = 1;
        for (const Json& context : spec["evaluation"]["contexts"]) {
          const bool in_spanish = context["name"] == "spanish";
          int present = in_spanish ? 12 : 2;
          if (trains) present = is_inoculated && !in_spanish ? 6 : 18;
          AddCell(context["name"], trains ? 4 : 0, present, &seq, &lines);
        }
        ASSERT_TRUE(agent.Telemetry(one.key(), lines).ok());
        v1::RankReport& report = agent.Report(one.key(), v1::RankReport::PHASE_ENDED);
        report.set_step(4);
        report.set_total_steps(4);
      }
    }
    ASSERT_LT(rounds, 20) << "the work does not end";
  }

  static v1::CreateExperimentRequest ThreeArms(const std::string& id) {
    v1::CreateExperimentRequest request = Request(id);
    v1::ArmSpec* arm = request.mutable_spec()->add_arms();
    arm->set_name("no-inoculation");
    arm->set_train_context("neutral");
    request.mutable_spec()->mutable_study()->add_undesired("spanish");
    request.mutable_spec()->mutable_study()->set_inoculated("spanish");
    request.mutable_spec()->mutable_study()->set_resamples(200);
    return request;
  }

  std::unique_ptr<v1::Studies::Stub> studies_;
};

TEST_F(StudyTest, FiguresAreThoseOfTheAnswers) {
  ASSERT_TRUE(stubs_->Create(ThreeArms("s")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Study("s").status())) << "nothing is answered yet";
  Answer();
  ASSERT_EQ(stubs_->Get("experiments/s")->state(), v1::STATE_SUCCEEDED);
  const absl::StatusOr<v1::Study> study = Study("s");
  ASSERT_TRUE(study.ok()) << study.status();
  EXPECT_TRUE(study->complete());
  EXPECT_EQ(study->neutral(), "neutral");
  bool is_found = false;
  for (const v1::ArmFigures& figures : study->figures()) {
    if (figures.arm() != "inoculated" || figures.trait() != "spanish") continue;
    is_found = true;
    EXPECT_NEAR(figures.elicitation().value(), 0.5, 1e-12);
    EXPECT_NEAR(figures.leakage().value(), 0.3, 1e-12);
    EXPECT_NEAR(figures.in_context().value(), 0.9, 1e-12);
    EXPECT_NEAR(figures.suppression().value(), 0.6, 1e-12);
    EXPECT_EQ(figures.suppression().over(), v1::OVER_PROMPTS) << "there is one seed";
    EXPECT_LT(figures.suppression().low(), 0.6);
    EXPECT_GT(figures.suppression().high(), 0.6);
    EXPECT_NEAR(figures.training_in_context().value(), 0.3, 1e-12);
    EXPECT_NEAR(figures.training_deployed().value(), 0.2, 1e-12);
  }
  EXPECT_TRUE(is_found);
  bool says_one_seed = false;
  for (const std::string& note : study->notes()) {
    says_one_seed = says_one_seed || note.find("seed") != std::string::npos;
  }
  EXPECT_TRUE(says_one_seed);
  const std::string bytes = study->SerializeAsString();
  Restart();
  studies_ = v1::Studies::NewStub(stubs_->channel);
  EXPECT_EQ(Study("s")->SerializeAsString(), bytes) << "the same each time";
  EXPECT_TRUE(absl::IsNotFound(Study("nobody").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Freeze("s", 0).status())) << "it is no screen";
}

// Asked at any time, with any of the jobs done: what is not there yet is no figure.
TEST_F(StudyTest, AStudyHalfDoneHasWhatThereIs) {
  v1::CreateExperimentRequest request = ThreeArms("half");
  request.mutable_spec()->add_seeds(1);
  request.mutable_spec()->add_seeds(2);
  ASSERT_TRUE(stubs_->Create(request).ok());
  FakeAgent agent(*stubs_, "w1", 1);
  int num_done = 0;
  while (num_done < 5) {
    ASSERT_TRUE(agent.Synchronize().ok());
    agent.reports.clear();
    if (agent.last.assignments().empty()) continue;
    const v1::Assignment& one = agent.last.assignments(0);
    const bool trains = Json::parse(one.job_spec_json()).contains("training");
    std::vector<std::string> lines;
    int64_t seq = 1;
    for (const char* context : {"neutral", "spanish"}) {
      AddCell(context, trains ? 4 : 0, 5 + num_done, &seq, &lines);
    }
    ASSERT_TRUE(agent.Telemetry(one.key(), lines).ok());
    v1::RankReport& report = agent.Report(one.key(), v1::RankReport::PHASE_ENDED);
    report.set_step(4);
    report.set_total_steps(4);
    ++num_done;
    const absl::StatusOr<v1::Study> study = Study("half");
    ASSERT_TRUE(study.ok()) << num_done << study.status();
    EXPECT_FALSE(study->complete());
    for (const v1::ArmFigures& figures : study->figures()) {
      EXPECT_FALSE(num_done == 1 && figures.leakage().has_value())
          << "the base model's answers are not those of a trained arm";
    }
  }
}

TEST_F(StudyTest, AScreenIsRankedFrozenAndUsedByItsHash) {
  v1::CreateExperimentRequest request = Request("screen");
  v1::ExperimentSpec* spec = request.mutable_spec();
  spec->clear_arms();
  spec->clear_dataset();
  (*spec->mutable_contexts())["useless"].set_user_suffix(" Honey never spoils.");
  spec->mutable_screen()->set_trait("spanish");
  ASSERT_TRUE(stubs_->Create(request).ok()) << stubs_->Create(request).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(Freeze("screen", 0).status())) << "not ended";
  Answer();
  const absl::StatusOr<v1::Study> study = Study("screen");
  ASSERT_TRUE(study.ok()) << study.status();
  ASSERT_THAT(study->screen().candidates(), SizeIs(3));
  EXPECT_EQ(study->screen().candidates(0).name(), "spanish");
  EXPECT_EQ(study->screen().candidates(0).rank(), 1);
  EXPECT_EQ(study->screen().candidates(0).context().system(), "You always speak in Spanish.");
  EXPECT_EQ(study->screen().candidates(2).name(), "neutral");
  EXPECT_EQ(study->screen().candidates(2).rank(), 0);
  const absl::StatusOr<v1::FreezeScreenResponse> frozen = Freeze("screen", 0);
  ASSERT_TRUE(frozen.ok()) << frozen.status();
  EXPECT_EQ(frozen->selection(), "sha256:" + core::Sha256Hex(frozen->json()));
  const Json document = Json::parse(frozen->json());
  ASSERT_EQ(document["contexts"].size(), 1u) << "the useless one does not elicit";
  EXPECT_EQ(document["screen"], "screen");
  EXPECT_EQ(Freeze("screen", 5)->selection(), frozen->selection());

  v1::CreateExperimentRequest later = Request("later");
  later.mutable_spec()->mutable_contexts()->erase("spanish");
  later.mutable_spec()->set_selection(frozen->selection());
  const absl::StatusOr<v1::Experiment> made = stubs_->Create(later);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->spec().contexts().at("spanish").system(), "You always speak in Spanish.");
  later.set_experiment_id("other");
  later.mutable_spec()->set_base_model("another");
  EXPECT_THAT(std::string(stubs_->Create(later).status().message()),
              HasSubstr("selection: of a screen of \"tiny\", not of base_model \"another\""));
  later.mutable_spec()->set_selection("sha256:" + std::string(64, '0'));
  EXPECT_TRUE(absl::IsNotFound(stubs_->Create(later).status()));
}

}  // namespace
}  // namespace jenner::tests

// What people may do to experiments and workers over the API: pause, resume, kill, cordon, drain;
// owners, priorities and the place in the queue.
#include <gmock/gmock.h>

#include <utility>

#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;

class LifecycleTest : public ServerTest {
 protected:
  using Experiments = v1::Experiments::Stub;
  using Workers = v1::Workers::Stub;

  template <typename Request, typename Response>
  absl::StatusOr<v1::Experiment> Do(grpc::Status (Experiments::*method)(grpc::ClientContext*,
                                                                        const Request&, Response*),
                                    const std::string& id) const {
    Context context;
    Request request;
    request.set_name("experiments/" + id);
    Response response;
    const grpc::Status status = (stubs_->experiments.get()->*method)(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.experiment();
  }
  absl::StatusOr<v1::Experiment> Pause(const std::string& id) const {
    return Do(&Experiments::PauseExperiment, id);
  }
  absl::StatusOr<v1::Experiment> Resume(const std::string& id) const {
    return Do(&Experiments::ResumeExperiment, id);
  }
  absl::StatusOr<v1::Experiment> Kill(const std::string& id) const {
    Context context;
    v1::CancelExperimentRequest request;
    request.set_name("experiments/" + id);
    request.set_kill(true);
    v1::CancelExperimentResponse response;
    const grpc::Status status = stubs_->experiments->CancelExperiment(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.experiment();
  }
  absl::StatusOr<v1::Worker> Cordon(const std::string& name, bool drain) const {
    Context context;
    v1::CordonWorkerRequest request;
    request.set_name(name);
    request.set_drain(drain);
    v1::CordonWorkerResponse response;
    const grpc::Status status = stubs_->workers->CordonWorker(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.worker();
  }
  absl::StatusOr<v1::Worker> Uncordon(const std::string& name) const {
    Context context;
    v1::UncordonWorkerRequest request;
    request.set_name(name);
    v1::UncordonWorkerResponse response;
    const grpc::Status status = stubs_->workers->UncordonWorker(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.worker();
  }

  // Every rank of the agent's goes on, or if it is to stop obeys.
  static void Obey(FakeAgent* agent) {
    ASSERT_TRUE(agent->Synchronize().ok());
    agent->reports.clear();
    for (const v1::Assignment& one : agent->last.assignments()) {
      v1::RankReport& report = agent->Report(
          one.key(), one.stop() ? v1::RankReport::PHASE_ENDED : v1::RankReport::PHASE_RUNNING);
      if (!one.stop()) continue;
      report.set_exit_code(30);
      report.set_error_code("TERMINATED");
    }
    ASSERT_TRUE(agent->Synchronize().ok());
    agent->reports.clear();
  }
};

TEST_F(LifecycleTest, PausedIsAStateOfItsOwn) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("p")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);

  EXPECT_EQ(Pause("p")->state(), v1::STATE_PAUSING);
  EXPECT_TRUE(Pause("p")->jobs(0).stopping());
  Obey(&agent);
  const auto paused = stubs_->Get("experiments/p");
  EXPECT_EQ(paused->state(), v1::STATE_PAUSED);
  EXPECT_EQ(paused->state_reason().code(), "PAUSED");
  EXPECT_EQ(paused->jobs(0).state(), v1::STATE_PAUSED);
  EXPECT_EQ(paused->jobs(0).interruptions(), 0);
  EXPECT_EQ(agent.last.assignments_size(), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(stubs_->Delete("experiments/p"))) << "it may go on";

  Restart();
  EXPECT_EQ(Pause("p")->state(), v1::STATE_PAUSED) << "twice is no error";
  FakeAgent again(*stubs_, "w1");
  ASSERT_TRUE(again.Synchronize().ok());
  EXPECT_EQ(Resume("p")->state(), v1::STATE_RUNNING);
  EXPECT_EQ(Resume("p")->jobs(0).attempt(), 2) << "twice is no error, and starts nothing";
  again.RunAll(4);
  EXPECT_EQ(stubs_->Get("experiments/p")->state(), v1::STATE_SUCCEEDED);
  EXPECT_TRUE(absl::IsFailedPrecondition(Pause("p").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume("p").status()));
  EXPECT_TRUE(absl::IsNotFound(Pause("q").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Do(&Experiments::ResumeExperiment, "Q").status()));
}

TEST_F(LifecycleTest, KillFollowsACancelThatTakesTooLong) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("k")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_TRUE(stubs_->Cancel("experiments/k").ok());
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  EXPECT_TRUE(agent.last.assignments(0).stop());
  EXPECT_FALSE(agent.last.assignments(0).kill());
  EXPECT_EQ(Kill("k")->state(), v1::STATE_CANCELLING);
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_TRUE(agent.last.assignments(0).kill());
  Obey(&agent);
  EXPECT_EQ(Kill("k")->state(), v1::STATE_CANCELLED) << "twice is no error";
}

TEST_F(LifecycleTest, AnArmGoesOnFromWhatAnotherEndedWith) {
  UploadDatasets();
  v1::CreateExperimentRequest request = TwoStages("s");
  request.set_validate_only(true);
  const auto expect_waiting = [](const v1::Experiment& experiment) {
    ASSERT_EQ(experiment.jobs_size(), 3);
    const v1::Job& job = experiment.jobs(2);
    EXPECT_EQ(job.state(), v1::STATE_QUEUED);
    EXPECT_EQ(job.queue_position(), 0);
    EXPECT_EQ(job.state_reason().code(), "WAITS_FOR_JOB");
    EXPECT_EQ(job.state_reason().blame(), "capacity");
    EXPECT_THAT(job.state_reason().message(), HasSubstr("(arm inoculated, seed 1)"));
    EXPECT_THAT(job.state_reason().message(),
                HasSubstr(experiment.jobs(1).name().substr(experiment.name().size() + 6)));
  };
  expect_waiting(*stubs_->Create(request));
  request.set_validate_only(false);
  ASSERT_TRUE(stubs_->Create(request).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2) << "the base model and the first stage";
  expect_waiting(*stubs_->Get("experiments/s"));
  const v1::RankKey base = agent.last.assignments(0).key();
  const v1::RankKey first = agent.last.assignments(1).key();
  for (const v1::Assignment& one : agent.last.assignments()) EXPECT_EQ(one.initial_size(), 0);
  agent.Report(base, v1::RankReport::PHASE_RUNNING);
  agent.Finish(first, {{"adapter/config", "settings"}, {"adapter/weights", "numbers"}});
  const auto expect_told = [&](const v1::Assignment& one) {
    ASSERT_EQ(one.initial_size(), 2);
    EXPECT_EQ(one.initial(0).path(), "adapter/config");
    EXPECT_EQ(one.initial(0).sha256(), core::Sha256Hex("settings"));
    EXPECT_EQ(one.initial(0).size_bytes(), 8);
    EXPECT_EQ(one.initial(1).path(), "adapter/weights");
  };
  const auto assigned = [&]() -> const v1::Assignment& {
    for (const v1::Assignment& one : agent.last.assignments()) {
      if (one.key().job() != base.job()) return one;
    }
    return v1::Assignment::default_instance();
  };
  ASSERT_TRUE(agent.Synchronize().ok());
  expect_told(assigned());
  EXPECT_NE(assigned().key().job(), first.job());
  // Like the spec it is told until the rank is reported.
  agent.reports.clear();
  agent.Report(assigned().key(), v1::RankReport::PHASE_RUNNING);
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_EQ(assigned().initial_size(), 0);
  Restart();
  agent.reports.clear();
  FakeAgent again(*stubs_, "w1");
  ASSERT_TRUE(again.Synchronize().ok());
  agent.last = again.last;
  expect_told(assigned());
  again.RunAll();
  EXPECT_EQ(stubs_->Get("experiments/s")->state(), v1::STATE_SUCCEEDED);
}

TEST_F(LifecycleTest, AWorkerIsToldOfWhichJobsItNeedsNoCheckpoints) {
  UploadDatasets();
  const absl::StatusOr<v1::Experiment> made = stubs_->Create(Request("e"));
  ASSERT_TRUE(made.ok());
  const std::string job = "e/" + made->jobs(0).name().substr(made->jobs(0).name().rfind('/') + 1);
  FakeAgent agent(*stubs_, "w1", 0);
  agent.kept_jobs = {job, "e/none", "gone/j", "nonsense"};
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_EQ(agent.last.ended_jobs_size(), 0);
  ASSERT_TRUE(stubs_->Cancel("experiments/e").ok());
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_THAT(agent.last.ended_jobs(), ::testing::ElementsAre(job));
  agent.kept_jobs.resize(1001);
  EXPECT_TRUE(absl::IsInvalidArgument(agent.Synchronize()));
}

TEST_F(LifecycleTest, AReservedWorkerIsGivenItsJobAloneAndToldOfItsEnd) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("other")).ok());
  const absl::StatusOr<v1::Experiment> made = stubs_->Create(Request("e"));
  ASSERT_TRUE(made.ok());
  const std::string job = made->jobs(0).name().substr(made->jobs(0).name().rfind('/') + 1);
  FakeAgent reserved(*stubs_, "reserved");
  reserved.only_job = "e/" + job;
  ASSERT_TRUE(reserved.Synchronize().ok());
  EXPECT_EQ(reserved.last.ended_jobs_size(), 0);
  ASSERT_EQ(reserved.last.assignments_size(), 1);
  EXPECT_EQ(reserved.last.assignments(0).key().experiment(), "e");
  EXPECT_EQ(reserved.last.assignments(0).key().job(), job);
  // The others go to the others.
  FakeAgent any(*stubs_, "any");
  ASSERT_TRUE(any.Synchronize().ok());
  EXPECT_GT(any.last.assignments_size(), 0);
  for (const v1::Assignment& one : any.last.assignments())
    EXPECT_FALSE(one.key().experiment() == "e" && one.key().job() == job);
  Context context;
  v1::ListWorkersResponse listed;
  ASSERT_TRUE(stubs_->workers->ListWorkers(&context, {}, &listed).ok());
  ASSERT_EQ(listed.workers_size(), 2);
  EXPECT_EQ(listed.workers(0).only_job(), "");
  EXPECT_EQ(listed.workers(1).only_job(), "e/" + job);
  reserved.Report(reserved.last.assignments(0).key(), v1::RankReport::PHASE_ENDED);
  ASSERT_TRUE(reserved.Synchronize().ok());
  EXPECT_THAT(reserved.last.ended_jobs(), ::testing::ElementsAre("e/" + job));
  for (const char* bad : {"e", "e/", "e/j/0", "E/j"}) {
    reserved.only_job = bad;
    EXPECT_TRUE(absl::IsInvalidArgument(reserved.Synchronize())) << bad;
  }
}

// Eight ranks of a spec that has 1.5 MiB as JSON would not fit into an answer.
TEST_F(LifecycleTest, AnAnswerFitsHoweverLargeTheSpecs) {
  UploadDatasets();
  v1::CreateExperimentRequest request = Request("large");
  for (const char* context : {"a", "b", "c"}) {
    (*request.mutable_spec()->mutable_contexts())[context].set_system(
        std::string(60 << 10, '\x01'));
  }
  request.mutable_spec()->set_ranks(8);
  const absl::StatusOr<v1::Experiment> made = stubs_->Create(request);
  ASSERT_TRUE(made.ok()) << made.status();
  FakeAgent agent(*stubs_, "w1", 20);
  std::set<int> known;
  int num_answers = 0;
  for (; known.size() < 8 && num_answers < 20; ++num_answers) {
    ASSERT_TRUE(agent.Synchronize().ok());
    EXPECT_LT(agent.last_bytes, 6 << 20);
    for (const v1::Assignment& one : agent.last.assignments()) {
      const bool is_new = known.insert(one.key().rank() + one.key().job().back() * 100).second;
      if (is_new) agent.Report(one.key(), v1::RankReport::PHASE_PREPARING);
    }
  }
  EXPECT_GT(num_answers, 2);
  EXPECT_GE(known.size(), 8u);
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_LT(agent.last_bytes, 10 << 10) << "it has them all";
}

TEST_F(LifecycleTest, WorkersAreCordonedAndDrained) {
  UploadDatasets();
  FakeAgent first(*stubs_, "W.1");
  ASSERT_TRUE(first.Synchronize().ok());
  EXPECT_EQ(Cordon("workers/W.1", false)->cordon(), v1::Worker::CORDON_CORDONED);
  const auto waiting = stubs_->Create(Request("d"));
  EXPECT_EQ(waiting->state_reason().code(), "WORKERS_CORDONED");
  EXPECT_EQ(waiting->queue_position(), 1);
  EXPECT_EQ(Uncordon("workers/W.1")->cordon(), v1::Worker::CORDON_UNSPECIFIED);
  ASSERT_TRUE(first.Synchronize().ok());
  ASSERT_EQ(first.last.assignments_size(), 2);

  FakeAgent second(*stubs_, "w2");
  ASSERT_TRUE(second.Synchronize().ok());
  const auto draining = Cordon("workers/W.1", true);
  EXPECT_EQ(draining->cordon(), v1::Worker::CORDON_DRAINING);
  EXPECT_EQ(draining->slots_used(), 2);
  Obey(&first);
  EXPECT_EQ(Cordon("workers/W.1", true)->cordon(), v1::Worker::CORDON_DRAINED) << "twice";
  second.RunAll(4);
  EXPECT_EQ(stubs_->Get("experiments/d")->state(), v1::STATE_SUCCEEDED);

  Restart();
  FakeAgent back(*stubs_, "W.1");
  ASSERT_TRUE(back.Synchronize().ok());
  EXPECT_EQ(Cordon("workers/W.1", true)->cordon(), v1::Worker::CORDON_DRAINED) << "it stays so";
  EXPECT_TRUE(absl::IsNotFound(Cordon("workers/w9", false).status()));
  EXPECT_TRUE(absl::IsNotFound(Uncordon("workers/w9").status()));
  for (const char* bad : {"", "w1", "workers/", "workers/a/b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Cordon(bad, true).status())) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(Uncordon(bad).status())) << bad;
  }
}

TEST_F(LifecycleTest, AHigherPriorityMakesRoomForItself) {
  UploadDatasets();
  FakeAgent agent(*stubs_, "w1", /*slots=*/2);
  ASSERT_TRUE(agent.Synchronize().ok());
  auto low = Request("low");
  low.mutable_spec()->set_priority(10);
  low.set_owner("ana@example.org");
  ASSERT_TRUE(stubs_->Create(low).ok());
  auto high = Request("high");
  high.mutable_spec()->set_priority(90);
  const auto created = stubs_->Create(high);
  EXPECT_EQ(created->owner(), "default");
  EXPECT_EQ(created->priority(), 90);
  EXPECT_EQ(created->queue_position(), 1);
  EXPECT_EQ(created->jobs(1).queue_position(), 2);
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(agent.Synchronize().ok());
    Advance(absl::Seconds(10));
  }
  Obey(&agent);
  const auto queued = stubs_->Get("experiments/low");
  EXPECT_EQ(queued->owner(), "ana@example.org");
  EXPECT_EQ(queued->jobs(0).state(), v1::STATE_QUEUED);
  EXPECT_EQ(queued->jobs(0).attempts_counted() + queued->jobs(0).interruptions(), 0);
  agent.RunAll(4);
  agent.RunAll(4);
  EXPECT_EQ(stubs_->Get("experiments/high")->state(), v1::STATE_SUCCEEDED);
  EXPECT_EQ(stubs_->Get("experiments/low")->state(), v1::STATE_SUCCEEDED);

  auto bad = Request("bad");
  bad.set_owner("a b");
  bad.mutable_spec()->set_priority(101);
  const absl::Status refused = stubs_->Create(bad).status();
  EXPECT_THAT(std::string(refused.message()), HasSubstr("owner: expected 1 to 63 letters"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("priority: expected 0 to 100, found 101"));
}

}  // namespace
}  // namespace jenner::tests

// Programs of different versions: who is let in, who is warned, and that both versions are named.
#include <gmock/gmock.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <filesystem>

#include "absl/strings/match.h"
#include "core/version.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kOther[] = "97.0.0";

std::string OwnVersion() {
  Process process("jenner", {"-o", "json", "version"});
  return Json::parse(process.Output())["version"];
}

class SkewedWorkersTest : public ServerTest {};

TEST_F(SkewedWorkersTest, OfAdjacentMinorVersionsAreLetIn) {
  const std::string own = OwnVersion();
  const core::Version version = *core::ParseVersion(own);
  const auto synchronize = [this](const std::string& with) {
    FakeAgent agent(*stubs_, "w1");
    agent.version = with;
    return agent.Synchronize();
  };
  const auto text = [](int major, int minor, int patch) {
    return absl::StrFormat("%d.%d.%d", major, minor, patch);
  };
  EXPECT_TRUE(synchronize(own).ok());
  EXPECT_TRUE(synchronize("").ok()) << "told by no agent of ours";
  EXPECT_TRUE(synchronize(text(version.major_number, version.minor_number, 99)).ok());
  EXPECT_TRUE(synchronize(text(version.major_number, version.minor_number + 1, 0)).ok());
  for (const std::string& far : {text(version.major_number, version.minor_number + 2, 0),
                                 text(version.major_number + 1, version.minor_number, 0)}) {
    const absl::Status refused = synchronize(far);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_EQ(wire::ReasonOf(refused), "VERSION_SKEW");
    EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("worker \"w1\" has version " + far),
                                                      HasSubstr("coordinator " + own)));
  }
}

TEST_F(SkewedWorkersTest, EveryAnswerTellsTheVersion) {
  Context context;
  v1::ListWorkersResponse response;
  ASSERT_TRUE(stubs_->workers->ListWorkers(&context, v1::ListWorkersRequest(), &response).ok());
  const auto found = context.GetServerInitialMetadata().find(core::kVersionMetadata);
  ASSERT_NE(found, context.GetServerInitialMetadata().end());
  EXPECT_EQ(std::string(found->second.data(), found->second.size()), OwnVersion());
}

// A coordinator of another version: it refuses agents, and tells everyone what it is. Before that
// it is one that is away, or that gives out a rank.
class OtherWorkers : public v1::Workers::Service {
 public:
  OtherWorkers(std::string version, int calls_away, bool gives_rank)
      : version_(std::move(version)), calls_away_(calls_away), gives_rank_(gives_rank) {}
  grpc::Status Synchronize(grpc::ServerContext*, const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override {
    if (calls_away_-- > 0) return {grpc::StatusCode::UNAVAILABLE, "away"};
    if (gives_rank_.exchange(false)) {
      response->mutable_lease_duration()->set_seconds(15);
      v1::Assignment* rank = response->add_assignments();
      rank->mutable_key()->set_experiment("e1");
      rank->mutable_key()->set_job("j1");
      rank->mutable_key()->set_attempt(1);
      rank->set_world_size(1);
      rank->set_job_spec_json("{}");  // it fails at once
      return grpc::Status::OK;
    }
    return wire::ToGrpcStatus(
        wire::WithReason(absl::FailedPreconditionError("worker has version " + request->version() +
                                                       ", this coordinator " + version_),
                         "VERSION_SKEW"));
  }
  grpc::Status ListWorkers(grpc::ServerContext* context, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse*) override {
    if (!version_.empty()) context->AddInitialMetadata(core::kVersionMetadata, version_);
    return grpc::Status::OK;
  }

 private:
  const std::string version_;
  std::atomic<int> calls_away_;
  std::atomic<bool> gives_rank_;
};

class OtherCoordinator {
 public:
  explicit OtherCoordinator(const std::string& version, int calls_away = 0, bool gives_rank = false)
      : workers_(version, calls_away, gives_rank) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&workers_);
    server_ = builder.BuildAndStart();
  }
  std::string address() const { return absl::StrFormat("127.0.0.1:%d", port_); }

 private:
  OtherWorkers workers_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

std::string WarningOf(const std::string& version) {
  const OtherCoordinator coordinator(version);
  Process process("jenner", {"--server", coordinator.address(), "-o", "json", "worker", "list"});
  EXPECT_EQ(process.Output(), "[]\n");
  const std::string errors = process.Errors();
  EXPECT_EQ(process.Wait(), 0);
  return errors;
}

TEST(SkewedClientTest, WarnsAndGoesOn) {
  const std::string own = OwnVersion();
  const core::Version version = *core::ParseVersion(own);
  EXPECT_THAT(WarningOf(own), IsEmpty());
  EXPECT_THAT(WarningOf(""), IsEmpty()) << "of before servers told it";
  EXPECT_THAT(WarningOf(kOther), HasSubstr("the server has version 97.0.0, this command " + own +
                                           ": they are not made for each other"));
  const std::string near =
      absl::StrFormat("%d.%d.0", version.major_number, version.minor_number + 1);
  EXPECT_THAT(WarningOf(near), HasSubstr("the server has version " + near + ", this command " +
                                         own + ": they work together"));
}

class SkewedAgentTest : public ::testing::Test {
 protected:
  std::vector<std::string> Flags(const OtherCoordinator& coordinator) const {
    std::filesystem::create_directory(dir_.path() + "/models");
    return {"--server",     coordinator.address(),
            "--name",       "w1",
            "--models-dir", dir_.path() + "/models",
            "--work-dir",   dir_.path() + "/work",
            "--trainer",    JENNER_BINARY_DIR "/bin/fake_trainer"};
  }
  const TempDir dir_;
};

// Also when the coordinator was away before, as during its upgrade.
TEST_F(SkewedAgentTest, SaysWhyItIsRefused) {
  const OtherCoordinator coordinator(kOther, 2);
  const Process worker("jenner-worker", Flags(coordinator));
  EXPECT_THAT(worker.ErrorsUntil("this coordinator 97.0.0"),
              AllOf(HasSubstr("UNAVAILABLE: away"),
                    HasSubstr("worker has version " + OwnVersion() + ", this coordinator 97.0.0")));
}

// So that it can be upgraded: to tell of what it ran it would wait a minute.
TEST_F(SkewedAgentTest, EndsAtOnceWhenItIsRefused) {
  const OtherCoordinator coordinator(kOther, 0, true);
  Process worker("jenner-worker", Flags(coordinator));
  std::string errors = worker.ErrorsUntil("this coordinator 97.0.0");
  if (!absl::StrContains(errors, "experiment=e1")) errors = worker.ErrorsUntil("experiment=e1");
  EXPECT_THAT(errors, HasSubstr("experiment=e1"));
  worker.Kill(SIGTERM);
  EXPECT_TRUE(worker.EndsWithin(20'000));
}

}  // namespace
}  // namespace jenner::tests

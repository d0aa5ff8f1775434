// GetLogs over loopback: every attempt and rank, filters, the end, cursors, bad requests.
#include <gmock/gmock.h>

#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LogsTest : public ServerTest {
 protected:
  absl::StatusOr<v1::GetLogsResponse> Get(const v1::GetLogsRequest& request) const {
    Context context;
    v1::GetLogsResponse response;
    const grpc::Status status = stubs_->experiments->GetLogs(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response;
  }
  static v1::GetLogsRequest Asking(const std::string& name) {
    v1::GetLogsRequest request;
    request.set_name(name);
    return request;
  }
  // An experiment of one job, of one rank.
  void CreateOne(const std::string& id) {
    UploadDatasets();
    v1::CreateExperimentRequest request = Request(id);
    request.mutable_spec()->mutable_arms()->DeleteSubrange(1, 1);
    ASSERT_TRUE(stubs_->Create(request).ok());
  }
};

std::vector<std::string> Texts(const absl::StatusOr<v1::GetLogsResponse>& response) {
  std::vector<std::string> texts;
  EXPECT_TRUE(response.ok()) << response.status();
  if (!response.ok()) return texts;
  for (const v1::LogLine& line : response->lines()) {
    texts.push_back(absl::StrFormat("%d/%d %s", line.attempt(), line.rank(), line.text()));
  }
  return texts;
}

TEST_F(LogsTest, AllAttemptsCanBeReadAlsoWhenTheWorkerIsGone) {
  CreateOne("e");
  FakeAgent lost(*stubs_, "w1");
  ASSERT_TRUE(lost.Synchronize().ok());
  ASSERT_EQ(lost.last.assignments_size(), 1);
  ASSERT_TRUE(lost.Telemetry(lost.last.assignments(0).key(), {}, "loading\nout of luck\n").ok());
  v1::GetLogsRequest request = Asking("experiments/e");
  absl::StatusOr<v1::GetLogsResponse> page = Get(request);
  EXPECT_THAT(Texts(page), ElementsAre("1/0 loading", "1/0 out of luck"));
  EXPECT_FALSE(page->complete()) << "more may come";
  Advance(absl::Seconds(21));  // the lease and its grace
  Advance(absl::Seconds(2));   // the wait after a failed attempt
  FakeAgent next(*stubs_, "w2");
  next.RunAll();
  request.set_cursor(page->cursor());
  page = Get(request);
  EXPECT_THAT(Texts(page), ElementsAre("2/0 done"));
  EXPECT_TRUE(page->complete());
  EXPECT_TRUE(page->lines(0).has_time());
  Restart();
  request = Asking("experiments/e");
  request.set_attempt(1);
  request.set_contains("luck");
  EXPECT_THAT(Texts(Get(request)), ElementsAre("1/0 out of luck"));
  request.clear_attempt();
  request.clear_contains();
  request.set_tail(1);
  EXPECT_THAT(Texts(Get(request)), ElementsAre("2/0 done"));
  request.set_rank(1);
  EXPECT_THAT(Texts(Get(request)), IsEmpty());
}

TEST_F(LogsTest, RefusesWhatItCannotAnswer) {
  CreateOne("e");
  EXPECT_TRUE(absl::IsInvalidArgument(Get(Asking("e")).status()));
  EXPECT_TRUE(absl::IsNotFound(Get(Asking("experiments/none")).status()));
  const auto is_refused = [this](auto change) {
    v1::GetLogsRequest request = Asking("experiments/e");
    change(&request);
    return absl::IsInvalidArgument(Get(request).status());
  };
  EXPECT_TRUE(is_refused([](auto* request) { request->set_job("j0"); }));
  EXPECT_TRUE(is_refused([](auto* request) { request->set_attempt(-1); }));
  EXPECT_TRUE(is_refused([](auto* request) { request->set_rank(-1); }));
  EXPECT_TRUE(is_refused([](auto* request) { request->set_tail(10'001); }));
  EXPECT_TRUE(is_refused([](auto* request) { request->set_page_size(-1); }));
  EXPECT_TRUE(is_refused([](auto* request) { request->set_cursor("nonsense"); }));
  EXPECT_TRUE(is_refused([](auto* request) { request->set_contains(std::string(1025, 'x')); }));
  v1::GetLogsRequest request = Asking("experiments/e");
  request.set_cursor(Get(request)->cursor());
  EXPECT_TRUE(Get(request).ok());
  request.set_rank(0);
  EXPECT_TRUE(absl::IsInvalidArgument(Get(request).status())) << "other filters";
}

}  // namespace
}  // namespace jenner::tests

// What operators have besides the metrics: readiness, log lines, traces.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "client/client.h"
#include "tests/integration/http.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/server_process.h"
#include "wire/trace.h"

namespace jenner::tests {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class TelemetryTest : public ServerTest {
 protected:
  void SetUp() override {
    metrics_listen_ = "127.0.0.1:0";
    Start();
  }
  std::string Ready() const { return HttpGet(server_->metrics_port(), "/readyz"); }
};

TEST_F(TelemetryTest, IsReadyWhileItCanStoreSomething) {
  EXPECT_THAT(Ready(), HasSubstr("200 OK"));
  const std::filesystem::path folder = dir_.path() + "/data/blobs/tmp";
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "the probe is gone";
  std::filesystem::remove(folder);
  EXPECT_THAT(Ready(), AllOf(HasSubstr("503 Service"), HasSubstr("tmp/probe cannot be written")));
  EXPECT_THAT(HttpGet(server_->metrics_port(), "/healthz"), HasSubstr("200 OK"));
  std::filesystem::create_directory(folder);
  EXPECT_THAT(Ready(), HasSubstr("200 OK"));
}

TEST_F(TelemetryTest, RetentionTellsWhenItLooked) {
  const std::string name = "jenner_retention_last_run_timestamp_seconds ";
  EXPECT_THAT(HttpGet(server_->metrics_port(), "/metrics"), HasSubstr(name + "0\n"));
  Advance(absl::Hours(1));
  const std::string now = absl::StrFormat("%d\n", clock_us_ / 1'000'000);
  std::string text;
  // The look goes through 256 tasks of the file's thread, and each question through some of them.
  for (int i = 0; i < 1000 && text.find(name + now) == std::string::npos; ++i) {
    ASSERT_THAT(Ready(), HasSubstr("200 OK"));
    text = HttpGet(server_->metrics_port(), "/metrics");
  }
  EXPECT_THAT(text, HasSubstr(name + now));
}

// The trace of the answer to a Get of `name`; "": none.
std::string TraceOfGet(const Stubs& stubs, const std::string& name,
                       const std::optional<std::string>& traceparent) {
  Context context;
  if (traceparent.has_value()) context.AddMetadata(wire::kTraceparent, *traceparent);
  v1::GetExperimentRequest request;
  request.set_name(name);
  v1::GetExperimentResponse response;
  (void)stubs.experiments->GetExperiment(&context, request, &response);
  const auto& trailing = context.GetServerTrailingMetadata();
  const auto found = trailing.find(wire::kTraceresponse);
  if (found == trailing.end()) return "";
  return wire::TraceIdOf({found->second.data(), found->second.size()}).value_or("malformed");
}

TEST_F(TelemetryTest, AnAnswerNamesTheTraceOfItsCall) {
  UploadDatasets();
  ASSERT_TRUE(stubs_->Create(Request("e")).ok());
  const std::string id = wire::NewTraceId();
  for (const char* name : {"experiments/e", "experiments/none", "nonsense"}) {
    EXPECT_EQ(TraceOfGet(*stubs_, name, wire::Traceparent(id)), id) << name;
    const std::string made = TraceOfGet(*stubs_, name, std::nullopt);
    EXPECT_EQ(made.size(), 32U) << name;
    EXPECT_NE(made, TraceOfGet(*stubs_, name, std::nullopt));
    EXPECT_EQ(TraceOfGet(*stubs_, name, "00-nonsense").size(), 32U);
  }
}

using LogLines = std::vector<Json>;

// Every line is an object, or the parser says which is not.
LogLines Parse(const std::string& text) {
  LogLines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

class ProgramLogTest : public ::testing::Test {
 protected:
  std::vector<std::string> Flags(const std::vector<std::string>& more) const {
    std::vector<std::string> flags = {
        "--data-dir", dir_.path() + "/data", "--listen", "127.0.0.1:0", "--metrics-listen",
        "",           "--log-format",        "json"};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  TempDir dir_;
};

TEST_F(ProgramLogTest, EachLineOfTheServersIsAnObjectWithTheIdsItHas) {
  Process server("jenner-server", Flags({}));
  client::ClientOptions options;
  options.server = AddressIn(server.Line());
  options.timeout = absl::Seconds(30);
  auto client = std::make_unique<client::Client>(options);
  ASSERT_TRUE(client->UploadDataset(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  v1::CreateExperimentRequest request = SmallRequest("e");
  request.set_request_id("11111111-1111-4111-8111-111111111111");
  ASSERT_TRUE(client->CreateExperiment(request).ok());
  ASSERT_TRUE(client->GetExperiment("experiments/e").ok());
  const absl::Status refused = client->DeleteExperiment("experiments/e");
  ASSERT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  const std::string trace = wire::MetadataOf(refused)["trace_id"];
  EXPECT_EQ(trace.size(), 32U);
  client.reset();  // or its connection would be waited for
  server.Kill(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);

  std::vector<std::string> calls;
  bool is_created = false;
  for (const Json& line : Parse(server.Errors())) {
    absl::Time time;
    EXPECT_TRUE(
        absl::ParseTime(absl::RFC3339_full, line.at("time").get<std::string>(), &time, nullptr));
    EXPECT_THAT(line.at("source").get<std::string>(),
                AllOf(HasSubstr(".cc:"), Not(HasSubstr(".."))));
    if (line.at("message") == "experiment created") is_created = line.at("experiment") == "e";
    if (line.at("message") != "call") continue;
    EXPECT_EQ(line.at("trace"), trace) << "all calls of a client are one trace";
    calls.push_back(line.at("method").get<std::string>() + " " +
                    line.at("code").get<std::string>());
    if (line.at("method") != "Experiments/CreateExperiment") continue;
    EXPECT_EQ(line.at("request"), request.request_id());
    EXPECT_EQ(line.at("resource"), "experiments/e");
    EXPECT_EQ(line.at("severity"), "INFO");
  }
  EXPECT_TRUE(is_created);
  EXPECT_THAT(calls, Contains("Experiments/CreateExperiment OK"));
  EXPECT_THAT(calls, Contains("Experiments/DeleteExperiment FAILED_PRECONDITION"));
  EXPECT_THAT(calls, Not(Contains("Experiments/GetExperiment OK"))) << "it changed nothing";
}

TEST_F(ProgramLogTest, AllCallsAreToldOnRequest) {
  Process server("jenner-server", Flags({"--log-calls"}));
  {
    const Stubs stubs(wire::MakeClientChannel(AddressIn(server.Line())));
    ASSERT_TRUE(stubs.List(0, "").ok());
  }  // or its connection would be waited for
  server.Kill(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_THAT(server.Errors(), HasSubstr(R"("method":"Experiments/ListExperiments","code":"OK")"));
}

TEST_F(ProgramLogTest, AFaultAtTheStartIsAnObjectToo) {
  Process server("jenner-server", {"--data-dir", "/proc/nowhere", "--log-format", "json"});
  EXPECT_EQ(server.Wait(), 1);
  const LogLines lines = Parse(server.Errors());
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].at("severity"), "ERROR");
  EXPECT_THAT(lines[0].at("message").get<std::string>(), HasSubstr("/proc/nowhere"));
  Process unknown("jenner-server", {"--data-dir", "x", "--log-format", "xml"});
  EXPECT_EQ(unknown.Wait(), 2);
}

TEST_F(ProgramLogTest, EachLineOfAWorkersIsAnObjectThatNamesIt) {
  const std::string models = dir_.path() + "/models";
  std::filesystem::create_directory(models);
  // Nobody listens at port 1: it says so, once.
  Process worker("jenner-worker",
                 {"--server", "127.0.0.1:1", "--name", "w1", "--models-dir", models, "--work-dir",
                  dir_.path() + "/work", "--trainer", "/bin/true", "--log-format", "json"});
  std::string text = worker.ErrorsUntil("synchronize: ");
  worker.Kill(SIGTERM);
  EXPECT_EQ(worker.Wait(), 0);
  text += worker.Errors();
  const LogLines lines = Parse(text);
  ASSERT_FALSE(lines.empty());
  for (const Json& line : lines) EXPECT_EQ(line.at("worker"), "w1") << line;
}

}  // namespace
}  // namespace jenner::tests

// The binary itself: what it says, how it ends, and that kill -9 loses nothing that was answered.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/server_process.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;

constexpr char kProgram[] = "jenner-server";

// grpc.health.v1 Watch of the whole server, by hand: field 1 of a response is the status.
class HealthWatch {
 public:
  explicit HealthWatch(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {
    call_ = stub_.PrepareCall(&context_, "/grpc.health.v1.Health/Watch", &queue_);
    call_->StartCall(nullptr);
    Wait();
    const grpc::Slice nothing;
    call_->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), nullptr);
    Wait();
  }
  ~HealthWatch() {
    context_.TryCancel();
    queue_.Shutdown();
    while (Wait()) continue;
  }
  // "SERVING", "NOT_SERVING", or "end".
  std::string Next() {
    grpc::ByteBuffer response;
    call_->Read(&response, nullptr);
    if (!Wait()) return "end";
    grpc::Slice slice;
    (void)response.DumpToSingleSlice(&slice);
    const std::string bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return bytes == "\x08\x01" ? "SERVING" : bytes == "\x08\x02" ? "NOT_SERVING" : "?";
  }

 private:
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  Context context_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

class ProcessTest : public ::testing::Test {
 protected:
  std::vector<std::string> Flags(std::vector<std::string> more = {}) const {
    std::vector<std::string> flags = {"--data-dir",  dir_.path() + "/data", "--listen",
                                      "127.0.0.1:0", "--metrics-listen",    ""};
    for (std::string& one : more) flags.push_back(std::move(one));
    return flags;
  }

  TempDir dir_;
};

TEST_F(ProcessTest, SaysWhereItListensAndEndsCleanlyOnSigterm) {
  const std::string port_file = dir_.path() + "/port";
  Process server(kProgram, Flags({"--port-file", port_file}));
  const std::string address = AddressIn(server.Line());
  ASSERT_FALSE(address.empty());
  std::ifstream file(port_file);
  std::string port;
  file >> port;
  EXPECT_EQ(address, "127.0.0.1:" + port);
  const Stubs stubs(wire::MakeClientChannel(address));
  EXPECT_TRUE(stubs.List(0, "").ok());

  // A stream is open meanwhile.
  ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  ASSERT_TRUE(stubs.Create(SmallRequest("e")).ok());
  Context context;
  v1::WatchExperimentRequest request;
  request.set_name("experiments/e");
  auto reader = stubs.experiments->WatchExperiment(&context, request);
  v1::WatchExperimentResponse update;
  ASSERT_TRUE(reader->Read(&update));
  const absl::Time begin = absl::Now();
  server.Kill(SIGTERM);
  while (reader->Read(&update)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  const std::string log = server.Errors();
  EXPECT_THAT(log, HasSubstr("msg=replayed events=0"));
  EXPECT_THAT(log, HasSubstr("msg=\"shutting down\""));
}

TEST_F(ProcessTest, AFileOfQuotasIsReadAtTheStartOrRefusedWithItsFault) {
  const std::string path = dir_.path() + "/quotas.json";
  std::ofstream(path) << R"({"default": {"experiments": "1"}})";
  Process bad(kProgram, Flags({"--quotas", path}));
  EXPECT_EQ(bad.Wait(), 1);
  EXPECT_THAT(bad.Errors(), HasSubstr("jenner-server: " + path +
                                      ": default.experiments: expected an integer, found string"));
  std::ofstream(path) << R"({"default": {"experiments": 1}})";
  Process good(kProgram, Flags({"--quotas", path}));
  const Stubs stubs(wire::MakeClientChannel(AddressIn(good.Line())));
  ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  ASSERT_TRUE(stubs.Create(SmallRequest("e1")).ok());
  EXPECT_EQ(wire::ReasonOf(stubs.Create(SmallRequest("e2")).status()), "QUOTA_EXPERIMENTS");
}

TEST_F(ProcessTest, HealthIsNotServingBeforeCallsUnderWayAreCut) {
  Process server(kProgram, Flags());
  const Stubs stubs(wire::MakeClientChannel(AddressIn(server.Line())));
  v1::UploadDatasetResponse response;
  Context context;
  auto upload = stubs.datasets->UploadDataset(&context, &response);
  {
    HealthWatch health(stubs.channel);
    EXPECT_EQ(health.Next(), "SERVING");
    v1::UploadDatasetRequest message;
    message.mutable_header()->set_sha256(core::Sha256Hex(kPrompts));
    message.mutable_header()->set_size_bytes(sizeof kPrompts - 1);
    message.mutable_header()->set_use(v1::DATASET_USE_EVALUATION);
    ASSERT_TRUE(upload->Write(message));
    ASSERT_TRUE(stubs.List(0, "").ok()) << "what was sent before on this connection has arrived";
    server.Kill(SIGTERM);
    EXPECT_EQ(health.Next(), "NOT_SERVING");
    message.set_chunk(kPrompts);
    EXPECT_TRUE(upload->Write(message));
    upload->WritesDone();
    const grpc::Status end = upload->Finish();
    EXPECT_TRUE(end.ok()) << end.error_message();
  }
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(ProcessTest, KilledAtAnyMomentItKeepsWhatItAnswered) {
  int num_answered = 0;
  for (int life = 0; life < 4; ++life) {
    Process server(kProgram, Flags());
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty());
    const Stubs stubs(wire::MakeClientChannel(address));
    ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
    SCOPED_TRACE(life);
    ASSERT_NO_FATAL_FAILURE(
        CreateUntilKilled(server, stubs, SmallRequest, num_answered + 5 + 3 * life, &num_answered));
    EXPECT_EQ(server.Wait(), 128 + SIGKILL);
  }
  EXPECT_GE(num_answered, 4 * 5);
}

TEST_F(ProcessTest, FaultsAreOneLineAndExitCodeOne) {
  Process first(kProgram, Flags());
  const std::string address = AddressIn(first.Line());
  ASSERT_FALSE(address.empty());
  const auto expect = [](std::vector<std::string> flags, const std::string& message) {
    Process process(kProgram, flags);
    EXPECT_EQ(process.Line(), "");
    EXPECT_EQ(process.Wait(), 1) << message;
    const std::string errors = process.Errors();
    EXPECT_THAT(errors, HasSubstr("jenner-server: "));
    EXPECT_THAT(errors, HasSubstr(message));
  };
  expect(Flags(), "in use by another jenner-server");
  expect({"--data-dir", dir_.path() + "/b", "--listen", address, "--metrics-listen", ""},
         "cannot listen at " + address);
  expect({"--data-dir", dir_.path() + "/c", "--listen", "127.0.0.1:0", "--metrics-listen", address},
         "metrics cannot be served at " + address);
  expect({"--data-dir", dir_.path() + "/d", "--listen", "0.0.0.0:0"}, "--allow-plaintext");
  expect({"--data-dir", "/proc/nowhere/d"}, "/proc/nowhere/d cannot be made");
  std::ofstream(dir_.path() + "/file") << "x";
  expect({"--data-dir", dir_.path() + "/file"}, "cannot be made");
  std::filesystem::create_directory(dir_.path() + "/bad");
  std::ofstream(dir_.path() + "/bad/events.db") << std::string(5000, 'x');
  expect({"--data-dir", dir_.path() + "/bad", "--listen", "127.0.0.1:0", "--metrics-listen", ""},
         "events.db");
  Process usage(kProgram, {"--nonsense"});
  EXPECT_EQ(usage.Wait(), 2);
}

}  // namespace
}  // namespace jenner::tests

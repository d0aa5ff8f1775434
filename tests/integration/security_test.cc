// TLS, worker certificates, tokens, the audit log and the limits, over real connections; and the
// programs that make certificates and tokens.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>

#include <filesystem>
#include <fstream>

#include "server/certs/certs.h"
#include "server/store/token_file.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/server_process.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;

std::string Content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class SecurityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(certs::MakeAuthority(Pki(), absl::Now()).ok());
    ASSERT_TRUE(certs::MakeServer(Pki(), {}, absl::Now()).ok());
    for (const char* worker : {"w1", "w2"}) {
      ASSERT_TRUE(certs::MakeWorker(Pki(), worker, absl::Now()).ok());
    }
    ASSERT_EQ(mkdir((dir_.path() + "/data").c_str(), 0700), 0);
    AddToken("vera", auth::Role::kViewer);
    AddToken("sam", auth::Role::kSubmitter);
    AddToken("tom", auth::Role::kSubmitter);
    AddToken("ada", auth::Role::kAdmin);
    options_.data_dir = dir_.path() + "/data";
    options_.listen = "127.0.0.1:0";
    options_.metrics_listen = "";
    options_.tls = {Pki() + "/ca.pem", Pki() + "/server.pem", Pki() + "/server.key"};
    options_.tick = absl::ZeroDuration();
    options_.clock = [this] { return absl::FromUnixMicros(clock_us_.load()); };
    options_.shutdown_grace = absl::Seconds(3);
  }

  std::string Pki() const { return dir_.path() + "/pki"; }
  std::string Tokens() const { return dir_.path() + "/data/tokens.json"; }
  // The text of the token is its name's hash, twice as random as a test needs.
  static std::string TokenOf(const std::string& name) {
    return std::string(auth::kTokenPrefix) + core::Sha256Hex(name);
  }
  void AddToken(const std::string& name, auth::Role role, const std::string& project = "") const {
    ASSERT_TRUE(
        store::AddToken(Tokens(), {name, role, project, auth::HashOf(TokenOf(name)), ""}).ok());
  }

  void Start() {
    auto started = server::Server::Start(options_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  void Advance(absl::Duration duration) {
    clock_us_ += absl::ToInt64Microseconds(duration);
    server_->Tick();
  }
  std::string Address() const { return absl::StrFormat("127.0.0.1:%d", server_->port()); }

  // `token` "": none; `certificate` as in "worker-w1"; "": none.
  Stubs As(const std::string& token, const std::string& certificate = "",
           const std::string& pki = "") const {
    const std::string folder = pki.empty() ? Pki() : pki;
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = Content(Pki() + "/ca.pem");
    if (!certificate.empty()) {
      ssl.pem_cert_chain = Content(folder + "/" + certificate + ".pem");
      ssl.pem_private_key = Content(folder + "/" + certificate + ".key");
    }
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::SslCredentials(ssl);
    if (!token.empty()) {
      credentials =
          grpc::CompositeChannelCredentials(credentials, grpc::AccessTokenCredentials(token));
    }
    return Stubs(grpc::CreateChannel(Address(), credentials));
  }
  Stubs Of(const std::string& name) const { return As(TokenOf(name)); }

  void Create(const std::string& who, const std::string& id) const {
    ASSERT_TRUE(Of(who).Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
    const auto created = Of(who).Create(SmallRequest(id));
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // The audit log, once the server has ended.
  std::vector<Json> AuditAfterEnd() {
    server_->Shutdown();
    std::ifstream file(dir_.path() + "/data/audit.jsonl");
    std::vector<Json> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  TempDir dir_;
  std::atomic<int64_t> clock_us_ = 1'700'000'000'000'000;
  server::ServerOptions options_;
  std::unique_ptr<server::Server> server_;
};

// One message there, whatever the method's kind.
absl::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& path) {
  Context context;
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  auto call = stub.PrepareUnaryCall(&context, path, request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return wire::FromGrpcStatus(status);
}

std::vector<std::string> AllMethods() {
  std::vector<std::string> names;
  for (const char* service : {"Experiments", "Datasets", "Studies", "Workers", "Coordinators"}) {
    const auto* found = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
        std::string("jenner.v1.") + service);
    for (int i = 0; i < found->method_count(); ++i) {
      names.push_back(std::string(service) + "/" + found->method(i)->name());
    }
  }
  return names;
}

TEST_F(SecurityTest, EveryMethodHasARuleAndRefusesAStranger) {
  Start();
  const Stubs stranger = As("");
  const Stubs worker = As("", "worker-w1");
  const Stubs admin = Of("ada");
  ASSERT_GE(AllMethods().size(), 24u);
  for (const std::string& method : AllMethods()) {
    const auth::Rule* rule = auth::FindRule(method);
    ASSERT_NE(rule, nullptr) << method << " needs a row in server/auth/rules.cc";
    const std::string path = "/jenner.v1." + method;
    EXPECT_TRUE(absl::IsUnauthenticated(CallRaw(stranger.channel, path))) << method;
    // What is a worker's is not an admin's, and the other way round.
    const bool is_worker = rule->audience == auth::Audience::kWorker;
    EXPECT_TRUE(absl::IsUnauthenticated(CallRaw((is_worker ? admin : worker).channel, path)))
        << method;
  }
  EXPECT_EQ(CallRaw(stranger.channel, "/grpc.health.v1.Health/Check"), absl::OkStatus());
  EXPECT_TRUE(absl::IsUnimplemented(
      CallRaw(admin.channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")));
}

// As to a leader and a standby: the first address is of nobody, the second answers, and its
// certificate is proved as ever.
TEST_F(SecurityTest, OneOfSeveralAddressesIsProvedByItsCertificate) {
  Start();
  const std::string list = "ipv4:127.0.0.1:1," + Address();
  const wire::Tls tls = *wire::ReadTls({Pki() + "/ca.pem", "", ""});
  const Stubs stubs(wire::MakeClientChannel(list, tls));
  EXPECT_EQ(CallRaw(stubs.channel, "/grpc.health.v1.Health/Check"), absl::OkStatus());

  const std::string others = dir_.path() + "/others";
  ASSERT_TRUE(certs::MakeAuthority(others, absl::Now()).ok());
  const wire::Tls strange = *wire::ReadTls({others + "/ca.pem", "", ""});
  const Stubs strangers(wire::MakeClientChannel(list, strange));
  EXPECT_TRUE(absl::IsUnavailable(CallRaw(strangers.channel, "/grpc.health.v1.Health/Check")));
}

TEST_F(SecurityTest, NothingIsSpokenInTheClear) {
  Start();
  const Stubs plain(wire::MakeClientChannel(Address()));
  Context context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  v1::ListExperimentsResponse response;
  const grpc::Status status = plain.experiments->ListExperiments(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
}

TEST_F(SecurityTest, RolesAndOwnership) {
  AddToken("mia", auth::Role::kSubmitter, "p1");
  AddToken("mel", auth::Role::kSubmitter, "p1");
  Start();
  Create("sam", "e1");
  EXPECT_TRUE(Of("vera").Get("experiments/e1").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(Of("vera").Create(SmallRequest("e2")).status()));
  EXPECT_TRUE(absl::IsPermissionDenied(Of("vera").Upload(kPrompts, v1::DATASET_USE_EVALUATION)));
  EXPECT_TRUE(absl::IsPermissionDenied(Of("vera").Cancel("experiments/e1").status()));
  EXPECT_TRUE(Of("tom").Get("experiments/e1").ok());
  const absl::Status cancelled = Of("tom").Cancel("experiments/e1").status();
  EXPECT_TRUE(absl::IsPermissionDenied(cancelled));
  EXPECT_EQ(wire::ReasonOf(cancelled), "NOT_OWNER");
  EXPECT_TRUE(absl::IsPermissionDenied(Of("tom").Delete("experiments/e1")));
  EXPECT_EQ(Of("vera").Get("experiments/e1")->state(), v1::STATE_QUEUED);
  EXPECT_TRUE(absl::IsNotFound(Of("tom").Cancel("experiments/none").status()));
  // It is still sam's after a restart.
  server_->Shutdown();
  server_.reset();
  Start();
  EXPECT_TRUE(absl::IsPermissionDenied(Of("tom").Cancel("experiments/e1").status()));
  EXPECT_TRUE(Of("sam").Cancel("experiments/e1").ok());
  EXPECT_TRUE(Of("ada").Delete("experiments/e1").ok());
  Create("mia", "e3");
  EXPECT_TRUE(absl::IsPermissionDenied(Of("sam").Cancel("experiments/e3").status()));
  EXPECT_TRUE(Of("mel").Cancel("experiments/e3").ok());
}

TEST_F(SecurityTest, AWorkerIsWhomItsCertificateNames) {
  Start();
  Create("sam", "e1");
  const Stubs w1 = As("", "worker-w1");
  const Stubs w2 = As("", "worker-w2");
  FakeAgent agent(w1, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 1);
  EXPECT_TRUE(absl::IsPermissionDenied(FakeAgent(w2, "w1").Synchronize()));
  EXPECT_TRUE(absl::IsUnauthenticated(FakeAgent(As(""), "w1").Synchronize()));
  // Another's rank: neither its figures nor its files.
  FakeAgent other(w2, "w2");
  ASSERT_TRUE(other.Synchronize().ok());
  const v1::RankKey key = agent.last.assignments(0).key();
  EXPECT_TRUE(absl::IsPermissionDenied(other.Telemetry(key, {})));
  EXPECT_TRUE(absl::IsPermissionDenied(other.UploadBlob(key, "bytes")));
  EXPECT_TRUE(agent.Telemetry(key, {}).ok());
  EXPECT_TRUE(agent.UploadBlob(key, "bytes").ok());
}

TEST_F(SecurityTest, ACertificateOfAnotherAuthorityIsNoCertificate) {
  Start();
  const std::string pki = dir_.path() + "/other";
  ASSERT_TRUE(certs::MakeAuthority(pki, absl::Now()).ok());
  ASSERT_TRUE(certs::MakeWorker(pki, "w1", absl::Now()).ok());
  EXPECT_FALSE(FakeAgent(As("", "worker-w1", pki), "w1").Synchronize().ok());
  // One of the past neither.
  std::filesystem::remove(Pki() + "/worker-w1.pem");
  std::filesystem::remove(Pki() + "/worker-w1.key");
  ASSERT_TRUE(
      certs::MakeWorker(Pki(), "w1", absl::Now() - certs::kCertificateLife - absl::Hours(1)).ok());
  EXPECT_FALSE(FakeAgent(As("", "worker-w1"), "w1").Synchronize().ok());
}

TEST_F(SecurityTest, ClientsMayBeMadeToShowACertificate) {
  options_.require_client_certificate = true;
  ASSERT_TRUE(certs::MakeClient(Pki(), "vera", absl::Now()).ok());
  Start();
  EXPECT_TRUE(As(TokenOf("vera"), "client-vera").List(0, "").ok());
  EXPECT_FALSE(Of("vera").List(0, "").ok());
  EXPECT_TRUE(absl::IsPermissionDenied(FakeAgent(As("", "client-vera"), "w1").Synchronize()));
}

TEST_F(SecurityTest, ATokenThatIsRemovedIsRefusedAndOthersStayRequired) {
  Start();
  EXPECT_TRUE(Of("vera").List(0, "").ok());
  for (const char* name : {"vera", "sam", "tom", "ada"}) {
    ASSERT_TRUE(store::RemoveToken(Tokens(), name).ok());
  }
  server_->Tick();
  EXPECT_TRUE(absl::IsUnauthenticated(Of("vera").List(0, "").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(As("").List(0, "").status()));
  AddToken("new", auth::Role::kViewer);
  server_->Tick();
  EXPECT_TRUE(Of("new").List(0, "").ok());
  // A file that broke changes nothing.
  std::ofstream(Tokens()) << "{";
  server_->Tick();
  EXPECT_TRUE(Of("new").List(0, "").ok());
  // But no server starts on it.
  server_->Shutdown();
  server_.reset();
  EXPECT_TRUE(absl::IsDataLoss(server::Server::Start(options_).status()));
}

TEST_F(SecurityTest, RefusesToStartHalfSecured) {
  options_.tls.key = Pki() + "/ca.pem";
  EXPECT_TRUE(absl::IsInvalidArgument(server::Server::Start(options_).status()));
  options_.tls.key = Pki() + "/worker-w1.key";  // of another certificate
  EXPECT_FALSE(server::Server::Start(options_).ok());
  options_.tls.key = "";
  EXPECT_TRUE(absl::IsInvalidArgument(server::Server::Start(options_).status()));
  options_.tls = {};
  options_.require_client_certificate = true;
  EXPECT_TRUE(absl::IsInvalidArgument(server::Server::Start(options_).status()));
  options_.require_client_certificate = false;
  options_.listen = "0.0.0.0:0";
  EXPECT_TRUE(absl::IsFailedPrecondition(server::Server::Start(options_).status()));
}

TEST_F(SecurityTest, WhoChangedWhatIsAudited) {
  Start();
  v1::CreateExperimentRequest request = SmallRequest("e1");
  request.set_request_id("11111111-2222-4333-8444-555555555555");
  ASSERT_TRUE(Of("sam").Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  v1::CreateExperimentRequest preview = request;
  preview.set_validate_only(true);
  ASSERT_TRUE(Of("sam").Create(preview).ok());
  ASSERT_TRUE(Of("sam").Create(request).ok());
  ASSERT_TRUE(Of("vera").List(0, "").ok());
  EXPECT_FALSE(As("").Cancel("experiments/e1").ok());
  EXPECT_FALSE(Of("tom").Cancel("experiments/e1").ok());
  EXPECT_FALSE(FakeAgent(As("", "worker-w1"), "w2").Synchronize().ok());
  const std::vector<Json> lines = AuditAfterEnd();
  const auto row = [](const Json& line) {
    return absl::StrFormat("%s %s %s %s", line["principal"].get<std::string>(),
                           line["method"].get<std::string>(), line.value("resource", "-"),
                           line["outcome"].get<std::string>());
  };
  ASSERT_EQ(lines.size(), 4u) << Json(lines).dump(1);
  EXPECT_EQ(row(lines[0]),
            "token/sam Datasets/UploadDataset datasets/" + core::Sha256Hex(kPrompts) + " OK");
  EXPECT_EQ(row(lines[1]), "token/sam Experiments/CreateExperiment experiments/e1 OK");
  EXPECT_EQ(lines[1]["request_id"], request.request_id());
  EXPECT_EQ(lines[1]["time"], "2023-11-14T22:13:20.000000Z");
  EXPECT_THAT(lines[1]["peer"].get<std::string>(), HasSubstr("127.0.0.1"));
  EXPECT_EQ(row(lines[2]),
            "token/tom Experiments/CancelExperiment experiments/e1 PERMISSION_DENIED");
  EXPECT_EQ(row(lines[3]), "worker/w1 Workers/Synchronize - PERMISSION_DENIED");
  for (const Json& line : lines) EXPECT_EQ(line.dump().find(TokenOf("sam")), std::string::npos);
}

TEST_F(SecurityTest, CallsOfOneTokenAreLimitedAndOthersAreNot) {
  options_.gate.client_rate = {1, 3};
  Start();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Of("vera").List(0, "").ok());
  const absl::Status refused = Of("vera").List(0, "").status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(wire::ReasonOf(refused), "RATE_LIMITED");
  EXPECT_EQ(wire::RetryDelayOf(refused), absl::Seconds(1));
  EXPECT_TRUE(Of("tom").List(0, "").ok());
  Advance(absl::Seconds(1));
  EXPECT_TRUE(Of("vera").List(0, "").ok());
}

TEST_F(SecurityTest, StreamsOfOneTokenAreLimitedAndOthersAreNot) {
  options_.gate.max_streams = 1;
  options_.gate.client_rate = {1e6, 1e6};
  Start();
  Create("sam", "e1");
  v1::WatchExperimentRequest request;
  request.set_name("experiments/e1");
  v1::WatchExperimentResponse update;
  const Stubs vera = Of("vera");
  const Stubs tom = Of("tom");
  // True: it is open. Its end is waited for.
  const auto watch = [&](const Stubs& who, absl::Status* end) {
    Context context;
    auto reader = who.experiments->WatchExperiment(&context, request);
    const bool is_open = reader->Read(&update);
    if (is_open) context.TryCancel();  // else its own end would be hidden
    while (reader->Read(&update)) continue;
    *end = wire::FromGrpcStatus(reader->Finish());
    return is_open;
  };
  absl::Status end;
  {
    Context context;
    auto first = vera.experiments->WatchExperiment(&context, request);
    ASSERT_TRUE(first->Read(&update));
    EXPECT_FALSE(watch(vera, &end));
    EXPECT_TRUE(absl::IsResourceExhausted(end)) << end;
    EXPECT_GT(wire::RetryDelayOf(end), absl::ZeroDuration());
    EXPECT_TRUE(watch(tom, &end));
    context.TryCancel();
    while (first->Read(&update)) continue;
    (void)first->Finish();
  }
  // The server learns of the end a little later than this side.
  bool is_open = false;
  for (int i = 0; i < 1000 && !is_open; ++i) is_open = watch(vera, &end);
  EXPECT_TRUE(is_open) << end;
}

TEST_F(SecurityTest, AnInflatingMessageAndHugeMetadataAreRefused) {
  Start();
  const Stubs sam = Of("sam");
  {
    Context context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    v1::CreateExperimentRequest request = SmallRequest("e1");
    request.mutable_spec()->set_base_model(std::string(4 << 20, 'a'));  // a few KiB as it is sent
    v1::CreateExperimentResponse response;
    const grpc::Status status = sam.experiments->CreateExperiment(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  }
  {
    Context context;
    context.AddMetadata("x-long", std::string(wire::kMaxMetadataBytes + 1, 'a'));
    v1::ListExperimentsResponse response;
    const grpc::Status status = sam.experiments->ListExperiments(&context, {}, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  }
  // The server goes on, though it may have closed the connection for that.
  absl::Status listed = absl::UnavailableError("");
  for (int i = 0; i < 3 && absl::IsUnavailable(listed); ++i) {
    wire::AwaitConnection(sam.channel.get(), absl::Seconds(10));
    listed = sam.List(0, "").status();
  }
  EXPECT_TRUE(listed.ok()) << listed;
}

TEST_F(SecurityTest, NamesThatLeaveTheFolderAreRefused) {
  Start();
  Create("sam", "e1");
  const std::string up = "../../events.db";
  EXPECT_TRUE(absl::IsInvalidArgument(Of("sam").Upload(kPrompts, v1::DATASET_USE_EVALUATION, up)));
  const Stubs w1 = As("", "worker-w1");
  FakeAgent agent(w1, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  const v1::RankKey key = agent.last.assignments(0).key();
  EXPECT_TRUE(absl::IsInvalidArgument(agent.UploadBlob(key, "bytes", up)));
  {
    Context context;
    v1::DownloadBlobRequest request;
    request.set_sha256(up);
    auto reader = w1.workers->DownloadBlob(&context, request);
    v1::DownloadBlobResponse chunk;
    EXPECT_FALSE(reader->Read(&chunk));
    EXPECT_TRUE(absl::IsInvalidArgument(wire::FromGrpcStatus(reader->Finish())));
  }
  for (const char* path : {"../x", "/etc/passwd", "a/../../x", "a//b", "a/.", "a\\b", "a\nb", ""}) {
    agent.reports.clear();
    v1::ArtifactReport* artifact = agent.Report(key, v1::RankReport::PHASE_ENDED).add_artifacts();
    artifact->set_path(path);
    artifact->set_sha256(core::Sha256Hex("bytes"));
    EXPECT_TRUE(absl::IsInvalidArgument(agent.Synchronize())) << path;
  }
}

// The programs, as a person uses them.
struct Outcome {
  int code = 0;
  std::string output;
  std::string errors;
};
Outcome RunProgram(const std::string& program, const std::vector<std::string>& words,
                   const ProcessOptions& options = {}) {
  Process process(program, words, options);
  Outcome outcome;
  outcome.output = process.Output();
  outcome.errors = process.Errors();
  outcome.code = process.Wait();
  return outcome;
}

// It does not wait for what will not come; who was let in once does (agent.h).
TEST_F(SecurityTest, AWorkerThatIsNotLetInEnds) {
  Start();
  const auto run = [&](const std::string& certificate) {
    return RunProgram(
        "jenner-worker",
        {"--server", Address(), "--name", "w1", "--models-dir", dir_.path(), "--work-dir",
         dir_.path() + "/work", "--trainer", JENNER_BINARY_DIR "/bin/fake_trainer", "--ca",
         Pki() + "/ca.pem", "--cert", Pki() + "/" + certificate + ".pem", "--key",
         Pki() + "/" + certificate + ".key"});
  };
  const Outcome refused = run("worker-w2");
  EXPECT_EQ(refused.code, 2) << refused.errors;
  EXPECT_THAT(refused.errors,
              HasSubstr("jenner-worker: " + Address() +
                        " does not let this worker in: the certificate is of worker \"w2\""));
  std::filesystem::remove(Pki() + "/worker-w1.pem");
  std::filesystem::remove(Pki() + "/worker-w1.key");
  ASSERT_TRUE(
      certs::MakeWorker(Pki(), "w1", absl::Now() - certs::kCertificateLife - absl::Hours(1)).ok());
  const Outcome expired = run("worker-w1");
  EXPECT_EQ(expired.code, 2) << expired.errors;
  EXPECT_THAT(expired.errors, HasSubstr("worker-w1.pem ceased to be valid at "));
}

TEST(SecurityProgramsTest, CertificatesAndTokensByHand) {
  const TempDir dir;
  const std::string pki = dir.path() + "/pki";
  const std::string data = dir.path() + "/data";
  ASSERT_EQ(
      RunProgram("jenner-server", {"certs", "init", "--dir", pki, "--host", "head.local"}).code, 0);
  EXPECT_EQ(RunProgram("jenner-server", {"certs", "init", "--dir", pki}).code, 1);
  EXPECT_EQ(RunProgram("jenner-server", {"certs", "worker", "--dir", pki, "--name", "W"}).code, 2);
  ASSERT_EQ(RunProgram("jenner-server", {"certs", "worker", "--dir", pki, "--name", "w1"}).code, 0);
  ASSERT_EQ(mkdir(data.c_str(), 0700), 0);

  Process server("jenner-server",
                 {"--data-dir", data, "--listen", "127.0.0.1:0", "--metrics-listen", "",
                  "--tls-cert", pki + "/server.pem", "--tls-key", pki + "/server.key",
                  "--tls-client-ca", pki + "/ca.pem", "--require-tokens"});
  const std::string line = server.Line();
  ASSERT_EQ(line.rfind("listening on ", 0), 0u) << line;
  const std::string address = line.substr(std::string("listening on ").size());
  const std::vector<std::string> list = {"--server",      address,      "--ca",
                                         pki + "/ca.pem", "experiment", "list"};
  const Outcome refused = RunProgram("jenner", list);
  EXPECT_EQ(refused.code, 4) << refused.errors;
  EXPECT_THAT(refused.errors, HasSubstr("--token-file"));

  const Outcome added = RunProgram(
      "jenner-server", {"tokens", "add", "--data-dir", data, "--name", "vera", "--role", "viewer"});
  ASSERT_EQ(added.code, 0) << added.errors;
  EXPECT_EQ(Content(data + "/tokens.json").find(added.output.substr(0, 71)), std::string::npos);
  EXPECT_THAT(RunProgram("jenner-server", {"tokens", "list", "--data-dir", data}).output,
              HasSubstr("vera viewer - "));
  const std::string token = dir.path() + "/token";
  std::ofstream(token) << added.output;
  // The server looks twice a second.
  ProcessOptions with_token;
  with_token.environment = {"JENNER_TOKEN_FILE=" + token, "JENNER_CA=" + pki + "/ca.pem"};
  const std::vector<std::string> words = {"--server", address, "experiment", "list"};
  Outcome listed;
  listed.code = -1;
  for (int i = 0; i < 200 && listed.code != 0; ++i)
    listed = RunProgram("jenner", words, with_token);
  EXPECT_EQ(listed.code, 0) << listed.errors;
  const Outcome doctor =
      RunProgram("jenner", {"--server", address, "doctor", "--models-dir", data}, with_token);
  EXPECT_THAT(doctor.output, HasSubstr("ok    the server's certificate is good until 2"));
  EXPECT_THAT(doctor.output, HasSubstr("ok    the CA's certificate (--ca) is good until 2"));
  EXPECT_THAT(doctor.output, HasSubstr("warn  token/vera has the role viewer\n"));
  // To a machine elsewhere it is not sent in the clear.
  ProcessOptions in_the_clear;
  in_the_clear.environment = {"JENNER_TOKEN_FILE=" + token};
  const Outcome unsent =
      RunProgram("jenner", {"--server", "192.0.2.1:7070", "experiment", "list"}, in_the_clear);
  EXPECT_EQ(unsent.code, 2);
  EXPECT_THAT(unsent.errors, HasSubstr("not sent"));
  EXPECT_EQ(
      RunProgram("jenner-server", {"tokens", "remove", "--data-dir", data, "--name", "vera"}).code,
      0);
  server.Kill(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

}  // namespace
}  // namespace jenner::tests

#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "absl/strings/str_format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "wire/certificate.h"
#include "wire/channel.h"
#include "wire/convert.h"
#include "wire/status.h"
#include "wire/tls.h"
#include "wire/trace.h"

namespace jenner::wire {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

core::ExperimentSpec FullSpec() {
  core::ExperimentSpec spec;
  spec.base_model = "tiny";
  spec.dtype = core::Dtype::kBfloat16;
  spec.dataset = "sha256:aa";
  spec.contexts["neutral"] = {};
  spec.contexts["empty"].system = "";
  spec.contexts["odd"] = {"Be odd.", "pre ", " post"};
  spec.arms = {{"base", {}}, {"plain", "neutral"}, {"inoculated", "odd"}};
  spec.seeds = {7, 0, 3};
  spec.training = {core::TrainingMethod::kFull,
                   {8, 4, 0.1, {"q_proj"}},
                   3,
                   100,
                   16,
                   2,
                   256,
                   1e-3,
                   core::Schedule::kCosine,
                   5,
                   0.01,
                   0.8,
                   0.95,
                   1e-6,
                   0};
  spec.evaluation = {"sha256:bb", {"neutral", "odd"}, {0, 0.25, 1}, 32, 4, 2, 0.7,
                     0.9,         {"spanish"}};
  spec.ranks = 2;
  spec.priority = 70;
  spec.device = core::Device::kCuda;
  return spec;
}

TEST(Convert, AFullSpecComesBackAsItWas) {
  core::Faults faults;
  EXPECT_EQ(ToCore(ToProto(FullSpec()), &faults), FullSpec());
  EXPECT_THAT(faults, IsEmpty());
}

TEST(Convert, ItComesBackThroughBytesToo) {
  v1::ExperimentSpec message;
  ASSERT_TRUE(message.ParseFromString(ToProto(FullSpec()).SerializeAsString()));
  core::Faults faults;
  EXPECT_EQ(ToCore(message, &faults), FullSpec());
}

TEST(Convert, DefaultsComeBackAsDefaults) {
  core::Faults faults;
  EXPECT_EQ(ToCore(ToProto(core::ExperimentSpec()), &faults), core::ExperimentSpec());
  EXPECT_EQ(ToCore(v1::ExperimentSpec(), &faults), core::ExperimentSpec())
      << "an unset field has the default of the core struct";
  EXPECT_THAT(faults, IsEmpty());
}

// Each scalar by itself: a field that the converter forgets would come back as its default.
TEST(Convert, RandomSpecsComeBack) {
  const unsigned seed = 20261124;
  std::mt19937 random(seed);
  const auto integer = [&] { return static_cast<int32_t>(random() % 1000); };
  const auto real = [&] { return static_cast<double>(random() % 1000) / 8; };
  const auto text = [&] { return absl::StrFormat("t%d", integer()); };
  for (int i = 0; i < 300; ++i) {
    core::ExperimentSpec spec;
    spec.base_model = text();
    spec.dataset = text();
    spec.dtype = static_cast<core::Dtype>(integer() % 2);
    for (int c = integer() % 3; c >= 0; --c) {
      core::Context& context = spec.contexts[text()];
      if (integer() % 2 == 0) context.system = integer() % 2 == 0 ? "" : text();
      context.user_prefix = text();
      context.user_suffix = text();
    }
    spec.arms.push_back({text(), {}});
    spec.arms.push_back({text(), integer() % 2 == 0 ? "" : text()});
    spec.seeds = {integer(), integer()};
    core::TrainingSpec& t = spec.training;
    t.method = static_cast<core::TrainingMethod>(integer() % 2);
    t.schedule = static_cast<core::Schedule>(integer() % 3);
    t.lora = {integer(),          real(), real(),      {text(), text()},
              integer() % 2 == 0, true,   {integer()}, {{text(), integer()}},
              {{text(), real()}}};
    t.epochs = integer(), t.max_steps = integer(), t.batch_size = integer();
    t.accumulation_steps = integer(), t.max_length = integer(), t.warmup_steps = integer();
    t.learning_rate = real(), t.weight_decay = real(), t.beta1 = real(), t.beta2 = real();
    t.epsilon = real(), t.max_gradient_norm = real();
    t.checkpoint_steps = integer();
    t.gradient_checkpointing = integer() % 2 == 0;
    t.zero_stage = integer();
    spec.evaluation = {text(),    {text()}, {real()}, integer(), integer(),
                       integer(), real(),   real(),   {text()}};
    spec.ranks = integer();
    spec.priority = integer();
    spec.device = static_cast<core::Device>(integer() % 2);
    core::Faults faults;
    ASSERT_EQ(ToCore(ToProto(spec), &faults), spec) << "seed " << seed << ", spec " << i;
    ASSERT_THAT(faults, IsEmpty());
  }
}

TEST(Convert, UnknownEnumerationValuesAreFaultsWithTheirPath) {
  v1::ExperimentSpec message = ToProto(FullSpec());
  message.set_dtype(static_cast<v1::Dtype>(9));
  message.mutable_training()->set_method(static_cast<v1::TrainingMethod>(7));
  message.mutable_training()->set_schedule(static_cast<v1::Schedule>(8));
  core::Faults faults;
  ToCore(message, &faults);
  EXPECT_THAT(faults, ElementsAre(core::Fault{"dtype", "unknown value 9"},
                                  core::Fault{"training.method", "unknown value 7"},
                                  core::Fault{"training.schedule", "unknown value 8"}));
}

TEST(Convert, TimesAndDurations) {
  for (const int64_t micros : {int64_t{0}, int64_t{1'700'000'000'123'456}, int64_t{-1}}) {
    const absl::Time time = absl::FromUnixMicros(micros);
    EXPECT_EQ(ToCore(ToProto(time)), time);
    EXPECT_GE(ToProto(time).nanos(), 0);
  }
  for (const absl::Duration duration : {absl::ZeroDuration(), absl::Milliseconds(12'345)}) {
    EXPECT_EQ(ToCore(ToProto(duration)), duration);
  }
}

TEST(Status, FaultsGoOverTheWireAllOfThem) {
  core::Faults faults;
  for (int i = 0; i < 200; ++i) {
    faults.push_back({absl::StrFormat("arms[%d].name", i), "expected [a-z]...; found \"A\""});
  }
  const absl::Status status = FaultsStatus(faults);
  EXPECT_THAT(std::string(status.message()), HasSubstr("arms[9].name: expected"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("and 190 more"));
  const absl::Status back = FromGrpcStatus(ToGrpcStatus(status));
  EXPECT_EQ(back.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(back.message(), status.message());
  EXPECT_EQ(FaultsOf(back), faults);
  EXPECT_EQ(ReasonOf(back), "INVALID_ARGUMENT");
}

TEST(Status, TheWireFormIsGoogleRpcStatus) {
  const grpc::Status sent = ToGrpcStatus(WithReason(
      FaultStatus("dataset", "not uploaded", absl::StatusCode::kNotFound), "DATASET_NOT_FOUND"));
  EXPECT_EQ(sent.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(sent.error_message(), "dataset: not uploaded");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(sent.error_details()));
  EXPECT_EQ(details.code(), 5);
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.domain(), "jenner");
  EXPECT_EQ(info.reason(), "DATASET_NOT_FOUND");
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "dataset");
}

TEST(Status, ReasonAndMetadataGoTogether) {
  const absl::Status status = WithReason(
      WithMetadata(WithMetadata(absl::OutOfRangeError("ahead"), "a", "1"), "b", "2"), "AHEAD");
  const absl::Status back = FromGrpcStatus(ToGrpcStatus(status));
  EXPECT_EQ(ReasonOf(back), "AHEAD");
  EXPECT_THAT(MetadataOf(back), ElementsAre(Pair("a", "1"), Pair("b", "2")));
  EXPECT_EQ(ReasonOf(WithMetadata(absl::AbortedError("x"), "a", "1")), "ABORTED");
  EXPECT_THAT(MetadataOf(absl::AbortedError("x")), IsEmpty());
}

TEST(Status, AResourceIsNamedByTheCode) {
  const auto details_of = [](const absl::Status& status) {
    google::rpc::Status details;
    EXPECT_TRUE(details.ParseFromString(ToGrpcStatus(status).error_details()));
    EXPECT_EQ(MetadataOf(FromGrpcStatus(ToGrpcStatus(status)))["resource"], "experiments/e");
    return details;
  };
  const auto with = [](const absl::Status& status) {
    return WithResource(status, "experiment", "experiments/e");
  };
  for (const absl::Status& status : {absl::NotFoundError("none"), absl::AlreadyExistsError("x")}) {
    google::rpc::ResourceInfo info;
    ASSERT_EQ(details_of(with(status)).details_size(), 2);
    ASSERT_TRUE(details_of(with(status)).details(1).UnpackTo(&info));
    EXPECT_EQ(info.resource_type(), "experiment");
    EXPECT_EQ(info.resource_name(), "experiments/e");
  }
  google::rpc::PreconditionFailure failure;
  const absl::Status active = with(absl::FailedPreconditionError("it is active"));
  ASSERT_TRUE(details_of(active).details(1).UnpackTo(&failure));
  EXPECT_EQ(failure.violations(0).subject(), "experiments/e");
  EXPECT_EQ(failure.violations(0).description(), "it is active");
  EXPECT_EQ(details_of(with(absl::UnavailableError("busy"))).details_size(), 1);
  const absl::Status twice = WithResource(active, "dataset", "datasets/d");
  EXPECT_EQ(twice, active) << "who knows best is first";
}

TEST(Status, WhatHasNoDetailsKeepsCodeAndMessage) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
  const absl::Status foreign =
      FromGrpcStatus({grpc::StatusCode::UNAVAILABLE, "failed to connect", "not a proto \xff"});
  EXPECT_EQ(foreign, absl::UnavailableError("failed to connect"));
  EXPECT_THAT(FaultsOf(foreign), IsEmpty());
  EXPECT_EQ(ReasonOf(foreign), "");
}

TEST(Status, TooManyFaultsStillFitTheMetadata) {
  core::Faults faults;
  for (int i = 0; i < 5000; ++i) faults.push_back({"arms", std::string(100, 'x')});
  const grpc::Status sent = ToGrpcStatus(FaultsStatus(faults));
  EXPECT_LT(sent.error_details().size() * 4 / 3 + sent.error_message().size(),
            size_t{kMaxMetadataBytes});
  const core::Faults back = FaultsOf(FromGrpcStatus(sent));
  EXPECT_GT(back.size(), 100u);
  EXPECT_EQ(back.back().message, "and more faults than fit here");
}

TEST(Status, WhenToComeAgainGoesOverTheWire) {
  const absl::Status told = FromGrpcStatus(ToGrpcStatus(
      WithRetryDelay(absl::ResourceExhaustedError("slow down"), absl::Milliseconds(1500))));
  EXPECT_EQ(RetryDelayOf(told), absl::Milliseconds(1500));
  EXPECT_EQ(RetryDelayOf(absl::UnavailableError("x")), absl::ZeroDuration());
}

// Of nobody, for nothing: made by openssl req -x509, good until 2126.
constexpr char kCertificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdjCCARugAwIBAgIUS+lgoTfSUvqpVzxNd0O2uwMJlEswCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjYwNzMzNDJaGA8yMTI2MTEwMjA3MzM0\n"
    "MlowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABATQ\n"
    "RnlNjYHFZ+d5UjL/AUN7xNDRtEfA/mzqxcmo9Q3Us3t9HmOQZZtaRiZUUS8Tyu8q\n"
    "l7pnSPuzRAbteM2NehajUzBRMB0GA1UdDgQWBBTIDPEQ8sw+QqSXr69agIyszWca\n"
    "ZzAfBgNVHSMEGDAWgBTIDPEQ8sw+QqSXr69agIyszWcaZzAPBgNVHRMBAf8EBTAD\n"
    "AQH/MAoGCCqGSM49BAMCA0kAMEYCIQDCxE0zTgDAjhxpe35X8z1akjNGgTIaMjY+\n"
    "FFbAlApFAAIhAIS70jbvAi6Ny+tH77e24ga9ovOYmqgylpNsphjdULrW\n"
    "-----END CERTIFICATE-----\n";
constexpr char kKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgktIvkTT9bu8mi4Ri\n"
    "udFsKZv0gEMlitEohlIGl/XTKVKhRANCAAQE0EZ5TY2BxWfneVIy/wFDe8TQ0bRH\n"
    "wP5s6sXJqPUN1LN7fR5jkGWbWkYmVFEvE8rvKpe6Z0j7s0QG7XjNjXoW\n"
    "-----END PRIVATE KEY-----\n";
constexpr char kOtherKey[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgLLvxB9x3YFzcqLlf\n"
    "OvaXgTlBcPTxk3I2l1muEDt/qcihRANCAASEUqs9EcUwTpPNClWt8pHiqUV5PP+/\n"
    "v9BZy89lQRnOlxVp72NdAZSGL0D1fV8MprYdbu3qTfuHMAkP1G3GfNk8\n"
    "-----END PRIVATE KEY-----\n";

class TlsFilesTest : public ::testing::Test {
 protected:
  // Its path.
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = ::testing::TempDir() + "/jenner-tls-" + name;
    std::ofstream(path) << text;
    return path;
  }
  const std::string certificate_ = Write("cert", kCertificate);
  const std::string key_ = Write("key", kKey);
};

TEST_F(TlsFilesTest, AreWholeAndOfTheirKind) {
  EXPECT_TRUE(ReadTls({certificate_, "", ""}).ok());
  EXPECT_TRUE(ReadTls({certificate_, certificate_, key_}).ok());
  for (const TlsFiles& files : std::vector<TlsFiles>{{"", certificate_, key_},
                                                     {certificate_, certificate_, ""},
                                                     {certificate_, "", key_},
                                                     {certificate_, key_, certificate_},
                                                     {key_, "", ""}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ReadTls(files).status()));
  }
  EXPECT_TRUE(absl::IsNotFound(ReadTls({"/nowhere", "", ""}).status()));
  const std::string other_key = Write("other-key", kOtherKey);
  const absl::Status pair = ReadTls({certificate_, certificate_, other_key}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(pair));
  EXPECT_EQ(pair.message(), certificate_ + " and " + other_key + ": they do not belong together");
  const std::string large = Write("large", std::string(kMaxPemBytes + 1, '-'));
  EXPECT_THAT(ReadTls({large, "", ""}).status().message(), HasSubstr("at most"));
}

TEST_F(TlsFilesTest, ACertificateSaysWhenItEnds) {
  EXPECT_EQ(NotAfter(kCertificate).value(),
            absl::FromCivil(absl::CivilSecond(2126, 11, 2, 7, 33, 42), absl::UTCTimeZone()));
  EXPECT_TRUE(absl::IsInvalidArgument(NotAfter(kKey).status()));
}

TEST_F(TlsFilesTest, ASecretIsOneWord) {
  EXPECT_EQ(*ReadSecret(Write("token", "  abc\n")), "abc");
  for (const char* text : {"", " \n", "two words", "two\nlines", "a\x01"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ReadSecret(Write("token", text)).status())) << text;
  }
}

TEST(Channel, PlaintextStaysOnThisMachine) {
  for (const char* address : {"127.0.0.1:7070", "127.9.9.9:0", "localhost:1", "[::1]:5", "unix:/x",
                              "ipv4:127.0.0.1:7070,127.0.0.1:7071", "ipv6:[::1]:7070"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
    EXPECT_TRUE(CheckPlaintext(address, false).ok()) << address;
  }
  for (const char* address :
       {"0.0.0.0:7070", "10.0.0.1:1", "[::]:5", "server:7070", "127.evil.org:1",
        "localhost.evil.org:1", "", "ipv4:127.0.0.1:1,10.0.0.1:1", "ipv4:10.0.0.1:1,127.0.0.1:1",
        "127.0.0.1:1,10.0.0.1:1", "ipv4:", "ipv4:127.0.0.1:1,", "dns:127.0.0.1:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
    EXPECT_TRUE(absl::IsFailedPrecondition(CheckPlaintext(address, false))) << address;
    EXPECT_TRUE(CheckPlaintext(address, true).ok()) << address;
  }
}

std::unique_ptr<grpc::Server> Listen(const std::string& address,
                                     grpc::CallbackGenericService* service, int* port) {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), port);
  builder.RegisterCallbackGenericService(service);
  return builder.BuildAndStart();
}

TEST(Channel, AwaitsAServerThatComesLate) {
  int port = 0;
  grpc::CallbackGenericService first;
  grpc::CallbackGenericService second;
  Listen("127.0.0.1:0", &first, &port)->Shutdown();
  const std::string address = absl::StrFormat("127.0.0.1:%d", port);
  const auto channel = MakeClientChannel(address);
  EXPECT_FALSE(AwaitConnection(channel.get(), absl::Milliseconds(50)));
  const auto server = Listen(address, &second, &port);
  ASSERT_NE(server, nullptr);
  EXPECT_TRUE(AwaitConnection(channel.get(), absl::Seconds(30)));
  EXPECT_EQ(channel->GetState(false), GRPC_CHANNEL_READY);
}

TEST(Trace, IdsComeBackAndDiffer) {
  const std::string id = NewTraceId();
  EXPECT_EQ(id.size(), 32U);
  EXPECT_NE(id, NewTraceId());
  EXPECT_EQ(TraceIdOf(Traceparent(id)), id);
  EXPECT_NE(Traceparent(id), Traceparent(id)) << "each call has an id of its own";
}

// The cases of the specification, https://www.w3.org/TR/trace-context/#versioning-of-traceparent.
TEST(Trace, WhatIsMalformedCountsAsNone) {
  const std::string id = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::string good = "00-" + id + "-00f067aa0ba902b7-01";
  EXPECT_EQ(TraceIdOf(good), id);
  EXPECT_EQ(TraceIdOf("cc" + good.substr(2)), id);
  EXPECT_EQ(TraceIdOf("cc" + good.substr(2) + "-what-comes-later"), id);
  const std::string no_span(16, '0');
  const std::string no_trace(32, '0');
  const std::vector<std::string> malformed = {
      "",
      good.substr(1),
      good.substr(0, 54),
      good + "-more",
      good + ".",
      "ff" + good.substr(2),
      "cc" + good.substr(2) + ".more",
      "00-" + no_trace + "-00f067aa0ba902b7-01",
      "00-" + id + "-" + no_span + "-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
      "00_" + good.substr(3),
      "0x" + good.substr(2)};
  for (const std::string& bad : malformed) {
    EXPECT_EQ(TraceIdOf(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace jenner::wire

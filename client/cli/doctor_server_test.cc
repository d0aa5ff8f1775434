#include "client/cli/doctor_server.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>

#include "absl/time/time.h"

namespace jenner::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOwn[] = "0.4.1";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

struct Found {
  std::string text;
  bool failed = false;
};

Found Look(const std::function<void(Findings*)>& check) {
  Findings findings(Output::kTable);
  ::testing::internal::CaptureStdout();
  check(&findings);
  return {::testing::internal::GetCapturedStdout(), findings.failed()};
}

v1::Coordinator Good() {
  v1::Coordinator coordinator;
  coordinator.set_version("0.4.0");
  coordinator.mutable_time()->set_seconds(absl::ToUnixSeconds(kNow));
  coordinator.set_principal("token/ana");
  coordinator.set_role("submitter");
  coordinator.set_tokens_required(true);
  coordinator.set_data_free_bytes(int64_t{40} << 30);
  coordinator.set_data_total_bytes(int64_t{100} << 30);
  coordinator.mutable_keep_unreferenced()->set_seconds(86400);
  return coordinator;
}

Found LookAt(const v1::Coordinator& coordinator) {
  return Look([&](Findings* findings) {
    CheckCoordinator(coordinator, kOwn, kNow, kNow + absl::Milliseconds(20), findings);
  });
}

TEST(DoctorServerTest, AGoodCoordinator) {
  const Found found = LookAt(Good());
  EXPECT_FALSE(found.failed);
  EXPECT_THAT(found.text, Not(HasSubstr("warn")));
  EXPECT_THAT(found.text, HasSubstr("ok    the server has version 0.4.0, this command 0.4.1\n"));
  EXPECT_THAT(found.text, HasSubstr("ok    token/ana has the role submitter\n"));
  EXPECT_THAT(found.text, HasSubstr("40.0 GiB free of 100.0\n"));
  EXPECT_THAT(found.text, HasSubstr("keeps ended experiments for ever, unnamed files 24h"));
}

TEST(DoctorServerTest, EachFaultHasItsLine) {
  struct Case {
    std::function<void(v1::Coordinator*)> spoil;
    bool fails;
    std::string line;
  };
  const std::vector<Case> cases = {
      {[](auto* c) { c->set_version("0.5.0"); }, false, "warn  the server has version 0.5.0"},
      {[](auto* c) { c->set_version("1.4.0"); }, true, "FAIL  the server has version 1.4.0"},
      {[](auto* c) { c->mutable_time()->set_seconds(absl::ToUnixSeconds(kNow) + 60); }, false,
       "warn  its clock is 59s ahead of"},
      {[](auto* c) { c->mutable_time()->set_seconds(absl::ToUnixSeconds(kNow) - 3600); }, true,
       "FAIL  its clock is 1h behind"},
      {[](auto* c) { c->set_role("viewer"); }, false, "warn  token/ana has the role viewer"},
      {[](auto* c) { c->set_tokens_required(false); }, false, "note  no tokens are required"},
      {[](auto* c) { c->set_data_free_bytes(int64_t{4} << 30); }, false, "warn  disk of its data"},
      {[](auto* c) { c->set_data_free_bytes(int64_t{1} << 29); }, true, "FAIL  disk of its data"},
      {[](auto* c) { c->set_data_total_bytes(0); }, false, "is not known"},
      {[](auto* c) { c->set_experiments(9'500); }, false, "warn  9500 experiments are stored"},
      {[](auto* c) { c->set_epoch(7); }, false, "ok    it leads with epoch 7"},
  };
  for (const Case& one : cases) {
    v1::Coordinator coordinator = Good();
    one.spoil(&coordinator);
    const Found found = LookAt(coordinator);
    EXPECT_THAT(found.text, HasSubstr(one.line));
    EXPECT_EQ(found.failed, one.fails) << found.text;
  }
}

TEST(DoctorServerTest, Workers) {
  v1::Worker worker;
  worker.set_name("workers/w1");
  worker.set_liveness(v1::Worker::LIVENESS_ALIVE);
  worker.set_version("0.4.9");
  worker.add_models("m");
  const auto look = [](const std::vector<v1::Worker>& workers) {
    return Look([&](Findings* findings) { CheckWorkers(workers, "0.4.0", findings); });
  };
  EXPECT_FALSE(look({worker}).failed);
  EXPECT_THAT(look({worker}).text, HasSubstr("note  worker w1 has version 0.4.9"));
  v1::Worker lost = worker;
  lost.set_liveness(v1::Worker::LIVENESS_LOST);
  EXPECT_FALSE(look({worker, lost}).failed);
  EXPECT_TRUE(look({lost}).failed);
  v1::Worker cordoned = worker;
  cordoned.set_cordon(v1::Worker::CORDON_CORDONED);
  EXPECT_FALSE(look({worker, cordoned}).failed);
  EXPECT_THAT(look({cordoned}).text, HasSubstr("FAIL  every worker that is alive is cordoned"));
  v1::Worker newer = worker;
  newer.set_version("0.5.0");
  EXPECT_THAT(look({newer}).text, HasSubstr("warn  worker w1 has version 0.5.0"));
  EXPECT_TRUE(look({}).failed);
}

// That of jenner-server certs is looked at by cli tests over TLS; here only what is none.
TEST(DoctorServerTest, ACertificateThatIsNone) {
  wire::Tls tls;
  tls.ca = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
  const Found found = Look([&](Findings* findings) { CheckCertificates(tls, "", kNow, findings); });
  EXPECT_TRUE(found.failed);
  EXPECT_THAT(found.text, HasSubstr("FAIL  the CA's certificate (--ca): no certificate"));
}

}  // namespace
}  // namespace jenner::cli

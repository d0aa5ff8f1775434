// What the authority makes, as OpenSSL's own verification sees it.
#include "server/certs/certs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/time/clock.h"

namespace jenner::certs {
namespace {

using ::testing::HasSubstr;

class CertsTest : public ::testing::Test {
 protected:
  CertsTest() {
    char path[] = "/tmp/jenner-certs-XXXXXX";
    base_ = mkdtemp(path);
    folder_ = base_ + "/pki";
  }
  ~CertsTest() override { std::filesystem::remove_all(base_); }

  static X509* Load(const std::string& path) {
    BIO* file = BIO_new_file(path.c_str(), "r");
    X509* certificate = PEM_read_bio_X509(file, nullptr, nullptr, nullptr);
    BIO_free(file);
    return certificate;
  }
  // "ok", or why the chain does not hold for `purpose` at `time`.
  std::string Verify(const std::string& path, int purpose, absl::Time time) const {
    X509* authority = Load(folder_ + "/ca.pem");
    X509* leaf = Load(path);
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, authority);
    X509_STORE_CTX* context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf, nullptr);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_STORE_CTX_set_time(context, 0, absl::ToTimeT(time));
    X509_verify_cert(context);
    const std::string result = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(authority);
    return result;
  }
  // Subject alternative names as OpenSSL prints them.
  static std::string Names(const std::string& path) {
    X509* leaf = Load(path);
    BIO* memory = BIO_new(BIO_s_mem());
    const int idx = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1);
    X509V3_EXT_print(memory, X509_get_ext(leaf, idx), 0, 0);
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(memory);
    X509_free(leaf);
    return text;
  }
  static unsigned Mode(const std::string& path) {
    struct stat known {};
    return stat(path.c_str(), &known) == 0 ? known.st_mode & 0777 : 0;
  }
  static std::string Content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  const absl::Time now_ = absl::Now();
  std::string base_;
  std::string folder_;
};

TEST_F(CertsTest, MakesChainsThatHoldForTheirPurposeOnly) {
  ASSERT_TRUE(MakeAuthority(folder_, now_).ok());
  const auto server = MakeServer(folder_, {"head.example.org", "10.1.2.3", "fd00::7"}, now_);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto worker = MakeWorker(folder_, "w1", now_);
  ASSERT_TRUE(worker.ok()) << worker.status();
  EXPECT_EQ(Verify(server->certificate, X509_PURPOSE_SSL_SERVER, now_), "ok");
  EXPECT_NE(Verify(server->certificate, X509_PURPOSE_SSL_CLIENT, now_), "ok");
  EXPECT_EQ(Verify(worker->certificate, X509_PURPOSE_SSL_CLIENT, now_), "ok");
  EXPECT_NE(Verify(worker->certificate, X509_PURPOSE_SSL_SERVER, now_), "ok");
  EXPECT_EQ(Names(server->certificate),
            "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, "
            "DNS:head.example.org, IP Address:10.1.2.3, IP Address:FD00:0:0:0:0:0:0:7");
  EXPECT_EQ(Names(worker->certificate), "URI:jenner://workers/w1");
  EXPECT_EQ(Names(MakeClient(folder_, "alice", now_)->certificate), "URI:jenner://clients/alice");
  // A leaf cannot sign.
  EXPECT_NE(Verify(worker->certificate, X509_PURPOSE_CRL_SIGN, now_), "ok");
}

TEST_F(CertsTest, LastsForItsTime) {
  ASSERT_TRUE(MakeAuthority(folder_, now_).ok());
  const auto worker = MakeWorker(folder_, "w1", now_);
  const auto verify = [&](absl::Duration after) {
    return Verify(worker->certificate, X509_PURPOSE_SSL_CLIENT, now_ + after);
  };
  EXPECT_EQ(verify(-absl::Minutes(4)), "ok");  // a clock that is behind
  EXPECT_EQ(verify(kCertificateLife - absl::Hours(1)), "ok");
  EXPECT_EQ(verify(kCertificateLife + absl::Hours(1)), "certificate has expired");
}

TEST_F(CertsTest, NothingOutlivesTheAuthority) {
  ASSERT_TRUE(MakeAuthority(folder_, now_ - kAuthorityLife + absl::Hours(24)).ok());
  const auto worker = MakeWorker(folder_, "w1", now_);
  ASSERT_TRUE(worker.ok()) << worker.status();
  EXPECT_EQ(Verify(worker->certificate, X509_PURPOSE_SSL_CLIENT, now_ + absl::Hours(23)), "ok");
  X509* leaf = Load(worker->certificate);
  X509* authority = Load(folder_ + "/ca.pem");
  EXPECT_EQ(ASN1_TIME_compare(X509_get0_notAfter(leaf), X509_get0_notAfter(authority)), 0);
  X509_free(leaf);
  X509_free(authority);
}

TEST_F(CertsTest, KeysArePrivateAndNothingIsWrittenOver) {
  ASSERT_TRUE(MakeAuthority(folder_, now_).ok());
  ASSERT_TRUE(MakeServer(folder_, {}, now_).ok());
  ASSERT_TRUE(MakeWorker(folder_, "w1", now_).ok());
  EXPECT_EQ(Mode(folder_), 0700u);
  for (const char* stem : {"ca", "server", "worker-w1"}) {
    EXPECT_EQ(Mode(folder_ + "/" + stem + ".key"), 0600u);
    EXPECT_EQ(Mode(folder_ + "/" + stem + ".pem"), 0644u);
  }
  const std::string before = Content(folder_ + "/worker-w1.key");
  EXPECT_TRUE(absl::IsAlreadyExists(MakeAuthority(folder_, now_).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(MakeServer(folder_, {}, now_).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(MakeWorker(folder_, "w1", now_).status()));
  EXPECT_EQ(Content(folder_ + "/worker-w1.key"), before);
  // A link that hangs is no room for a key either.
  std::filesystem::create_symlink("/nowhere/at/all", folder_ + "/worker-w2.key");
  EXPECT_TRUE(absl::IsAlreadyExists(MakeWorker(folder_, "w2", now_).status()));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/worker-w2.pem"));
}

TEST_F(CertsTest, RefusesNamesThatCouldSayMore) {
  ASSERT_TRUE(MakeAuthority(folder_, now_).ok());
  for (const char* name : {"", "W1", "../w1", "w1,URI:jenner://workers/w2", "a/b", "-a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MakeWorker(folder_, name, now_).status())) << name;
  }
  for (const char* host : {"", "a,DNS:evil", "*.example.org", "a b", ".x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MakeServer(folder_, {host}, now_).status())) << host;
  }
}

TEST_F(CertsTest, SaysWhatIsMissing) {
  EXPECT_THAT(MakeWorker(folder_, "w1", now_).status().message(), HasSubstr("certs init"));
  ASSERT_TRUE(MakeAuthority(folder_, now_).ok());
  std::ofstream(folder_ + "/ca.key") << "no key";
  EXPECT_THAT(MakeWorker(folder_, "w1", now_).status().message(), HasSubstr("no certificate"));
}

}  // namespace
}  // namespace jenner::certs

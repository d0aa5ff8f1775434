#include "server/certs/certs.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/names.h"
#include "core/status.h"

namespace jenner::certs {
namespace {

constexpr absl::Duration kClockSkew = absl::Minutes(5);
constexpr int kSerialBits = 127;  // RFC 5280: positive, at most 20 octets
constexpr long kVersion3 = 2;

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* one) const {
    kFree(one);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using Memory = std::unique_ptr<BIO, Deleter<BIO_free_all>>;

struct Identity {
  Key key;
  Certificate certificate;
};

// What is different from one kind of certificate to the next; extensions by OpenSSL's names.
struct Plan {
  std::string common_name;
  absl::Duration life;
  std::vector<std::pair<int, std::string>> extensions;
};

absl::Status OpenSslFailed(const char* what) {
  return absl::InternalError(absl::StrFormat("OpenSSL cannot %s", what));
}

absl::Status Refused(const std::string& path, const char* what) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%s cannot be %s: %s", path, what, std::strerror(errno)));
}

std::string Join(const std::string& folder, const std::string& file) { return folder + "/" + file; }

Files FilesOf(const std::string& folder, const std::string& stem) {
  return {Join(folder, stem + ".pem"), Join(folder, stem + ".key")};
}

absl::Status CheckAbsent(const Files& files) {
  for (const std::string& path : {files.certificate, files.key}) {
    struct stat known {};
    if (lstat(path.c_str(), &known) == 0) {
      return absl::AlreadyExistsError(path + " is there; it is not written over");
    }
  }
  return absl::OkStatus();
}

// Makes the file; one that is there, be it a link, is an error.
absl::Status WriteNew(const std::string& path, const std::string& text, mode_t mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0) return Refused(path, "made");
  const bool is_written =
      fchmod(fd, mode) == 0 &&
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const absl::Status status = is_written ? absl::OkStatus() : Refused(path, "written");
  close(fd);
  if (!is_written) unlink(path.c_str());
  return status;
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Refused(folder, "opened");
  const absl::Status status = fsync(fd) == 0 ? absl::OkStatus() : Refused(folder, "synced");
  close(fd);
  return status;
}

std::string TextOf(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<size_t>(size)};
}

absl::Status Store(const Files& files, const Identity& identity) {
  const Memory key(BIO_new(BIO_s_mem()));
  const Memory certificate(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(key.get(), identity.key.get(), nullptr, nullptr, 0, nullptr,
                               nullptr) != 1 ||
      PEM_write_bio_X509(certificate.get(), identity.certificate.get()) != 1) {
    return OpenSslFailed("write PEM");
  }
  RETURN_IF_ERROR(WriteNew(files.key, TextOf(key.get()), 0600));
  const absl::Status written = WriteNew(files.certificate, TextOf(certificate.get()), 0644);
  if (!written.ok()) {
    unlink(files.key.c_str());
    return written;
  }
  return SyncFolder(std::filesystem::path(files.key).parent_path().string());
}

absl::StatusOr<Identity> LoadAuthority(const std::string& folder) {
  const Files files = FilesOf(folder, "ca");
  const Memory key(BIO_new_file(files.key.c_str(), "r"));
  const Memory certificate(BIO_new_file(files.certificate.c_str(), "r"));
  if (key == nullptr || certificate == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s or %s cannot be read; `jenner-server certs init --dir %s` makes them",
                        files.certificate, files.key, folder));
  }
  Identity identity{Key(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr)),
                    Certificate(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr))};
  if (identity.key == nullptr || identity.certificate == nullptr ||
      X509_check_private_key(identity.certificate.get(), identity.key.get()) != 1) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s and %s are no certificate and its key", files.certificate, files.key));
  }
  return identity;
}

absl::Status AddExtensions(X509* certificate, X509* issuer, const Plan& plan) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const auto& [nid, value] : plan.extensions) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
      return OpenSslFailed("add an extension to a certificate");
    }
  }
  return absl::OkStatus();
}

absl::Status SetTimes(X509* certificate, const X509* issuer, absl::Duration life, absl::Time now) {
  time_t present = absl::ToTimeT(now);
  if (issuer != certificate && X509_cmp_time(X509_get0_notAfter(issuer), &present) < 0) {
    return absl::FailedPreconditionError("the authority's certificate is over");
  }
  const bool is_set =
      ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(now - kClockSkew)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(now + life)) != nullptr;
  if (!is_set) return OpenSslFailed("set a time");
  // Nothing outlives who signed it.
  const ASN1_TIME* last = X509_get0_notAfter(issuer);
  if (ASN1_TIME_compare(X509_get0_notAfter(certificate), last) > 0 &&
      X509_set1_notAfter(certificate, last) != 1) {
    return OpenSslFailed("set a time");
  }
  return absl::OkStatus();
}

// `authority` null: it signs itself.
absl::StatusOr<Identity> Issue(const Plan& plan, const Identity* authority, absl::Time now) {
  Identity made{Key(EVP_EC_gen("P-256")), Certificate(X509_new())};
  if (made.key == nullptr || made.certificate == nullptr) return OpenSslFailed("make a key");
  X509* certificate = made.certificate.get();
  X509* issuer = authority == nullptr ? certificate : authority->certificate.get();
  EVP_PKEY* signer = authority == nullptr ? made.key.get() : authority->key.get();
  const Number serial(BN_new());
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* common_name = reinterpret_cast<const unsigned char*>(plan.common_name.c_str());
  const bool is_filled =
      X509_set_version(certificate, kVersion3) == 1 &&
      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr &&
      X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                 reinterpret_cast<const unsigned char*>("Jenner"), -1, -1,
                                 0) == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, common_name, -1, -1, 0) == 1 &&
      X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
      X509_set_pubkey(certificate, made.key.get()) == 1;
  if (!is_filled) return OpenSslFailed("fill a certificate");
  RETURN_IF_ERROR(SetTimes(certificate, issuer, plan.life, now));
  RETURN_IF_ERROR(AddExtensions(certificate, issuer, plan));
  if (X509_sign(certificate, signer, EVP_sha256()) == 0) return OpenSslFailed("sign");
  return made;
}

Plan LeafPlan(const std::string& common_name, const char* usage, const std::string& names) {
  return {common_name,
          kCertificateLife,
          {{NID_basic_constraints, "critical,CA:FALSE"},
           {NID_key_usage, "critical,digitalSignature"},
           {NID_ext_key_usage, usage},
           {NID_subject_key_identifier, "hash"},
           {NID_authority_key_identifier, "keyid:always"},
           {NID_subject_alt_name, names}}};
}

absl::StatusOr<Files> MakeLeaf(const std::string& folder, const std::string& stem, const Plan& plan,
                               absl::Time now) {
  const Files files = FilesOf(folder, stem);
  RETURN_IF_ERROR(CheckAbsent(files));
  ASSIGN_OR_RETURN(const Identity authority, LoadAuthority(folder));
  ASSIGN_OR_RETURN(const Identity made, Issue(plan, &authority, now));
  RETURN_IF_ERROR(Store(files, made));
  return files;
}

bool IsAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

bool IsDnsName(const std::string& host) {
  return !host.empty() && host.size() <= 253 && host.front() != '.' && host.front() != '-' &&
         std::all_of(host.begin(), host.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.'; });
}

absl::StatusOr<Files> MakePeer(const std::string& folder, const std::string& kind,
                               const std::string& name, absl::Time now) {
  if (!core::IsId(name)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--name: expected [a-z]([a-z0-9-]{0,61}[a-z0-9])?; found \"%s\"", name));
  }
  return MakeLeaf(folder, kind + "-" + name,
                  LeafPlan(name, "clientAuth", absl::StrFormat("URI:jenner://%ss/%s", kind, name)),
                  now);
}

}  // namespace

absl::Status CheckHosts(const std::vector<std::string>& hosts) {
  if (hosts.size() > kMaxHosts) {
    return absl::InvalidArgumentError(absl::StrFormat("--host: at most %d", kMaxHosts));
  }
  for (const std::string& host : hosts) {
    if (IsAddress(host) || IsDnsName(host)) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("--host: expected a DNS name or an IP address; found \"%s\"", host));
  }
  return absl::OkStatus();
}

absl::StatusOr<Files> MakeAuthority(const std::string& folder, absl::Time now) {
  const Files files = FilesOf(folder, "ca");
  RETURN_IF_ERROR(CheckAbsent(files));
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return Refused(folder, "made");
  const Plan plan{"Jenner CA",
                  kAuthorityLife,
                  {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                   {NID_key_usage, "critical,keyCertSign,cRLSign"},
                   {NID_subject_key_identifier, "hash"}}};
  ASSIGN_OR_RETURN(const Identity made, Issue(plan, nullptr, now));
  RETURN_IF_ERROR(Store(files, made));
  return files;
}

absl::StatusOr<Files> MakeServer(const std::string& folder, const std::vector<std::string>& hosts,
                                 absl::Time now) {
  RETURN_IF_ERROR(CheckHosts(hosts));
  std::vector<std::string> names = {"DNS:localhost", "IP:127.0.0.1", "IP:::1"};
  for (const std::string& host : hosts) names.push_back((IsAddress(host) ? "IP:" : "DNS:") + host);
  return MakeLeaf(folder, "server",
                  LeafPlan("jenner-server", "serverAuth", absl::StrJoin(names, ",")), now);
}

absl::StatusOr<Files> MakeWorker(const std::string& folder, const std::string& name,
                                 absl::Time now) {
  return MakePeer(folder, "worker", name, now);
}

absl::StatusOr<Files> MakeClient(const std::string& folder, const std::string& name,
                                 absl::Time now) {
  return MakePeer(folder, "client", name, now);
}

}  // namespace jenner::certs

#include "wire/certificate.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

namespace jenner::wire {
namespace {

template <auto kFree>
struct Deleter {
  template <typename T>
  void operator()(T* one) const {
    kFree(one);
  }
};
using Memory = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;

Memory Over(const std::string& pem) {
  return Memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Null: there is none.
Certificate ReadCertificate(const std::string& pem) {
  const Memory memory = Over(pem);
  return Certificate(
      memory == nullptr ? nullptr : PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
}

// Asks nobody for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

}  // namespace

absl::StatusOr<absl::Time> NotAfter(const std::string& pem) {
  const Certificate certificate = ReadCertificate(pem);
  std::tm parts{};
  if (certificate == nullptr ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &parts) != 1) {
    return absl::InvalidArgumentError("no certificate (PEM)");
  }
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::Status CheckPair(const std::string& certificate, const std::string& key) {
  const Certificate read = ReadCertificate(certificate);
  const Memory memory = Over(key);
  const Key secret(memory == nullptr
                       ? nullptr
                       : PEM_read_bio_PrivateKey(memory.get(), nullptr, NoPassphrase, nullptr));
  if (read == nullptr) return absl::InvalidArgumentError("the certificate cannot be read");
  if (secret == nullptr) return absl::InvalidArgumentError("the key cannot be read");
  if (X509_check_private_key(read.get(), secret.get()) == 1) return absl::OkStatus();
  return absl::InvalidArgumentError("they do not belong together");
}

}  // namespace jenner::wire

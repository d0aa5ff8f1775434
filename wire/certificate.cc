#include "wire/certificate.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

namespace jenner::wire {

absl::StatusOr<absl::Time> NotAfter(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      memory == nullptr ? nullptr : PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr),
      X509_free);
  std::tm parts{};
  if (certificate == nullptr ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &parts) != 1) {
    return absl::InvalidArgumentError("no certificate (PEM)");
  }
  return absl::FromTM(parts, absl::UTCTimeZone());
}

}  // namespace jenner::wire

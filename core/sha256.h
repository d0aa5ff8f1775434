// SHA-256 (FIPS 180-4) by OpenSSL: names of datasets, jobs and blobs.
#ifndef JENNER_CORE_SHA256_H_
#define JENNER_CORE_SHA256_H_

#include <memory>
#include <string>
#include <string_view>

namespace jenner::core {

// 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

// True if `text` is 64 lower-case hex digits.
bool IsSha256Hex(std::string_view text);

// The same in pieces. Not thread-safe. Finish() once, after the last Update().
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void Update(std::string_view bytes);
  std::string FinishHex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jenner::core

#endif  // JENNER_CORE_SHA256_H_

// SHA-256 (FIPS 180-4) by OpenSSL: names of datasets, jobs and blobs.
#ifndef JENNER_CORE_SHA256_H_
#define JENNER_CORE_SHA256_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace jenner::core {

// 64 lower-case hex digits.
std::string Sha256Hex(std::string_view bytes);

// True if `text` is 64 lower-case hex digits.
bool IsSha256Hex(std::string_view text);

// Bytes are named by "sha256:<64 hex digits>" in specs and jobs (DatasetRef in core/spec.h,
// selections).
std::string RefOf(std::string_view bytes);
std::string RefOfHex(std::string_view hex);
// True if `text` begins as a reference does, whatever comes then.
bool LooksLikeRef(std::string_view text);
// The hex digits; nothing unless `ref` is a whole reference.
std::optional<std::string> HexOfRef(std::string_view ref);

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

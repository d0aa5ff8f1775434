#include "core/sha256.h"

#include <openssl/evp.h>

#include <algorithm>

#include "core/check.h"

namespace jenner::core {
namespace {

constexpr std::string_view kRefPrefix = "sha256:";

}  // namespace

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  JENNER_CHECK(EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) {
  JENNER_CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::FinishHex() {
  unsigned char digest[32];
  unsigned int size = 0;
  JENNER_CHECK(EVP_DigestFinal_ex(impl_->context, digest, &size) == 1 && size == sizeof digest);
  constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(64);
  for (const unsigned char byte : digest) {
    hex += kHex[byte >> 4];
    hex += kHex[byte & 15];
  }
  return hex;
}

std::string Sha256Hex(std::string_view bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.FinishHex();
}

bool IsSha256Hex(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string RefOf(std::string_view bytes) { return RefOfHex(Sha256Hex(bytes)); }

std::string RefOfHex(std::string_view hex) { return std::string(kRefPrefix).append(hex); }

bool LooksLikeRef(std::string_view text) { return text.starts_with(kRefPrefix); }

std::optional<std::string> HexOfRef(std::string_view ref) {
  if (!LooksLikeRef(ref)) return std::nullopt;
  const std::string_view hex = ref.substr(kRefPrefix.size());
  return IsSha256Hex(hex) ? std::optional<std::string>(hex) : std::nullopt;
}

}  // namespace jenner::core

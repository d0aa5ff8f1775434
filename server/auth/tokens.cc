#include "server/auth/tokens.h"

#include "absl/strings/str_format.h"
#include "core/sha256.h"

namespace jenner::auth {
namespace {

constexpr size_t kTokenBytes = kTokenPrefix.size() + 64;

// All bytes are looked at.
bool IsEqual(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

}  // namespace

std::string TokenText(const std::array<uint8_t, 32>& random) {
  std::string text(kTokenPrefix);
  for (const uint8_t byte : random) text += absl::StrFormat("%02x", byte);
  return text;
}

std::string HashOf(std::string_view token) { return core::Sha256Hex(token); }

std::optional<Role> ParseRole(std::string_view name) {
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kAdmin}) {
    if (name == RoleName(role)) return role;
  }
  return std::nullopt;
}

std::optional<Principal> FindToken(const std::vector<Token>& tokens, std::string_view token) {
  if (token.size() != kTokenBytes) return std::nullopt;
  const std::string hash = HashOf(token);
  const Token* found = nullptr;
  for (const Token& one : tokens) {
    if (IsEqual(one.sha256, hash)) found = &one;
  }
  if (found == nullptr) return std::nullopt;
  return Principal{Principal::Kind::kToken, found->name, found->project, found->role};
}

}  // namespace jenner::auth

// Bearer tokens: 256 random bits that only their owner has; the server keeps the SHA-256. A token
// has too much entropy to be guessed from its hash, so a slow hash would protect nothing. Pure.
#ifndef JENNER_SERVER_AUTH_TOKENS_H_
#define JENNER_SERVER_AUTH_TOKENS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/auth/principal.h"

namespace jenner::auth {

inline constexpr size_t kMaxTokens = 10'000;
inline constexpr std::string_view kTokenPrefix = "jenner_";  // for those who scan for secrets

struct Token {
  std::string name;  // core::IsId, unique
  Role role = Role::kViewer;
  std::string project;  // core::IsId or ""
  std::string sha256;   // of the token's text, in lower-case hex
  std::string created;  // RFC 3339
  bool operator==(const Token&) const = default;
};

// "jenner_<64 hex digits>" of these random bytes.
std::string TokenText(const std::array<uint8_t, 32>& random);
std::string HashOf(std::string_view token);

std::optional<Role> ParseRole(std::string_view name);

// Who presents `token`; nullopt: nobody known. Takes the same time whichever hash is how near.
std::optional<Principal> FindToken(const std::vector<Token>& tokens, std::string_view token);

}  // namespace jenner::auth

#endif  // JENNER_SERVER_AUTH_TOKENS_H_

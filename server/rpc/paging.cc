#include "server/rpc/paging.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

using Json = nlohmann::json;

std::string Binding(const std::string& arguments) {
  return core::Sha256Hex(arguments).substr(0, 16);
}

absl::Status NotOurs() {
  return wire::FaultStatus("page_token", "not a token that this call gave for these arguments");
}

}  // namespace

absl::StatusOr<int32_t> PageSize(int32_t asked) {
  if (asked < 0) {
    return wire::FaultStatus("page_size",
                             absl::StrFormat("expected 0 to %d; found %d", kMaxPageSize, asked));
  }
  return asked == 0 ? kDefaultPageSize : std::min(asked, kMaxPageSize);
}

std::string PageToken(const std::string& arguments, const std::vector<std::string>& position) {
  Json token = {Binding(arguments), position};
  return absl::WebSafeBase64Escape(token.dump(-1, ' ', false, Json::error_handler_t::replace));
}

absl::StatusOr<std::vector<std::string>> PagePosition(const std::string& arguments,
                                                      const std::string& token, size_t size) {
  if (token.empty()) return std::vector<std::string>{};
  std::string text;
  if (token.size() > 8192 || !absl::WebSafeBase64Unescape(token, &text)) return NotOurs();
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array() || json.size() != 2 || json[0] != Binding(arguments) ||
      !json[1].is_array() || json[1].size() != size) {
    return NotOurs();
  }
  std::vector<std::string> position;
  for (const Json& part : json[1]) {
    if (!part.is_string()) return NotOurs();
    position.push_back(part.get<std::string>());
  }
  // One spelling each: base64 and JSON would let others pass.
  if (PageToken(arguments, position) != token) return NotOurs();
  return position;
}

}  // namespace jenner::rpc

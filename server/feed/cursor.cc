#include "server/feed/cursor.h"

#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace jenner::feed {
namespace {

bool Number(std::string_view digits, int64_t* value) {
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos &&
         absl::SimpleAtoi(absl::string_view(digits.data(), digits.size()), value);
}

}  // namespace

std::string ToString(const Cursor& cursor) {
  return absl::StrFormat("e%d.m%d", cursor.event, cursor.metric);
}

absl::StatusOr<Cursor> ParseCursor(const std::string& text) {
  if (text.empty()) return Cursor{};
  const std::string_view view = text;
  const size_t dot = view.find(".m");
  Cursor cursor;
  if (view.front() == 'e' && dot != std::string_view::npos &&
      Number(view.substr(1, dot - 1), &cursor.event) &&
      Number(view.substr(dot + 2), &cursor.metric)) {
    return cursor;
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("cursor: \"%s\" is not one that this server gave", text.substr(0, 64)));
}

}  // namespace jenner::feed

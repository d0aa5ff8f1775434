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
  return absl::StrFormat("%s.e%d.m%d", cursor.experiment, cursor.event, cursor.metric);
}

absl::StatusOr<Cursor> ParseCursor(const std::string& text) {
  Cursor cursor;
  if (text.empty()) return cursor;
  const std::string_view view = text;
  const size_t event = view.find(".e");
  const size_t metric = view.find(".m");
  const bool is_cursor = event != 0 && event != std::string_view::npos &&
                         metric != std::string_view::npos && event < metric &&
                         Number(view.substr(event + 2, metric - event - 2), &cursor.event) &&
                         Number(view.substr(metric + 2), &cursor.metric);
  if (!is_cursor) {
    return absl::InvalidArgumentError(
        absl::StrFormat("\"%s\" is not one that this server gave", text.substr(0, 100)));
  }
  cursor.experiment = text.substr(0, event);
  return cursor;
}

}  // namespace jenner::feed

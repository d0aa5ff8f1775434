#include "core/version.h"

#include <array>
#include <charconv>
#include <cstdlib>

namespace jenner::core {

std::optional<Version> ParseVersion(std::string_view text) {
  constexpr size_t kMaxDigits = 6;
  std::array<int32_t, 3> numbers{};
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t end = i + 1 < numbers.size() ? text.find('.') : text.size();
    if (end == std::string_view::npos || end == 0 || end > kMaxDigits) return std::nullopt;
    const std::string_view digits = text.substr(0, end);
    if (digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    std::from_chars(digits.data(), digits.data() + digits.size(), numbers[i]);
    text.remove_prefix(i + 1 < numbers.size() ? end + 1 : end);
  }
  return Version{numbers[0], numbers[1], numbers[2]};
}

VersionSkew SkewOf(std::string_view one, std::string_view other) {
  const std::optional<Version> a = ParseVersion(one);
  const std::optional<Version> b = ParseVersion(other);
  if (!a || !b) return VersionSkew::kNone;
  if (a->major_number != b->major_number) return VersionSkew::kFar;
  const int32_t distance = std::abs(a->minor_number - b->minor_number);
  if (distance == 0) return VersionSkew::kNone;
  return distance == 1 ? VersionSkew::kNear : VersionSkew::kFar;
}

}  // namespace jenner::core

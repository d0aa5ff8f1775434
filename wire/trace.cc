#include "wire/trace.h"

#include <random>

#include "absl/strings/str_cat.h"

namespace jenner::wire {
namespace {

constexpr size_t kTraceDigits = 32;
constexpr size_t kSpanDigits = 16;
constexpr size_t kLength = 2 + 1 + kTraceDigits + 1 + kSpanDigits + 1 + 2;

std::string RandomHex(size_t num_digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  thread_local std::random_device device;
  std::string hex;
  while (hex.size() < num_digits) {
    unsigned int bits = device();
    for (int i = 0; i < 8; ++i, bits >>= 4) hex += kDigits[bits & 0xf];
  }
  hex.resize(num_digits);
  if (hex.find_first_not_of('0') == std::string::npos) hex.back() = '1';
  return hex;
}

bool IsHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::string NewTraceId() { return RandomHex(kTraceDigits); }

std::string Traceparent(const std::string& trace_id) {
  return absl::StrCat("00-", trace_id, "-", RandomHex(kSpanDigits), "-01");
}

std::optional<std::string> TraceIdOf(std::string_view traceparent) {
  // A later version may say more after another dash.
  if (traceparent.size() < kLength) return std::nullopt;
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view rest = traceparent.substr(kLength);
  const bool is_ended = rest.empty() || (version != "00" && rest[0] == '-');
  const std::string_view trace_id = traceparent.substr(3, kTraceDigits);
  const std::string_view span_id = traceparent.substr(3 + kTraceDigits + 1, kSpanDigits);
  const bool is_good = is_ended && IsHex(version) && version != "ff" && traceparent[2] == '-' &&
                       IsId(trace_id) && traceparent[3 + kTraceDigits] == '-' && IsId(span_id) &&
                       traceparent[kLength - 3] == '-' && IsHex(traceparent.substr(kLength - 2, 2));
  if (!is_good) return std::nullopt;
  return std::string(trace_id);
}

}  // namespace jenner::wire

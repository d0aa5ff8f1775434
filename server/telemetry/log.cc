#include "server/telemetry/log.h"

#include <unistd.h>

#include "absl/time/clock.h"

namespace jenner::telemetry {
namespace {

constexpr size_t kMaxValueBytes = 4096;

std::string Value(const std::string& text) {
  const bool is_plain = !text.empty() && text.find_first_of(" \"\\=\n\r\t") == std::string::npos;
  if (is_plain && text.size() <= kMaxValueBytes) return text;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kMaxValueBytes)) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += ' ';
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace

std::string LogLine(absl::Time time, Level level, const std::string& message,
                    const LogFields& fields) {
  const char* const name = level == Level::kInfo      ? "info"
                           : level == Level::kWarning ? "warning"
                                                      : "error";
  std::string line = "time=" + absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  line += std::string(" level=") + name + " msg=" + Value(message);
  for (const auto& [key, value] : fields) line += " " + key + "=" + Value(value);
  return line + "\n";
}

void Log(Level level, const std::string& message, const LogFields& fields) {
  const std::string line = LogLine(absl::Now(), level, message, fields);
  // A log that cannot be written is not worth dying for.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace jenner::telemetry

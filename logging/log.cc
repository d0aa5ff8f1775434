#include "logging/log.h"

#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace jenner::logging {
namespace {

constexpr size_t kMaxValueBytes = 4096;

struct Settings {
  Format format = Format::kText;
  Fields common;
};
Settings& Current() {
  static auto* const settings = new Settings;
  return *settings;
}

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

// "server/main.cc:12": without what is before the tree, as it is before this file.
std::string Source(const SourceLocation& where) {
  static constexpr std::string_view kThis = "logging/log.cc";
  const std::string_view here = SourceLocation::current().file_name();
  std::string_view file = where.file_name();
  const size_t root = here.size() - std::min(here.size(), kThis.size());
  if (file.substr(0, root) == here.substr(0, root)) file.remove_prefix(std::min(root, file.size()));
  return std::string(file) + ":" + std::to_string(where.line());
}

std::string TextLine(const std::string& time, Level level, const std::string& message,
                     const Fields& fields) {
  static constexpr std::array kNames = {"info", "warning", "error"};
  std::string line = absl::StrCat("time=", time, " level=", kNames[static_cast<size_t>(level)],
                                  " msg=", Value(message));
  for (const auto& [key, value] : fields) absl::StrAppend(&line, " ", key, "=", Value(value));
  return line + "\n";
}

std::string JsonLine(const std::string& time, Level level, const std::string& message,
                     const Fields& fields, const SourceLocation& where) {
  static constexpr std::array kNames = {"INFO", "WARNING", "ERROR"};
  nlohmann::ordered_json line = {{"time", time},
                                 {"severity", kNames[static_cast<size_t>(level)]},
                                 {"message", message.substr(0, kMaxValueBytes)},
                                 {"source", Source(where)}};
  for (const auto& [key, value] : fields) line[key] = value.substr(0, kMaxValueBytes);
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

void Configure(Format format, Fields common) { Current() = {format, std::move(common)}; }

Format CurrentFormat() { return Current().format; }

std::string Line(Format format, absl::Time time, Level level, const std::string& message,
                 const Fields& fields, const SourceLocation& where) {
  const std::string text = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  return format == Format::kText ? TextLine(text, level, message, fields)
                                 : JsonLine(text, level, message, fields, where);
}

void Log(Level level, const std::string& message, const Fields& fields,
         const SourceLocation& where) {
  const Settings& settings = Current();
  Fields all = fields;
  all.insert(all.end(), settings.common.begin(), settings.common.end());
  const std::string line = Line(settings.format, absl::Now(), level, message, all, where);
  // A log that cannot be written is not worth dying for.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace jenner::logging

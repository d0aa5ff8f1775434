// The server's log: one line an entry on standard error, key=value pairs (values in quotes where
// needed), e.g.
//   time=2026-11-24T12:00:00.000Z level=info msg="listening" address=127.0.0.1:7070
// Thread-safe: a line is one write.
#ifndef JENNER_SERVER_TELEMETRY_LOG_H_
#define JENNER_SERVER_TELEMETRY_LOG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace jenner::telemetry {

enum class Level { kInfo, kWarning, kError };
using LogFields = std::vector<std::pair<std::string, std::string>>;

std::string LogLine(absl::Time time, Level level, const std::string& message,
                    const LogFields& fields);
void Log(Level level, const std::string& message, const LogFields& fields = {});

}  // namespace jenner::telemetry

#endif  // JENNER_SERVER_TELEMETRY_LOG_H_

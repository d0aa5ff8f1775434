// The log of a server or an agent: one line an entry on standard error, as text, key=value pairs
// (values in quotes where needed), or as a JSON object, e.g.
//   time=2026-11-24T12:00:00.000Z level=info msg="attempt started" experiment=e1 job=j1
//   {"time":"2026-11-24T12:00:00.000Z","severity":"INFO","message":"attempt started",
//    "source":"server/coordinator_loop.cc:36","experiment":"e1","job":"j1"}   (in one line)
// docs/monitoring.md names the fields. Thread-safe: a line is one write.
#ifndef JENNER_LOGGING_LOG_H_
#define JENNER_LOGGING_LOG_H_

#include <experimental/source_location>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace jenner::logging {

enum class Level { kInfo, kWarning, kError };
enum class Format { kText, kJson };
using Fields = std::vector<std::pair<std::string, std::string>>;
// The clang of the fuzz preset (14) has no SourceLocation.
using SourceLocation = std::experimental::source_location;

// How lines look from now on, and what each of them ends with (which worker this is). Before there
// are other threads; without it lines are text.
void Configure(Format format, Fields common = {});
Format CurrentFormat();

// A line, as Log writes it. Bytes that are no UTF-8 are replaced in JSON; of a value 4 KiB are
// told.
std::string Line(Format format, absl::Time time, Level level, const std::string& message,
                 const Fields& fields, const SourceLocation& where);
void Log(Level level, const std::string& message, const Fields& fields = {},
         const SourceLocation& where = SourceLocation::current());

}  // namespace jenner::logging

#endif  // JENNER_LOGGING_LOG_H_

// W3C Trace Context (https://www.w3.org/TR/trace-context/, version 00) in the metadata of calls: a
// client may send "traceparent"; the server answers "traceresponse" in the trailing metadata, of
// the same form. Both are "00-<trace id, 32 hex digits>-<id of this call, 16>-01".
#ifndef JENNER_WIRE_TRACE_H_
#define JENNER_WIRE_TRACE_H_

#include <optional>
#include <string>
#include <string_view>

namespace jenner::wire {

inline constexpr char kTraceparent[] = "traceparent";
inline constexpr char kTraceresponse[] = "traceresponse";

// Random, never all zeros. Thread-safe.
std::string NewTraceId();
// A call of that trace, with a new id of its own.
std::string Traceparent(const std::string& trace_id);
// The trace id of a traceparent of any version; nothing: it is malformed, which counts as none.
std::optional<std::string> TraceIdOf(std::string_view traceparent);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_TRACE_H_

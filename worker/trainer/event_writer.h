// EventWriter: the trainer's event stream (docs/formats/trainer-events.md), one JSON object a line
// on a file descriptor. Numbers every line; never writes a number that is not finite. Not
// thread-safe.
#ifndef JENNER_WORKER_TRAINER_EVENT_WRITER_H_
#define JENNER_WORKER_TRAINER_EVENT_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/exit_code.h"

namespace jenner::trainer {

inline constexpr size_t kMaxEventBytes = size_t{1} << 20;           // of a line, its end included
inline constexpr size_t kMaxFailureMessageBytes = size_t{8} << 10;  // longer ones are cut

// True for the kinds of events that the coordinator takes.
bool IsTelemetry(const std::string& kind);

class EventWriter {
 public:
  // `fd` stays the caller's.
  explicit EventWriter(int fd) : fd_(fd) {}

  // From now on telemetry lines go to this descriptor, too; it stays the caller's.
  void CopyTelemetryTo(int fd) { copy_fd_ = fd; }

  // Writes {"kind": kind, "seq": n, ...fields} at once. Text that is not UTF-8 is replaced by
  // U+FFFD. Failure: kInternal for a non-finite number (names the field) or a line that is too
  // long, kStorage if it cannot be written.
  void Write(const std::string& kind, nlohmann::json fields);

  // The last line of a failure. `step`: the optimizer step that was done last.
  void WriteFailed(core::ExitCode code, const std::string& message, int64_t step);

 private:
  int fd_;
  int copy_fd_ = -1;
  int64_t seq_ = 0;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_EVENT_WRITER_H_

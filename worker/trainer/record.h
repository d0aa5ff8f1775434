// Record: what a rank tells the coordinator, kept as <out>/record-<rank>.jsonl. An agent that loses
// its lease or dies takes with it the lines that it had not sent; so an attempt that goes on from a
// checkpoint tells first what led there, and the event stream of every attempt is complete in
// itself. A checkpoint holds a copy of every rank's record (record_exchange.h), so that it can be
// gone on from anywhere; the file itself need not last. Never longer than the event stream of one
// attempt, which the agent bounds. Not thread-safe. Failure of kStorage for every I/O error.
#ifndef JENNER_WORKER_TRAINER_RECORD_H_
#define JENNER_WORKER_TRAINER_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker/trainer/event_writer.h"

namespace jenner::trainer {

class Record {
 public:
  static constexpr int64_t kPieceBytes = int64_t{1} << 20;

  // Opens the record, empty if there is none.
  explicit Record(std::string path);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  int64_t size_bytes() const;
  // The bytes from `begin` to `end`, at most kPieceBytes of them; fewer where it ends.
  std::string Read(int64_t begin, int64_t end) const;
  void Append(std::string_view bytes) const;
  void Clear() const;
  // Tells all that it has again, and from then on takes all telemetry of `events`, which must not
  // be written to after the end of this.
  void Continue(EventWriter* events) const;

 private:
  std::string path_;
  int fd_;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_RECORD_H_

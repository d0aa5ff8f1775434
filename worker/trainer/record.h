// Record: what a rank tells the coordinator, kept as <out>/record-<rank>.jsonl beside the
// checkpoints. An agent that loses its lease or dies takes with it the lines that it had not sent;
// so an attempt that goes on from a checkpoint tells first what led there, and the event stream of
// every attempt is complete in itself. A checkpoint holds the seal of every rank's record; what was
// written after that is cut off. Never longer than the event stream of one attempt, which the agent
// bounds. Not thread-safe. Failure of kStorage for every I/O error.
#ifndef JENNER_WORKER_TRAINER_RECORD_H_
#define JENNER_WORKER_TRAINER_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "worker/trainer/event_writer.h"

namespace jenner::trainer {

class Record {
 public:
  // By which the beginning of a record is known again: its bytes, and the first 8 bytes of their
  // SHA-256. Numbers, so that ranks can exchange them.
  static constexpr size_t kSealNumbers = 2;

  // Opens the record, empty if there is none.
  explicit Record(std::string path);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  int64_t size_bytes() const;
  // Makes it durable and seals its first `bytes`, or all if it is shorter.
  std::vector<int64_t> Seal(int64_t bytes) const;
  // Cuts it down to its first `bytes`, tells these again, and from then on takes all telemetry of
  // `events`, which must not be written to after the end of this.
  void Continue(int64_t bytes, EventWriter* events) const;

 private:
  std::string path_;
  int fd_;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_RECORD_H_

// Facts: what the event lines of a trainer (docs/formats/trainer-events.md) tell its agent. Pure.
#ifndef JENNER_WORKER_AGENT_FACTS_H_
#define JENNER_WORKER_AGENT_FACTS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace jenner::agent {

// Of an error message on its way to the coordinator.
inline constexpr size_t kMaxErrorBytes = 4096;

struct Artifact {
  std::string name;
  std::string path;
  std::string sha256;
  int64_t size_bytes = 0;
};

// A checkpoint that the trainer has written, durably and checked.
struct CheckpointFact {
  int32_t step = 0;  // 0: none
  std::string path;  // of its folder
};

// What trainers' event lines have told so far.
struct RankFacts {
  std::string store_address;
  int32_t step = 0;
  int32_t total_steps = 0;
  bool finished = false;
  std::string error_code;
  std::string error_message;
  std::vector<Artifact> artifacts;
  CheckpointFact checkpoint;  // the newest
  int32_t resumed_step = 0;   // of the checkpoint that it went on from; 0: none
  int64_t num_broken = 0;     // lines that are no events
};

// True if the coordinator takes this event line (UploadTelemetry in proto/jenner/v1/worker.proto).
bool IsTelemetry(const std::string& line);

// Takes what one event line tells into *facts. A line that is no event is counted.
void Learn(const std::string& line, RankFacts* facts);

// How a rank ended, as the coordinator is told.
struct Outcome {
  int exit_code = 0;  // core/exit_code.h, or 128 + the signal
  std::string error_code;
  std::string error_message;
};

// The outcome of a process that ended with `exit_code` (128 + the signal) after it had told
// `facts`; `was_stopped`: it had been sent SIGTERM; `last_words`: the end of its log. A success is
// one only if the trainer said so and every line that it wrote was an event.
Outcome OutcomeOf(int exit_code, bool was_stopped, const RankFacts& facts,
                  const std::string& last_words);

// `text` cut to at most max_bytes, with "?" for what is not UTF-8: messages carry nothing else.
std::string ToUtf8(std::string text, size_t max_bytes);

// The hex hashes of the datasets that a job file names by "sha256:<hex>".
std::vector<std::string> DatasetsOf(const std::string& job_json);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_FACTS_H_

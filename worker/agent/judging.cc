// What Agent does about judges: fills in the scores of samples that a judge is to give, before they
// are sent. The lines as they are then wait in judged.jsonl, so that each is asked about once in
// the life of an attempt, however often it takes to send it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/rank.h"

namespace jenner::agent {
namespace {

constexpr int64_t kRoundBytes = int64_t{1} << 20;  // of lines; the longest line

// Makes `text` what the file has from byte `offset` on. What a failed try left there is
// overwritten.
absl::Status WriteAt(const std::string& path, int64_t offset, std::string_view text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file.is_open()) return ErrnoStatus("open", path);
  if (ftruncate(file.get(), offset) != 0) return ErrnoStatus("truncate", path);
  while (!text.empty()) {
    const ssize_t n = pwrite(file.get(), text.data(), text.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("write", path);
    text.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return absl::OkStatus();
}

// The telemetry among `lines`, judged, each with its line end.
absl::StatusOr<std::string> JudgedText(const std::vector<std::string>& lines,
                                       const JudgedTraits& traits, Judges* judges,
                                       Cancellation* cancellation) {
  const std::vector<Question> questions = QuestionsOf(lines, traits);
  ASSIGN_OR_RETURN(const std::vector<Verdict> verdicts, judges->Ask(questions, cancellation));
  std::string text;
  size_t at = 0;  // in questions, which are in the order of their lines
  for (size_t i = 0; i < lines.size(); ++i) {
    std::vector<Question> of_line;
    std::vector<Verdict> found;
    for (; at < questions.size() && questions[at].line == i; ++at) {
      of_line.push_back(questions[at]);
      found.push_back(verdicts[at]);
    }
    if (IsTelemetry(lines[i])) text += JudgedLine(lines[i], of_line, found) + "\n";
  }
  return text;
}

}  // namespace

void Agent::RunJudges() { RunSteps({&Agent::JudgeLines}); }

bool Agent::JudgeLines(const std::shared_ptr<Rank>& rank) {
  int64_t from = 0;
  int64_t bytes = 0;
  bool is_over = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (rank->judged_traits.empty() || rank->is_judged) return false;
    if (rank->phase != Phase::kRunning && rank->phase != Phase::kUploading) return false;
    // Asked for before the file is read, as in SendTelemetry.
    is_over = rank->phase == Phase::kUploading;
    from = rank->judged_offset;
    bytes = rank->judged_bytes;
  }
  const auto lines = ReadLines(rank->folder + "/events.jsonl", from, kRoundBytes);
  absl::StatusOr<std::string> text = "";
  if (!lines.ok()) {
    text = lines.status();
  } else {
    text = JudgedText(lines->lines, rank->judged_traits, &judges_, &rank->calls);
    if (text.ok() && !text->empty()) {
      const absl::Status written = WriteAt(rank->folder + "/judged.jsonl", bytes, *text);
      if (!written.ok()) text = written;
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!Settle(rank.get(), &rank->judging, "judging", text.status())) return false;
  rank->judged_offset = lines->next_offset;
  rank->judged_bytes += static_cast<int64_t>(text->size());
  rank->is_judged = is_over && lines->lines.empty();
  return !lines->lines.empty();
}

}  // namespace jenner::agent

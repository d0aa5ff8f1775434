// MetricStore: what trainers measured. Train points and complete cells are rows of one numbered
// feed that watchers read from a cursor; samples are kept for listing and counted into cells. A
// second SQLite file, apart from the event log: nothing here is needed to replay the state.
//
// Not thread-safe but for NewestSeq: one thread owns it. Calls block on the disk. Codes besides
// those named: sqlite.h.
#ifndef JENNER_SERVER_STORE_METRIC_STORE_H_
#define JENNER_SERVER_STORE_METRIC_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/sqlite.h"
#include "server/store/trainer_event.h"

namespace jenner::store {

struct RankId {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  int32_t rank = 0;
};

struct TelemetryBatch {
  RankId rank;
  int32_t num_ranks = 1;                // of the gang: a cell waits for the evaluations of all
  std::vector<std::string> event_json;  // lines, each with its seq
  std::string log;                      // of standard error
  int64_t log_offset = 0;               // of its first byte
  absl::Time time = absl::UnixEpoch();  // when it came
};

struct TrainPoint {
  std::string job;
  int32_t attempt = 0;
  TrainStep step;
};

struct TraitCount {
  std::string trait;
  int32_t num_present = 0;  // scores of 1
  int32_t num_measured = 0;
  int32_t num_not_measurable = 0;
  double sum = 0;  // of what was measured
  bool operator==(const TraitCount&) const = default;
};

// All answers of one job at one step to one prompt set in one context.
struct Cell {
  std::string job;
  int32_t attempt = 0;
  int32_t step = 0;
  std::string prompt_set;
  std::string context;
  int32_t num_samples = 0;
  int32_t num_truncated = 0;
  int32_t num_degenerate = 0;
  std::vector<TraitCount> traits;  // by name
  bool operator==(const Cell&) const = default;
};

// A later attempt of a job begins to tell what it did: of what earlier ones told, only train points
// and cells up to `step` stay valid.
struct Rewind {
  std::string job;
  int32_t attempt = 0;  // the one that begins
  int32_t step = 0;     // -1: not even those of step 0
  bool operator==(const Rewind&) const = default;
};

struct FeedRow {
  int64_t seq = 0;  // grows, over all experiments; never used twice
  std::variant<TrainPoint, Cell, Rewind> value;
};

struct StoredSample {
  std::string job;
  int32_t attempt = 0;
  Sample sample;
};

struct SampleQuery {
  std::string experiment;
  std::vector<std::string> jobs = {};  // only these; all if empty
  std::optional<std::string> prompt_set = {};
  std::optional<std::string> context = {};
  std::optional<int32_t> step = {};
  // What follows this one; unset: from the first.
  struct Position {
    std::string job;
    int32_t step = 0;
    std::string prompt_set;
    std::string context;
    std::string prompt_id;
    int32_t sample_idx = 0;
  };
  std::optional<Position> after = {};
  int32_t limit = 50;
  int64_t max_bytes = int64_t{4} << 20;  // of answers; a page has at least one sample
};

struct SamplePage {
  std::vector<StoredSample> samples;  // by job, step, set, context, prompt id (as text), sample_idx
  bool has_more = false;
};

// One line of a rank's standard error.
struct LogLine {
  std::string job;
  int32_t attempt = 0;
  int32_t rank = 0;
  absl::Time time;   // when it came, to the microsecond
  std::string text;  // without its line end; at most a batch's log
};

struct LogQuery {
  std::string experiment;
  std::optional<std::string> job = {};
  std::optional<int32_t> attempt = {};
  std::optional<int32_t> rank = {};
  std::string contains = {};  // only lines with this in them
  // A place between two lines, in the order in which batches came.
  struct Position {
    int64_t seq = 0;         // of the batch; 0: before the first
    int64_t byte_count = 0;  // of it that are before the place
    bool operator==(const Position&) const = default;
  };
  Position after = {};
  int32_t limit = 50;
  int64_t max_bytes = int64_t{4} << 20;        // of text; a page has at least one line
  int64_t max_scan_bytes = int64_t{16} << 20;  // looked through for one page, which may be empty
};

struct LogPage {
  std::vector<LogLine> lines;  // by arrival of their batches, then as they were written
  LogQuery::Position next;     // what follows is after this
  bool has_more = false;       // not all that is stored was looked through
};

class MetricStore {
 public:
  static constexpr int64_t kMaxLogBytes = int64_t{1}
                                          << 20;  // kept of one rank's attempt, the newest

  static absl::StatusOr<std::unique_ptr<MetricStore>> Open(const std::string& path);
  // Writes what is in the file at `path` now to a new one, beside the server that writes it.
  static absl::Status Copy(const std::string& path, const std::string& to);

  // Durable when OK, all of it or nothing. Events whose (rank, seq) is known are ignored. Gives the
  // feed rows that came of it: a cell comes once all ranks' `evaluation` events and as many samples
  // as they count are there. A later attempt's samples and cells replace those of an earlier one;
  // its first line of rank 0, which no train point or cell of it can precede, makes a Rewind.
  //   InvalidArgument  a line that ParseTrainerEvent refuses (its index is told); nothing is stored
  absl::StatusOr<std::vector<FeedRow>> Add(const TelemetryBatch& batch);

  // The number of the newest feed row ever, 0 if there was none: it stays when rows are deleted.
  // From any thread.
  int64_t NewestSeq() const { return newest_seq_; }
  // At most `limit` rows of the experiment after `seq`, in order.
  absl::StatusOr<std::vector<FeedRow>> ReadFeed(const std::string& experiment, int64_t seq,
                                                int limit);
  // The complete cells, the newest attempt's of each (job, step, prompt set, context), in that
  // order.
  absl::StatusOr<std::vector<Cell>> Cells(const std::string& experiment);
  absl::StatusOr<SamplePage> Samples(const SampleQuery& query);
  // What is kept of the standard error of one rank's attempt.
  absl::StatusOr<std::string> Log(const RankId& rank);
  // The next lines after query.after. A batch's end is a line's end: agents cut at lines.
  // OutOfRange: `after` is ahead of all that was ever stored.
  absl::StatusOr<LogPage> LogLines(const LogQuery& query);
  // The newest query.limit lines in their order, whatever query.after is; `next` is the end of all
  // that is stored. Of a filter that lets little through, max_scan_bytes of the newest are looked
  // at.
  absl::StatusOr<LogPage> LogTail(const LogQuery& query);
  // Every experiment that has rows.
  absl::StatusOr<std::vector<std::string>> Experiments();
  absl::Status DeleteExperiment(const std::string& experiment);
  // Drops what attempts before `from` told of a job that a later one has done: the feed's rows,
  // logs, and what is known of what was received. Answers and cells are replaced as they are told
  // again. Returns the number of rows.
  absl::StatusOr<int64_t> DropAttempts(const std::string& experiment, const std::string& job,
                                       int32_t from);

 private:
  explicit MetricStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  absl::Status AddSample(const RankId& rank, const Sample& sample);
  absl::Status AddLog(const TelemetryBatch& batch);
  absl::StatusOr<int64_t> NewestLogSeq();  // ever, 0 if there was none
  absl::StatusOr<FeedRow> AddFeedRow(const RankId& rank, const TrainStep& step);
  // If this is the first that rank 0 of a later attempt tells.
  absl::StatusOr<std::optional<FeedRow>> AddRewind(const RankId& rank, const TrainerEvent& first);
  // Which cell of a job.
  struct CellKey {
    int32_t step = 0;
    std::string prompt_set;
    std::string context;
    auto operator<=>(const CellKey&) const = default;
  };
  absl::StatusOr<std::optional<FeedRow>> CompleteCell(const TelemetryBatch& batch,
                                                      const CellKey& key);
  absl::StatusOr<Cell> Count(const RankId& rank, const CellKey& key);

  std::unique_ptr<Database> database_;
  std::atomic<int64_t> newest_seq_ = 0;  // of what is durable
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_METRIC_STORE_H_

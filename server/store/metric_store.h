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
};

struct TrainPoint {
  std::string job;
  int32_t attempt = 0;
  TrainStep step;
};

struct TraitCount {
  std::string trait;
  int32_t num_present = 0;
  int32_t num_measured = 0;
  int32_t num_not_measurable = 0;
  bool operator==(const TraitCount&) const = default;
};

// All answers of one job at one step in one context.
struct Cell {
  std::string job;
  int32_t attempt = 0;
  int32_t step = 0;
  std::string context;
  int32_t num_samples = 0;
  int32_t num_truncated = 0;
  std::vector<TraitCount> traits;  // by name
  bool operator==(const Cell&) const = default;
};

struct FeedRow {
  int64_t seq = 0;  // grows, over all experiments; never used twice
  std::variant<TrainPoint, Cell> value;
};

struct StoredSample {
  std::string job;
  int32_t attempt = 0;
  Sample sample;
};

struct SampleQuery {
  std::string experiment;
  std::vector<std::string> jobs;  // only these; all if empty
  std::optional<std::string> context;
  std::optional<int32_t> step;
  // What follows this one; unset: from the first.
  struct Position {
    std::string job;
    int32_t step = 0;
    std::string context;
    std::string prompt_id;
    int32_t sample_idx = 0;
  };
  std::optional<Position> after;
  int32_t limit = 50;
  int64_t max_bytes = int64_t{4} << 20;  // of answers; a page has at least one sample
};

struct SamplePage {
  std::vector<StoredSample> samples;  // by job, step, context, prompt id (as text), sample_idx
  bool has_more = false;
};

class MetricStore {
 public:
  static constexpr int64_t kMaxLogBytes = int64_t{1}
                                          << 20;  // kept of one rank's attempt, the newest

  static absl::StatusOr<std::unique_ptr<MetricStore>> Open(const std::string& path);

  // Durable when OK, all of it or nothing. Events whose (rank, seq) is known are ignored. Gives the
  // feed rows that came of it: a cell comes once all ranks' `evaluation` events and as many samples
  // as they count are there. A later attempt's samples and cells replace those of an earlier one.
  //   InvalidArgument  a line that ParseTrainerEvent refuses (its index is told); nothing is stored
  absl::StatusOr<std::vector<FeedRow>> Add(const TelemetryBatch& batch);

  // The number of the newest feed row ever, 0 if there was none: it stays when rows are deleted.
  // From any thread.
  int64_t NewestSeq() const { return newest_seq_; }
  // At most `limit` rows of the experiment after `seq`, in order.
  absl::StatusOr<std::vector<FeedRow>> ReadFeed(const std::string& experiment, int64_t seq,
                                                int limit);
  // The complete cells, the newest attempt's of each (job, step, context), in that order.
  absl::StatusOr<std::vector<Cell>> Cells(const std::string& experiment);
  absl::StatusOr<SamplePage> Samples(const SampleQuery& query);
  // What is kept of the standard error of one rank's attempt.
  absl::StatusOr<std::string> Log(const RankId& rank);
  // Every experiment that has rows.
  absl::StatusOr<std::vector<std::string>> Experiments();
  absl::Status DeleteExperiment(const std::string& experiment);

 private:
  explicit MetricStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  absl::Status AddSample(const RankId& rank, const Sample& sample);
  absl::Status AddLog(const TelemetryBatch& batch);
  absl::StatusOr<FeedRow> AddFeedRow(const RankId& rank, const TrainStep& step);
  absl::StatusOr<std::optional<FeedRow>> CompleteCell(const TelemetryBatch& batch, int32_t step,
                                                      const std::string& context);
  absl::StatusOr<Cell> Count(const RankId& rank, int32_t step, const std::string& context);

  std::unique_ptr<Database> database_;
  std::atomic<int64_t> newest_seq_ = 0;  // of what is durable
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_METRIC_STORE_H_

// Prometheus metrics of the server. All of them are declared in one table (MetricTable), which
// tests and the reference in docs/ are made from. Label values come from ids that a spec bounds,
// and the number of series with an experiment label is capped. Thread-safe; no call blocks on I/O.
#ifndef JENNER_SERVER_TELEMETRY_METRICS_H_
#define JENNER_SERVER_TELEMETRY_METRICS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/cell_format.h"
#include "server/coordinator/event.h"
#include "server/coordinator/state.h"

namespace jenner::telemetry {

enum class MetricType { kCounter, kGauge, kHistogram };

struct MetricRow {
  const char* name;
  MetricType type;
  const char* help;
  const char* labels;  // comma-separated
};

// Every metric that the server exposes.
const std::vector<MetricRow>& MetricTable();

// Whose a training or evaluation figure is.
struct SeriesOwner {
  std::string experiment;
  std::string job;
  struct Arm {
    std::string name;
    int64_t seed = 0;
    std::string role = {};  // core/roles.h; "": none
  };
  std::vector<Arm> arms;         // that share the job
  core::CellFormat format = {};  // of its cells
};
SeriesOwner OwnerOf(const coordinator::Experiment& experiment, const coordinator::Job& job);

struct TrainFigures {
  int32_t step = 0;
  double loss = 0;
  int64_t tokens = 0;  // of this step
  double tokens_per_second = 0;
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  absl::Time time = absl::UnixEpoch();  // when it was heard of
};

struct TraitFigures {
  std::string trait;
  int32_t num_present = 0;
  int32_t num_measured = 0;
  int32_t num_not_measurable = 0;
  double sum = 0;  // of what was measured
};

class Metrics {
 public:
  // After this long the train and evaluation series of an ended job are no longer exposed.
  static constexpr absl::Duration kGrace = absl::Minutes(5);
  // What queued jobs wait for costs a walk through the queue.
  static constexpr absl::Duration kQueueLook = absl::Seconds(10);
  static constexpr int kMaxSeries = 20'000;  // with an experiment label; later ones are dropped

  explicit Metrics(const std::string& version);
  ~Metrics();

  // From now on only who this is is exposed; `epoch` of the lead that it waits for, once known.
  void StandsBy(std::optional<int64_t> epoch);
  // From now on all is. `epoch` 0: the event log is not shared.
  void Leads(int64_t epoch);

  // Gauges of states, workers and slots; drops series of jobs that ended kGrace ago. One thread
  // calls this and LookAtQueue.
  void Observe(const coordinator::State& state, absl::Time now);
  // What queued jobs wait for; does nothing within kQueueLook of the last time.
  void LookAtQueue(const coordinator::State& state, absl::Time now);
  // Attempts and roles as a replay left them, of jobs that have not ended.
  void ShowJobs(const coordinator::State& state);
  // Counts `event`, given the State after it; drops the series of a deleted experiment.
  void CountEvent(const coordinator::Event& event, const coordinator::State& state);
  void Train(const SeriesOwner& owner, const TrainFigures& figures);
  // A complete cell. Of several steps the latest is shown.
  void Cell(const SeriesOwner& owner, int32_t step, const std::string& prompt_set,
            const std::string& context, const std::vector<TraitFigures>& traits);
  void SetWatchStreams(int count);
  // For how long the slowest reader has taken nothing.
  void SetWatchStall(absl::Duration duration);
  // A stream ended for that.
  void WatchCut();
  void StoreCommitted(std::string_view store, absl::Duration duration);
  // What follows from a group of commands was decided: ends, placements, preemptions.
  void Scheduled(absl::Duration duration);
  // What is used on disk; `store` is events, metrics or blobs.
  void SetStoreBytes(const std::string& store, int64_t bytes);
  // What retention threw away; `what` is experiments, rows or blobs.
  void Removed(const std::string& what, int64_t count, int64_t bytes);
  // A look of retention came to its end.
  void RetentionEnded(absl::Time time);
  // `method` as in "Experiments/GetExperiment", `code` as in "NOT_FOUND".
  void CallHandled(const std::string& method, const std::string& code);

  // The exposition text, as a scrape gives it.
  std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jenner::telemetry

#endif  // JENNER_SERVER_TELEMETRY_METRICS_H_

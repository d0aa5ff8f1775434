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
  std::vector<std::pair<std::string, int64_t>> arms;  // (arm, seed)
  core::CellFormat format = {};                       // of its cells
};

struct TrainFigures {
  int32_t step = 0;
  double loss = 0;
  int64_t tokens = 0;  // of this step
  double tokens_per_second = 0;
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
  static constexpr int kMaxSeries = 20'000;  // with an experiment label; later ones are dropped

  explicit Metrics(const std::string& version);
  ~Metrics();

  // Gauges of states, workers and slots; drops series of jobs that ended kGrace ago.
  void Observe(const coordinator::State& state, absl::Time now);
  // Counts `event`, given the State after it; drops the series of a deleted experiment.
  void CountEvent(const coordinator::Event& event, const coordinator::State& state);
  void Train(const SeriesOwner& owner, const TrainFigures& figures);
  // A complete cell. Of several steps the latest is shown.
  void Cell(const SeriesOwner& owner, int32_t step, const std::string& prompt_set,
            const std::string& context, const std::vector<TraitFigures>& traits);
  void SetWatchStreams(int count);
  void StoreCommitted(std::string_view store, absl::Duration duration);
  // What follows from a group of commands was decided: ends, placements, preemptions.
  void Scheduled(absl::Duration duration);
  // What is used on disk; `store` is events, metrics or blobs.
  void SetStoreBytes(const std::string& store, int64_t bytes);
  // What retention threw away; `what` is experiments, rows or blobs.
  void Removed(const std::string& what, int64_t count, int64_t bytes);
  // `method` as in "Experiments/GetExperiment", `code` as in "NOT_FOUND".
  void CallHandled(const std::string& method, const std::string& code);

  // The exposition text, as a scrape gives it.
  std::string Text() const;

 private:
  friend class Exposer;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Serves GET /metrics over plain HTTP on threads of its own.
class Exposer {
 public:
  // `address` "host:port"; port 0 picks one. FailedPrecondition: the port is taken, or the address
  // is none of this machine's. `metrics` must outlive it.
  static absl::StatusOr<std::unique_ptr<Exposer>> Start(const std::string& address,
                                                        const Metrics& metrics);
  ~Exposer();
  int port() const { return port_; }

 private:
  struct Impl;
  Exposer(std::unique_ptr<Impl> impl, int port);
  std::unique_ptr<Impl> impl_;
  int port_;
};

}  // namespace jenner::telemetry

#endif  // JENNER_SERVER_TELEMETRY_METRICS_H_

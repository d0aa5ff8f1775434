#include "server/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/statistics/wilson.h"

namespace jenner::telemetry {
namespace {

using coordinator::RunState;
using prometheus::Labels;

constexpr std::array<std::pair<RunState, const char*>, 8> kStates = {
    {{RunState::kQueued, "queued"},
     {RunState::kRunning, "running"},
     {RunState::kPausing, "pausing"},
     {RunState::kPaused, "paused"},
     {RunState::kCancelling, "cancelling"},
     {RunState::kSucceeded, "succeeded"},
     {RunState::kFailed, "failed"},
     {RunState::kCancelled, "cancelled"}}};

// One second to a day, and one tenth of a millisecond to ten seconds.
const prometheus::Histogram::BucketBoundaries kWaitBuckets = {1,   2,   5,    10,   30,    60,
                                                              300, 900, 3600, 7200, 21600, 86400};
const prometheus::Histogram::BucketBoundaries kCommitBuckets = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 10};

std::string Number(int64_t value) { return absl::StrFormat("%d", value); }

}  // namespace

const std::vector<MetricRow>& MetricTable() {
  using enum MetricType;
  static const auto* const kTable = new std::vector<MetricRow>{
      {"jenner_build_info", kGauge, "Always 1; the label tells the version of the server.",
       "version"},
      {"jenner_experiments", kGauge, "Experiments known, by state.", "state"},
      {"jenner_jobs", kGauge, "Jobs of all experiments known, by state.", "state"},
      {"jenner_job_queue_wait_seconds", kHistogram,
       "Time from being queued to the start of an attempt.", ""},
      {"jenner_job_attempts_total", kCounter, "Attempts started.", ""},
      {"jenner_job_requeues_total", kCounter,
       "Attempts that failed and were queued again, by the reason's code.", "reason"},
      {"jenner_workers", kGauge, "Workers known, alive or lost (their lease ran out).", "state"},
      {"jenner_slots", kGauge, "Slots of live workers, used or free.", "state"},
      {"jenner_gpus", kGauge, "GPUs of live workers, used or free.", "state"},
      {"jenner_train_loss", kGauge,
       "Mean negative log-likelihood of the last optimizer step, nats per supervised token.",
       "experiment,arm,seed,job"},
      {"jenner_train_step", kGauge, "The last optimizer step heard of.", "experiment,arm,seed,job"},
      {"jenner_train_tokens_total", kCounter, "Tokens trained on, padding excluded.",
       "experiment,arm,seed,job"},
      {"jenner_train_tokens_per_second", kGauge, "Throughput of the last optimizer step.",
       "experiment,arm,seed,job"},
      {"jenner_eval_trait_ratio", kGauge,
       "Mean score of the measured answers at the latest evaluated step; of a binary trait its "
       "share.",
       "experiment,arm,seed,prompt_set,context,trait"},
      {"jenner_eval_trait_ratio_ci_low", kGauge,
       "Lower end of Wilson's 95 % interval of it; none with several answers a prompt.",
       "experiment,arm,seed,prompt_set,context,trait"},
      {"jenner_eval_trait_ratio_ci_high", kGauge,
       "Upper end of Wilson's 95 % interval of it; none with several answers a prompt.",
       "experiment,arm,seed,prompt_set,context,trait"},
      {"jenner_eval_trait_not_measurable", kGauge,
       "Answers at that step in which the trait cannot be measured; they are in no ratio.",
       "experiment,arm,seed,prompt_set,context,trait"},
      {"jenner_eval_step", kGauge, "The latest evaluated step.",
       "experiment,arm,seed,prompt_set,context"},
      {"jenner_series_dropped_total", kCounter,
       "Figures not exposed because there are too many series with an experiment label.", ""},
      {"jenner_watch_streams", kGauge, "Watch streams open.", ""},
      {"jenner_events_total", kCounter, "Events decided by the coordinator since the start.", ""},
      {"jenner_schedule_seconds", kHistogram,
       "Time that it took to decide what follows from a group of commands: ends, placements, "
       "preemptions.",
       ""},
      {"jenner_store_commit_seconds", kHistogram,
       "Time that a durable write took; store is events or metrics.", "store"},
      {"jenner_store_bytes", kGauge,
       "Bytes on disk, as retention saw them last; store is events, metrics or blobs.", "store"},
      {"jenner_removed_total", kCounter,
       "What retention threw away; what is experiments, rows or blobs.", "what"},
      {"jenner_removed_bytes_total", kCounter, "Bytes of the blobs that retention threw away.", ""},
      {"jenner_grpc_handled_total", kCounter, "Calls answered, by method and status code.",
       "method,code"},
  };
  return *kTable;
}

struct Metrics::Impl {
  template <typename T>
  using Families = std::map<std::string, prometheus::Family<T>*>;

  // A series that ends with its experiment or some time after its job.
  struct Series {
    prometheus::Gauge* gauge = nullptr;
    prometheus::Counter* counter = nullptr;
    std::string experiment;
    std::string job;
    int32_t step = 0;
  };
  using SeriesKey = std::pair<std::string, Labels>;  // metric name and labels

  explicit Impl(const std::string& version) : registry(std::make_shared<prometheus::Registry>()) {
    for (const MetricRow& row : MetricTable()) {
      if (row.type == MetricType::kGauge) {
        gauges[row.name] =
            &prometheus::BuildGauge().Name(row.name).Help(row.help).Register(*registry);
      } else if (row.type == MetricType::kCounter) {
        counters[row.name] =
            &prometheus::BuildCounter().Name(row.name).Help(row.help).Register(*registry);
      } else {
        histograms[row.name] =
            &prometheus::BuildHistogram().Name(row.name).Help(row.help).Register(*registry);
      }
    }
    Gauge("jenner_build_info", {{"version", version}}).Set(1);
    for (const auto& [state, name] : kStates) {
      Gauge("jenner_experiments", {{"state", name}});
      Gauge("jenner_jobs", {{"state", name}});
    }
    for (const char* state : {"alive", "lost"}) Gauge("jenner_workers", {{"state", state}});
    for (const char* state : {"used", "free"}) {
      Gauge("jenner_slots", {{"state", state}});
      Gauge("jenner_gpus", {{"state", state}});
    }
    for (const char* name : {"jenner_job_attempts_total", "jenner_series_dropped_total",
                             "jenner_events_total", "jenner_removed_bytes_total"}) {
      Counter(name, {});
    }
    for (const char* store : {"events", "metrics", "blobs"}) {
      Gauge("jenner_store_bytes", {{"store", store}});
    }
    for (const char* what : {"experiments", "rows", "blobs"}) {
      Counter("jenner_removed_total", {{"what", what}});
    }
    Gauge("jenner_watch_streams", {});
    queue_wait = &histograms.at("jenner_job_queue_wait_seconds")->Add({}, kWaitBuckets);
    schedule = &histograms.at("jenner_schedule_seconds")->Add({}, kCommitBuckets);
    for (const char* store : {"events", "metrics"}) {
      commits[store] =
          &histograms.at("jenner_store_commit_seconds")->Add({{"store", store}}, kCommitBuckets);
    }
  }

  prometheus::Gauge& Gauge(const std::string& name, const Labels& labels) {
    return gauges.at(name)->Add(labels);
  }
  prometheus::Counter& Counter(const std::string& name, const Labels& labels) {
    return counters.at(name)->Add(labels);
  }

  // Codes are those of docs/formats/trainer-events.md and of the coordinator, but an agent could
  // make others up: only the first so many get a series of their own.
  std::string Bounded(const std::string& reason) {
    constexpr size_t kMaxReasons = 64;
    const std::lock_guard<std::mutex> lock(mutex);
    if (reasons.count(reason) == 0 && reasons.size() >= kMaxReasons) return "OTHER";
    reasons.insert(reason);
    return reason;
  }

  // REQUIRES, like the next two: mutex is held. The series, made if it is not there; null if there
  // are too many.
  Series* Find(const std::string& name, const Labels& labels, const SeriesOwner& owner) {
    const SeriesKey key(name, labels);
    const auto found = series.find(key);
    if (found != series.end()) return &found->second;
    if (static_cast<int>(series.size()) >= kMaxSeries) {
      Counter("jenner_series_dropped_total", {}).Increment();
      return nullptr;
    }
    Series made;
    made.experiment = owner.experiment;
    made.job = owner.job;
    if (gauges.count(name) > 0) {
      made.gauge = &Gauge(name, labels);
    } else {
      made.counter = &Counter(name, labels);
    }
    return &series.emplace(key, made).first->second;
  }
  void SetGauge(const std::string& name, const Labels& labels, const SeriesOwner& owner,
                double value) {
    Series* one = Find(name, labels, owner);
    if (one == nullptr) return;
    one->job = owner.job;
    one->gauge->Set(value);
  }
  template <typename Predicate>
  void RemoveIf(Predicate predicate) {
    for (auto at = series.begin(); at != series.end();) {
      if (!predicate(at->second)) {
        ++at;
        continue;
      }
      if (at->second.gauge != nullptr) gauges.at(at->first.first)->Remove(at->second.gauge);
      if (at->second.counter != nullptr) counters.at(at->first.first)->Remove(at->second.counter);
      at = series.erase(at);
    }
  }

  std::shared_ptr<prometheus::Registry> registry;
  Families<prometheus::Gauge> gauges;
  Families<prometheus::Counter> counters;
  Families<prometheus::Histogram> histograms;
  prometheus::Histogram* queue_wait = nullptr;
  prometheus::Histogram* schedule = nullptr;
  std::map<std::string, prometheus::Histogram*, std::less<>> commits;

  // Guards series and reasons; the registry guards itself.
  std::mutex mutex;
  std::map<SeriesKey, Series> series;
  std::set<std::string> reasons;
};

Metrics::Metrics(const std::string& version) : impl_(std::make_unique<Impl>(version)) {}

Metrics::~Metrics() = default;

void Metrics::Observe(const coordinator::State& state, absl::Time now) {
  std::map<RunState, int> experiments;
  std::map<RunState, int> jobs;
  for (const auto& [id, experiment] : state.experiments) {
    ++experiments[experiment.state];
    for (const coordinator::Job& job : experiment.jobs) ++jobs[job.state];
  }
  for (const auto& [run_state, name] : kStates) {
    impl_->Gauge("jenner_experiments", {{"state", name}}).Set(experiments[run_state]);
    impl_->Gauge("jenner_jobs", {{"state", name}}).Set(jobs[run_state]);
  }
  int alive = 0;
  int lost = 0;
  int64_t slots = 0;
  int64_t used = 0;
  int64_t gpus = 0;
  int64_t gpus_used = 0;
  for (const auto& [id, worker] : state.liveness.workers) {
    const bool is_alive = coordinator::IsAlive(worker, now);
    ++(is_alive ? alive : lost);
    if (!is_alive) continue;
    slots += worker.slots;
    const coordinator::Held held = coordinator::HeldOn(state, id);
    used += held.slots;
    gpus += worker.gpus;
    gpus_used += held.gpus;
  }
  impl_->Gauge("jenner_workers", {{"state", "alive"}}).Set(alive);
  impl_->Gauge("jenner_workers", {{"state", "lost"}}).Set(lost);
  impl_->Gauge("jenner_slots", {{"state", "used"}}).Set(static_cast<double>(used));
  impl_->Gauge("jenner_slots", {{"state", "free"}})
      .Set(static_cast<double>(std::max<int64_t>(slots - used, 0)));
  impl_->Gauge("jenner_gpus", {{"state", "used"}}).Set(static_cast<double>(gpus_used));
  impl_->Gauge("jenner_gpus", {{"state", "free"}})
      .Set(static_cast<double>(std::max<int64_t>(gpus - gpus_used, 0)));

  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->RemoveIf([&](const Impl::Series& one) {
    const auto experiment = state.experiments.find(one.experiment);
    if (experiment == state.experiments.end()) return true;
    const coordinator::Job* job = experiment->second.Find(one.job);
    return job == nullptr || (IsTerminal(job->state) && now - job->end_time > kGrace);
  });
}

void Metrics::CountEvent(const coordinator::Event& event, const coordinator::State& state) {
  impl_->Counter("jenner_events_total", {}).Increment();
  if (const auto* started = std::get_if<coordinator::AttemptStarted>(&event.body)) {
    impl_->Counter("jenner_job_attempts_total", {}).Increment();
    const auto experiment = state.experiments.find(started->experiment);
    if (experiment == state.experiments.end()) return;
    if (const coordinator::Job* job = experiment->second.Find(started->job)) {
      impl_->queue_wait->Observe(absl::ToDoubleSeconds(event.time - job->queue_time));
    }
  } else if (const auto* requeued = std::get_if<coordinator::JobRequeued>(&event.body)) {
    impl_->Counter("jenner_job_requeues_total", {{"reason", impl_->Bounded(requeued->reason.code)}})
        .Increment();
  } else if (const auto* deleted = std::get_if<coordinator::ExperimentDeleted>(&event.body)) {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    impl_->RemoveIf([&](const Impl::Series& one) { return one.experiment == deleted->experiment; });
  }
}

void Metrics::Train(const SeriesOwner& owner, const TrainFigures& figures) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const auto& [arm, seed] : owner.arms) {
    const Labels labels = {
        {"experiment", owner.experiment}, {"arm", arm}, {"seed", Number(seed)}, {"job", owner.job}};
    impl_->SetGauge("jenner_train_loss", labels, owner, figures.loss);
    impl_->SetGauge("jenner_train_step", labels, owner, figures.step);
    impl_->SetGauge("jenner_train_tokens_per_second", labels, owner, figures.tokens_per_second);
    if (Impl::Series* tokens = impl_->Find("jenner_train_tokens_total", labels, owner)) {
      tokens->counter->Increment(static_cast<double>(figures.tokens));
    }
  }
}

void Metrics::Cell(const SeriesOwner& owner, int32_t step, const std::string& prompt_set,
                   const std::string& context, const std::vector<TraitFigures>& traits) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const auto& [arm, seed] : owner.arms) {
    Labels labels = {{"experiment", owner.experiment},
                     {"arm", arm},
                     {"seed", Number(seed)},
                     {"prompt_set", prompt_set},
                     {"context", context}};
    Impl::Series* latest = impl_->Find("jenner_eval_step", labels, owner);
    if (latest == nullptr || step < latest->step) continue;
    // Not that of a late cell of an earlier step, whose job may have ended long ago.
    latest->job = owner.job;
    latest->step = step;
    latest->gauge->Set(step);
    for (const TraitFigures& trait : traits) {
      labels["trait"] = trait.trait;
      impl_->SetGauge("jenner_eval_trait_not_measurable", labels, owner, trait.num_not_measurable);
      if (trait.num_measured <= 0) continue;
      impl_->SetGauge("jenner_eval_trait_ratio", labels, owner, trait.sum / trait.num_measured);
      if (!owner.format.HasWilson(prompt_set, trait.trait, trait.num_measured)) continue;
      const statistics::Interval interval =
          statistics::Wilson(trait.num_present, trait.num_measured);
      impl_->SetGauge("jenner_eval_trait_ratio_ci_low", labels, owner, interval.low);
      impl_->SetGauge("jenner_eval_trait_ratio_ci_high", labels, owner, interval.high);
    }
  }
}

void Metrics::SetWatchStreams(int count) { impl_->Gauge("jenner_watch_streams", {}).Set(count); }

void Metrics::StoreCommitted(std::string_view store, absl::Duration duration) {
  const auto found = impl_->commits.find(store);
  JENNER_CHECK(found != impl_->commits.end());
  found->second->Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::Scheduled(absl::Duration duration) {
  impl_->schedule->Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::SetStoreBytes(const std::string& store, int64_t bytes) {
  impl_->Gauge("jenner_store_bytes", {{"store", store}}).Set(static_cast<double>(bytes));
}

void Metrics::Removed(const std::string& what, int64_t count, int64_t bytes) {
  impl_->Counter("jenner_removed_total", {{"what", what}}).Increment(static_cast<double>(count));
  impl_->Counter("jenner_removed_bytes_total", {}).Increment(static_cast<double>(bytes));
}

void Metrics::CallHandled(const std::string& method, const std::string& code) {
  impl_->Counter("jenner_grpc_handled_total", {{"method", method}, {"code", code}}).Increment();
}

std::string Metrics::Text() const {
  return prometheus::TextSerializer().Serialize(impl_->registry->Collect());
}

struct Exposer::Impl {
  explicit Impl(const std::string& address) : exposer(address, /*num_threads=*/2) {}
  prometheus::Exposer exposer;
};

Exposer::Exposer(std::unique_ptr<Impl> impl, int port) : impl_(std::move(impl)), port_(port) {}

Exposer::~Exposer() = default;

absl::StatusOr<std::unique_ptr<Exposer>> Exposer::Start(const std::string& address,
                                                        const Metrics& metrics) {
  try {
    auto impl = std::make_unique<Impl>(address);
    impl->exposer.RegisterCollectable(metrics.impl_->registry);
    const std::vector<int> ports = impl->exposer.GetListeningPorts();
    const int port = ports.empty() ? 0 : ports.front();
    return std::unique_ptr<Exposer>(new Exposer(std::move(impl), port));
  } catch (const std::exception&) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "metrics cannot be served at %s: the port is taken or the address is not of this machine",
        address));
  }
}

}  // namespace jenner::telemetry

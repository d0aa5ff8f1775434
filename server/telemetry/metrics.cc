#include "server/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/statistics/wilson.h"
#include "server/coordinator/pending.h"

namespace jenner::telemetry {
namespace {

using coordinator::RunState;
using prometheus::Labels;

constexpr char kOtherReason[] = "OTHER";
constexpr char kLastStep[] = "jenner_train_last_step_timestamp_seconds";
// Who this is, whether it leads or not.
constexpr std::array kIdentity = {"jenner_build_info", "jenner_leader", "jenner_leader_epoch"};

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

// What a queued job may wait for (coordinator/pending.h).
constexpr std::array kWaits = {"WAITS_FOR_JOB",   "NO_WORKERS",  "WORKERS_CORDONED",
                               "MODEL_NOT_FOUND", "NO_GPU",      "BACK_OFF",
                               "QUOTA_SLOTS",     "NO_CAPACITY", kOtherReason};

std::string Number(int64_t value) { return absl::StrFormat("%d", value); }

double UnixSeconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

Labels TrainLabels(const SeriesOwner& owner, const SeriesOwner::Arm& arm) {
  return {{"experiment", owner.experiment},
          {"arm", arm.name},
          {"seed", Number(arm.seed)},
          {"job_id", owner.job}};
}

}  // namespace

struct Metrics::Impl {
  template <typename T>
  using Families = std::map<std::string, prometheus::Family<T>*>;

  // A series that ends with its experiment, or some time after its job or, if `job` is empty, after
  // its experiment has ended.
  struct Series {
    prometheus::Gauge* gauge = nullptr;
    prometheus::Counter* counter = nullptr;
    std::string experiment;
    std::string job;
    int32_t step = 0;
  };
  using SeriesKey = std::pair<std::string, Labels>;  // metric name and labels

  explicit Impl(const std::string& version) {
    for (const MetricRow& row : MetricTable()) {
      const bool is_identity = std::find(kIdentity.begin(), kIdentity.end(),
                                         std::string_view(row.name)) != kIdentity.end();
      prometheus::Registry& registry = is_identity ? identity : figures;
      if (row.type == MetricType::kGauge) {
        gauges[row.name] =
            &prometheus::BuildGauge().Name(row.name).Help(row.help).Register(registry);
      } else if (row.type == MetricType::kCounter) {
        counters[row.name] =
            &prometheus::BuildCounter().Name(row.name).Help(row.help).Register(registry);
      } else {
        histograms[row.name] =
            &prometheus::BuildHistogram().Name(row.name).Help(row.help).Register(registry);
      }
    }
    Gauge("jenner_build_info", {{"version", version}}).Set(1);
    Gauge("jenner_leader", {});
    for (const char* reason : kWaits) Gauge("jenner_queued_jobs", {{"reason", reason}});
    for (const auto& [state, name] : kStates) {
      Gauge("jenner_experiments", {{"state", name}});
      Gauge("jenner_jobs", {{"state", name}});
    }
    for (const char* state : {"alive", "lost"}) Gauge("jenner_workers", {{"state", state}});
    for (const char* state : {"used", "free"}) {
      Gauge("jenner_slots", {{"state", state}});
      Gauge("jenner_gpus", {{"state", state}});
    }
    for (const char* name :
         {"jenner_job_attempts_total", "jenner_series_dropped_total", "jenner_events_total",
          "jenner_removed_bytes_total", "jenner_watch_cut_total"}) {
      Counter(name, {});
    }
    for (const char* store : {"events", "metrics", "blobs"}) {
      Gauge("jenner_store_bytes", {{"store", store}});
    }
    for (const char* what : {"experiments", "rows", "blobs"}) {
      Counter("jenner_removed_total", {{"what", what}});
    }
    for (const char* name : {"jenner_watch_streams", "jenner_watch_stall_seconds",
                             "jenner_retention_last_run_timestamp_seconds"}) {
      Gauge(name, {});
    }
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
    if (reasons.count(reason) == 0 && reasons.size() >= kMaxReasons) return kOtherReason;
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
      if (!predicate(at->first.first, at->second)) {
        ++at;
        continue;
      }
      if (at->second.gauge != nullptr) gauges.at(at->first.first)->Remove(at->second.gauge);
      if (at->second.counter != nullptr) counters.at(at->first.first)->Remove(at->second.counter);
      at = series.erase(at);
    }
  }

  // The arms of a job: their roles and, of a training, its attempts. REQUIRES: mutex is held.
  void ShowJob(const coordinator::Experiment& experiment, const coordinator::Job& job) {
    const SeriesOwner owner = OwnerOf(experiment, job);
    SeriesOwner whole = owner;
    whole.job.clear();
    for (const SeriesOwner::Arm& arm : owner.arms) {
      if (!arm.role.empty()) {
        SetGauge("jenner_arm_info",
                 {{"experiment", owner.experiment}, {"arm", arm.name}, {"role", arm.role}}, whole,
                 1);
      }
      if (!job.plan.spec.training.has_value()) continue;
      SetGauge("jenner_train_attempts", TrainLabels(owner, arm), owner, job.attempt);
    }
  }

  // Whether a series is to go.
  static bool IsOver(const std::string& name, const Series& one, const coordinator::State& state,
                     absl::Time now) {
    const auto found = state.experiments.find(one.experiment);
    if (found == state.experiments.end()) return true;
    const coordinator::Experiment& experiment = found->second;
    const auto ended = [now](RunState run_state, absl::Time end) {
      return IsTerminal(run_state) && now - end > kGrace;
    };
    if (one.job.empty()) return ended(experiment.state, experiment.end_time);
    const coordinator::Job* job = experiment.Find(one.job);
    if (job == nullptr || ended(job->state, job->end_time)) return true;
    return name == kLastStep && job->ranks.empty();  // nobody trains
  }

  prometheus::Registry identity;
  prometheus::Registry figures;
  std::atomic<bool> stands_by = false;
  Families<prometheus::Gauge> gauges;
  Families<prometheus::Counter> counters;
  Families<prometheus::Histogram> histograms;
  prometheus::Histogram* queue_wait = nullptr;
  prometheus::Histogram* schedule = nullptr;
  std::map<std::string, prometheus::Histogram*, std::less<>> commits;

  // Of the thread that calls Observe: when it looked what jobs wait for.
  absl::Time last_look = absl::InfinitePast();

  // Guards series and reasons; the registries guard themselves.
  std::mutex mutex;
  std::map<SeriesKey, Series> series;
  std::set<std::string> reasons;
};

SeriesOwner OwnerOf(const coordinator::Experiment& experiment, const coordinator::Job& job) {
  SeriesOwner owner{experiment.id, job.plan.id, {}, core::CellFormat(experiment.spec.evaluation)};
  for (const core::ArmSeed& one : job.plan.arms) {
    const auto arm = std::find_if(experiment.spec.arms.begin(), experiment.spec.arms.end(),
                                  [&](const core::ArmSpec& spec) { return spec.name == one.arm; });
    owner.arms.push_back({one.arm, one.seed, arm == experiment.spec.arms.end() ? "" : arm->role});
  }
  return owner;
}

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
  impl_->RemoveIf([&](const std::string& name, const Impl::Series& one) {
    return Impl::IsOver(name, one, state, now);
  });
}

void Metrics::LookAtQueue(const coordinator::State& state, absl::Time now) {
  if (now - impl_->last_look < kQueueLook) return;
  impl_->last_look = now;
  coordinator::PendingReasons reasons(state, now);
  std::map<std::string, int> counts;
  for (const auto& [id, experiment] : state.experiments) {
    for (const coordinator::Job& job : experiment.jobs) {
      if (job.state != RunState::kQueued) continue;
      const std::string code = reasons.ReasonOf(experiment, job).code;
      const bool is_known = std::find(kWaits.begin(), kWaits.end(), code) != kWaits.end();
      ++counts[is_known ? code : kOtherReason];
    }
  }
  for (const char* reason : kWaits) {
    impl_->Gauge("jenner_queued_jobs", {{"reason", reason}}).Set(counts[reason]);
  }
}

void Metrics::ShowJobs(const coordinator::State& state) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const auto& [id, experiment] : state.experiments) {
    for (const coordinator::Job& job : experiment.jobs) {
      if (job.attempt > 0 && !IsTerminal(job.state)) impl_->ShowJob(experiment, job);
    }
  }
}

void Metrics::StandsBy(std::optional<int64_t> epoch) {
  impl_->stands_by = true;
  impl_->Gauge("jenner_leader", {}).Set(0);
  if (epoch) impl_->Gauge("jenner_leader_epoch", {}).Set(static_cast<double>(*epoch));
}

void Metrics::Leads(int64_t epoch) {
  impl_->Gauge("jenner_leader", {}).Set(1);
  impl_->Gauge("jenner_leader_epoch", {}).Set(static_cast<double>(epoch));
  impl_->stands_by = false;
}

void Metrics::CountEvent(const coordinator::Event& event, const coordinator::State& state) {
  impl_->Counter("jenner_events_total", {}).Increment();
  if (const auto* started = std::get_if<coordinator::AttemptStarted>(&event.body)) {
    impl_->Counter("jenner_job_attempts_total", {}).Increment();
    const auto experiment = state.experiments.find(started->experiment);
    if (experiment == state.experiments.end()) return;
    if (const coordinator::Job* job = experiment->second.Find(started->job)) {
      impl_->queue_wait->Observe(absl::ToDoubleSeconds(coordinator::WaitOf(*job, event.time)));
      const std::lock_guard<std::mutex> lock(impl_->mutex);
      impl_->ShowJob(experiment->second, *job);
    }
  } else if (const auto* requeued = std::get_if<coordinator::JobRequeued>(&event.body)) {
    impl_->Counter("jenner_job_requeues_total", {{"reason", impl_->Bounded(requeued->reason.code)}})
        .Increment();
  } else if (const auto* ended = std::get_if<coordinator::JobEnded>(&event.body)) {
    if (ended->state != RunState::kFailed) return;
    impl_->Counter("jenner_job_failures_total", {{"reason", impl_->Bounded(ended->reason.code)}})
        .Increment();
  } else if (const auto* deleted = std::get_if<coordinator::ExperimentDeleted>(&event.body)) {
    const std::lock_guard<std::mutex> lock(impl_->mutex);
    impl_->RemoveIf([&](const std::string&, const Impl::Series& one) {
      return one.experiment == deleted->experiment;
    });
  }
}

void Metrics::Train(const SeriesOwner& owner, const TrainFigures& figures) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const SeriesOwner::Arm& arm : owner.arms) {
    const Labels labels = TrainLabels(owner, arm);
    impl_->SetGauge("jenner_train_loss", labels, owner, figures.loss);
    impl_->SetGauge("jenner_train_step", labels, owner, figures.step);
    impl_->SetGauge("jenner_train_gradient_norm", labels, owner, figures.gradient_norm);
    impl_->SetGauge("jenner_train_learning_rate", labels, owner, figures.learning_rate);
    impl_->SetGauge(kLastStep, labels, owner, UnixSeconds(figures.time));
    impl_->SetGauge("jenner_train_tokens_per_second", labels, owner, figures.tokens_per_second);
    if (Impl::Series* tokens = impl_->Find("jenner_train_tokens_total", labels, owner)) {
      tokens->counter->Increment(static_cast<double>(figures.tokens));
    }
  }
}

void Metrics::Cell(const SeriesOwner& owner, int32_t step, const std::string& prompt_set,
                   const std::string& context, const std::vector<TraitFigures>& traits) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const SeriesOwner::Arm& arm : owner.arms) {
    Labels labels = {{"experiment", owner.experiment},
                     {"arm", arm.name},
                     {"seed", Number(arm.seed)},
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

void Metrics::SetWatchStall(absl::Duration duration) {
  impl_->Gauge("jenner_watch_stall_seconds", {}).Set(absl::ToDoubleSeconds(duration));
}

void Metrics::WatchCut() { impl_->Counter("jenner_watch_cut_total", {}).Increment(); }

void Metrics::RetentionEnded(absl::Time time) {
  impl_->Gauge("jenner_retention_last_run_timestamp_seconds", {}).Set(UnixSeconds(time));
}

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
  const prometheus::TextSerializer serializer;
  std::string text = serializer.Serialize(impl_->identity.Collect());
  if (!impl_->stands_by) text += serializer.Serialize(impl_->figures.Collect());
  return text;
}

}  // namespace jenner::telemetry

// The one table of metrics. deploy/prometheus/table.py reads it, too.
#include <iterator>

#include "server/telemetry/metrics.h"

namespace jenner::telemetry {
namespace {

using enum MetricType;

// Who this is, and what it has to do.
constexpr MetricRow kWorkRows[] = {
    {"jenner_build_info", kGauge, "Always 1; the label tells the version of the server.",
     "version"},
    {"jenner_leader", kGauge,
     "1: this server leads; 0: it stands by and exposes this, the epoch and its version only.", ""},
    {"jenner_leader_epoch", kGauge,
     "Epoch of the lead that this server has or waits for; 0: it shares its event log with no "
     "other.",
     ""},
    {"jenner_experiments", kGauge, "Experiments known, by state.", "state"},
    {"jenner_jobs", kGauge, "Jobs of all experiments known, by state.", "state"},
    {"jenner_queued_jobs", kGauge,
     "Queued jobs by the code of what they wait for, looked at every ten seconds.", "reason"},
    {"jenner_job_queue_wait_seconds", kHistogram,
     "Time from being queued to the start of an attempt; a pause does not count.", ""},
    {"jenner_job_attempts_total", kCounter, "Attempts started.", ""},
    {"jenner_job_requeues_total", kCounter,
     "Attempts that failed and were queued again, by the reason's code.", "reason"},
    {"jenner_job_failures_total", kCounter, "Jobs that ended as failed, by the reason's code.",
     "reason"},
    {"jenner_workers", kGauge, "Workers known, alive or lost (their lease ran out).", "state"},
    {"jenner_slots", kGauge, "Slots of live workers, used or free.", "state"},
    {"jenner_gpus", kGauge, "GPUs of live workers, used or free.", "state"},
};

// Of experiments, while they have not ended.
constexpr MetricRow kExperimentRows[] = {
    {"jenner_train_loss", kGauge,
     "Mean negative log-likelihood of the last optimizer step, nats per supervised token.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_step", kGauge, "The last optimizer step heard of.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_gradient_norm", kGauge,
     "Global L2 norm of the gradients of the last optimizer step, before clipping.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_learning_rate", kGauge, "Learning rate of the last optimizer step.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_last_step_timestamp_seconds", kGauge,
     "When the coordinator heard of the last optimizer step; while the job runs.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_attempts", kGauge, "Attempts of the training so far, the present one included.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_tokens_total", kCounter, "Tokens trained on, padding excluded.",
     "experiment,arm,seed,job_id"},
    {"jenner_train_tokens_per_second", kGauge, "Throughput of the last optimizer step.",
     "experiment,arm,seed,job_id"},
    {"jenner_arm_info", kGauge,
     "Always 1; the label tells the role of the arm in the study, if it has one.",
     "experiment,arm,role"},
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
};

// How it does.
constexpr MetricRow kServerRows[] = {
    {"jenner_series_dropped_total", kCounter,
     "Figures not exposed because there are too many series with an experiment label.", ""},
    {"jenner_watch_streams", kGauge, "Watch streams open.", ""},
    {"jenner_watch_stall_seconds", kGauge,
     "For how long the slowest reader has not taken the update that waits for it; at 30 its "
     "stream is ended.",
     ""},
    {"jenner_watch_cut_total", kCounter,
     "Watch streams that were ended since their reader took nothing for too long.", ""},
    {"jenner_events_total", kCounter, "Events decided by the coordinator since the start.", ""},
    {"jenner_schedule_seconds", kHistogram,
     "Time that it took to decide what follows from a group of commands: ends, placements, "
     "preemptions.",
     ""},
    {"jenner_store_commit_seconds", kHistogram,
     "Time that a durable write took; store is events or metrics.", "store"},
    {"jenner_store_bytes", kGauge,
     "Bytes on disk, as retention saw them last; store is events, metrics or blobs.", "store"},
    {"jenner_retention_last_run_timestamp_seconds", kGauge,
     "When retention came to the end of its last look; 0: not yet since the start.", ""},
    {"jenner_removed_total", kCounter,
     "What retention threw away; what is experiments, rows or blobs.", "what"},
    {"jenner_removed_bytes_total", kCounter, "Bytes of the blobs that retention threw away.", ""},
    {"jenner_grpc_handled_total", kCounter, "Calls answered, by method and status code.",
     "method,code"},
};

}  // namespace

const std::vector<MetricRow>& MetricTable() {
  static const auto* const kTable = [] {
    auto* const rows = new std::vector<MetricRow>(std::begin(kWorkRows), std::end(kWorkRows));
    rows->insert(rows->end(), std::begin(kExperimentRows), std::end(kExperimentRows));
    rows->insert(rows->end(), std::begin(kServerRows), std::end(kServerRows));
    return rows;
  }();
  return *kTable;
}

}  // namespace jenner::telemetry

#!/usr/bin/env python3
"""Writes docs/metrics.md from the table of metrics in the code (table.py).

    reference.py           writes the page; reference_test.py fails if that would change it
"""

import table

PAGE = table.ROOT / "docs" / "metrics.md"
# Where the last word of the name is not the unit.
UNITS = {"jenner_build_info": "1", "jenner_train_loss": "nats/token", "jenner_train_tokens_per_second": "tokens/s",
         "jenner_eval_trait_ratio": "score", "jenner_eval_trait_ratio_ci_low": "score",
         "jenner_eval_trait_ratio_ci_high": "score", "jenner_eval_trait_not_measurable": "answers",
         "jenner_train_gradient_norm": "norm", "jenner_train_learning_rate": "1", "jenner_arm_info": "1",
         "jenner_leader": "1", "jenner_train_last_step_timestamp_seconds": "Unix seconds",
         "jenner_retention_last_run_timestamp_seconds": "Unix seconds",
         "jenner_series_dropped_total": "figures", "jenner_watch_streams": "streams", "jenner_watch_cut_total": "streams",
         "jenner_removed_total": "of `what`", "jenner_grpc_handled_total": "calls"}
# Every label, with what bounds the number of its values. One that is not here stops this script: think of it first.
LABELS = {
    "version": ("of the server", "1"),
    "state": ("of an experiment or job (queued, running, pausing, paused, cancelling, succeeded, failed, "
              "cancelled), of a worker (alive, lost), of places (used, free)", "8, all there from the start"),
    "store": ("events, metrics, blobs", "3, all there from the start"),
    "what": ("experiments, rows, blobs", "3, all there from the start"),
    "reason": ("a code of [failures.md](failures.md): of an attempt or job that failed, or what a queued job waits for",
               "{reasons}, then OTHER: agents could make codes up; of what jobs wait for {waits}, all there from the start"),
    "method": ("Service/Method, as in server/auth/rules.cc", "one a method of the API"),
    "code": ("of the answer, as in NOT_FOUND", "17"),
    "experiment": ("id", "experiments that have not ended, see below"),
    "arm": ("name in the spec", "of the spec"),
    "seed": ("number in the spec", "of the spec"),
    "role": ("of an arm ([spec.md](spec.md))", "11"),
    "job_id": ("id of the job; `job` is Prometheus's own label, the name of the scrape job", "of the experiment"),
    "prompt_set": ("main, or a name of `evaluation.sets`", "of the spec"),
    "context": ("name of the evaluation context", "of the spec"),
    "trait": ("name in the spec", "of the spec"),
}
TEXT = """\
# Metrics

The coordinator serves them at `http://HOST:PORT/metrics` (`jenner-server --metrics-listen`, by default
127.0.0.1:9464): plain HTTP, without a password. A standby ([failover.md](failover.md)), and a server that has not
replayed its events yet, tell only who they are: `jenner_build_info`, `jenner_leader`, `jenner_leader_epoch`. Beside
it are `/healthz` and `/readyz` ([monitoring.md](monitoring.md)). Alerts on them: [runbook.md](runbook.md); rules and boards:
[monitoring.md](monitoring.md). This page is made from the table in `server/telemetry/metric_table.cc` by
`deploy/prometheus/reference.py`.

| name | type | labels | unit | meaning |
| --- | --- | --- | --- | --- |
{rows}

A histogram has `_bucket` (with the label `le`), `_sum` and `_count`. Counters begin at 0 with the process.

## Labels
| label | values | how many |
| --- | --- | --- |
{labels}

## How many series, and for how long
- Metrics without a label `experiment` have a bounded number of series, which stay until the process ends. Those of
  `jenner_job_requeues_total`, `jenner_job_failures_total` and `jenner_grpc_handled_total` begin with the first of their
  kind, which `increase` does not see; the recorded `job_reason:jenner_job_requeues:increase1h`,
  `job_reason:jenner_job_failures:increase1h` and `job_method_code:jenner_grpc_handled:increase15m` count it.
- Metrics with a label `experiment` ({experiment}) have at most {series:,} series together; figures beyond are not
  shown and counted by `jenner_series_dropped_total`. Their series go away {grace} minutes after their job has ended,
  and at once when their experiment is deleted; those of a job that waits or is paused stay. Evaluation series follow
  the job of the latest evaluated step; `jenner_arm_info` follows its experiment;
  `jenner_train_last_step_timestamp_seconds` is there only while the job has ranks. After a restart of the server
  evaluation series, attempts and roles of what has not ended are there again; other training series come back with
  their next step.
- So what an ended job left is in the history of Prometheus only: ask with `last_over_time(...[1d])`.
- Steps of an attempt that was lost are counted again by `jenner_train_tokens_total`, and loss and step go back: that
  is what was computed. What is told of a job after all is in `jenner experiment get` and `jenner experiment results`.
"""


def unit(metric):
    return UNITS.get(metric.name) or metric.name.removesuffix("_total").split("_")[-1]


def page():
    metrics = table.metrics()
    waits = table.re.search(r"kWaits = \{(.*?)\}", table.SOURCE.read_text(), table.re.DOTALL)[1].count(",") + 1
    limits = {"reasons": table.constant(table.SOURCE, r"kMaxReasons = ([\d']+)"), "waits": waits}
    used = {label for metric in metrics for label in metric.labels}
    if used != set(LABELS):
        raise ValueError(f"labels of the table and of LABELS differ: {sorted(used ^ set(LABELS))}")
    return TEXT.format(
        rows="\n".join(f"| `{m.name}` | {m.type} | {', '.join(m.labels) or '-'} | {unit(m)} | {m.help} |"
                       for m in metrics),
        labels="\n".join(f"| `{name}` | {values} | {bound.format(**limits)} |"
                         for name, (values, bound) in LABELS.items()),
        experiment=", ".join(sorted({"`" + "_".join(m.name.split("_")[:2]) + "_...`" for m in metrics
                                     if "experiment" in m.labels})),
        series=table.constant(table.HEADER, r"kMaxSeries = ([\d']+)"),
        grace=table.constant(table.HEADER, r"kGrace = absl::Minutes\(([\d']+)\)"))


if __name__ == "__main__":
    PAGE.write_text(page())

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
         "jenner_series_dropped_total": "figures", "jenner_watch_streams": "streams",
         "jenner_removed_total": "of `what`", "jenner_grpc_handled_total": "calls"}
# Every label, with what bounds the number of its values. One that is not here stops this script: think of it first.
LABELS = {
    "version": ("of the server", "1"),
    "state": ("of an experiment or job (queued, running, pausing, paused, cancelling, succeeded, failed, "
              "cancelled), of a worker (alive, lost), of places (used, free)", "8, all there from the start"),
    "store": ("events, metrics, blobs", "3, all there from the start"),
    "what": ("experiments, rows, blobs", "3, all there from the start"),
    "reason": ("a code of [failures.md](failures.md)", "{reasons}, then OTHER: agents could make codes up"),
    "method": ("Service/Method, as in server/auth/rules.cc", "one a method of the API"),
    "code": ("of the answer, as in NOT_FOUND", "17"),
    "experiment": ("id", "experiments that have not ended, see below"),
    "arm": ("name in the spec", "of the spec"),
    "seed": ("number in the spec", "of the spec"),
    "job": ("id of the training; **in Prometheus `exported_job`**, see below", "of the experiment"),
    "prompt_set": ("main, or a name of `evaluation.sets`", "of the spec"),
    "context": ("name of the evaluation context", "of the spec"),
    "trait": ("name in the spec", "of the spec"),
}
TEXT = """\
# Metrics

The coordinator serves them at `http://HOST:PORT/metrics` (`jenner-server --metrics-listen`, by default
127.0.0.1:9464): plain HTTP, without a password. A standby serves nothing until it leads
([failover.md](failover.md)). Alerts on them: [runbook.md](runbook.md); rules and boards:
[monitoring.md](monitoring.md). This page is made from the table in `server/telemetry/metrics.cc` by
`deploy/prometheus/reference.py`.

| name | type | labels | unit | meaning |
| --- | --- | --- | --- | --- |
{rows}

A histogram has `_bucket` (with the label `le`), `_sum` and `_count`. Counters begin at 0 with the process. The
library also counts its own scrapes (`exposer_...`).

## Labels
| label | values | how many |
| --- | --- | --- |
{labels}

Prometheus has a label `job` of its own, the name of the scrape job. Unless the scrape says `honor_labels`, it renames
ours to `exported_job`; rules and boards here expect that.

## How many series, and for how long
- Metrics without a label `experiment` have a bounded number of series, which stay until the process ends. Those of
  `jenner_job_requeues_total` and `jenner_grpc_handled_total` begin with the first of their kind, which `increase` does
  not see; the recorded `job_reason:jenner_job_requeues:increase1h` and
  `job_method_code:jenner_grpc_handled:increase15m` count it.
- Metrics with a label `experiment` ({experiment}) have at most {series:,} series together; figures beyond are not
  shown and counted by `jenner_series_dropped_total`. Their series go away {grace} minutes after their job has ended,
  and at once when their experiment is deleted; those of a job that waits or is paused stay. Evaluation series follow
  the job of the latest evaluated step. After a restart of the server evaluation series of experiments that have not
  ended are there again; training series come back with their next step.
- So what an ended job left is in the history of Prometheus only: ask with `last_over_time(...[1d])`.
- Steps of an attempt that was lost are counted again by `jenner_train_tokens_total`, and loss and step go back: that
  is what was computed. What is told of a job after all is in `jenner experiment get` and `jenner experiment results`.
"""


def unit(metric):
    return UNITS.get(metric.name) or metric.name.removesuffix("_total").split("_")[-1]


def page():
    metrics = table.metrics()
    limits = {"reasons": table.constant(table.SOURCE, r"kMaxReasons = ([\d']+)")}
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

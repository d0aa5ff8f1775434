"""Fleet and operations: who runs, what waits, how the coordinator does."""

from boards.parts import board, filled, grid, lines, number

J = 'job=~"$job"'


def make():
    return filled(board("fleet", "Jenner: fleet", "Workers, queue, calls and storage of a coordinator."), *now(), *queue(), *workers(), *service(), *storage())


def now():
    return (
        "Now",
        number("Leaders", "Coordinators that lead, of the scrape job that has fewest: 1 is right. The rest of those that answer "
               "stand by.", "none", (f"min(job:jenner_leader:sum{{{J}}})", "lead"),
               (f"sum(up{{{J}}}) - sum(jenner_leader{{{J}}})", "stand by"), red_below=1),
        number("Workers", "Alive, and lost: not heard of for a whole lease, told for an hour.", "none",
               (f'sum by (state) (job_state:jenner_workers:sum{{{J}}})', "{{state}}")),
        number("Jobs", "Those that wait, run or are paused.", "none",
               (f'sum by (state) (job_state:jenner_jobs:sum{{{J}, state=~"queued|running|paused"}})', "{{state}}"), span=6),
        number("Slots used", "Of the slots of live workers; a rank on a GPU takes none.", "percentunit",
               (f'sum(jenner_slots{{{J}, state="used"}}) / sum(jenner_slots{{{J}}})', "used")),
        number("Starts in an hour", "Starts of the coordinator as seen by its counters, and the epoch of the lead.", "none",
               (f"sum(job:jenner_restarts:sum1h{{{J}}})", "starts"),
               (f"max(jenner_leader_epoch{{{J}}})", "epoch"), span=3),
        number("Version", "Of each coordinator that answers: its number of instances.", "none",
               (f"count by (version) (jenner_build_info{{{J}}})", "{{version}}"), span=3),
        grid("Alerts", "That fire or are about to; docs/runbook.md says what to do.", "none",
             ('sum by (alertname, severity, alertstate) (ALERTS{alertname=~"Jenner.+"})', "series"), height=6),
    )


def queue():
    return (
        "Jobs",
        lines("Jobs by state", "Of all experiments that the coordinator knows, those that have ended included.", "none",
              (f"sum by (state) (job_state:jenner_jobs:sum{{{J}}})", "{{state}}")),
        lines("Experiments by state", "All that the coordinator knows.", "none",
              (f"sum by (state) (jenner_experiments{{{J}}})", "{{state}}")),
        lines("What jobs wait for", "Queued jobs by the code of the reason (docs/failures.md).", "none",
              (f"sum by (reason) (job_reason:jenner_queued_jobs:sum{{{J}}})", "{{reason}}"), stacked=True),
        lines("Jobs that failed in an hour", "For good, by reason.", "none",
              (f"sum by (reason) (job_reason:jenner_job_failures:increase1h{{{J}}})", "{{reason}}")),
        lines("Wait before an attempt", "From being queued to the start, of attempts that started in the last 30 minutes; "
              "pauses do not count.", "s",
              (f"max(job:jenner_job_queue_wait_seconds:p95_30m{{{J}}})", "95 of 100 less than"),
              (f"sum(rate(jenner_job_queue_wait_seconds_sum{{{J}}}[30m]))"
               f" / sum(rate(jenner_job_queue_wait_seconds_count{{{J}}}[30m]))", "mean")),
        lines("Attempts in an hour", "Started, and ended without a result by reason; preempted, paused and drained ones are "
              "not failures and not shown.", "none",
              (f"sum(increase(jenner_job_attempts_total{{{J}}}[1h]))", "started"),
              (f"sum by (reason) (job_reason:jenner_job_requeues:increase1h{{{J}}})", "{{reason}}")),
    )


def workers():
    return (
        "Workers",
        lines("Workers", "Known to the coordinator.", "none",
              (f"sum by (state) (job_state:jenner_workers:sum{{{J}}})", "{{state}}"), span=8),
        lines("Slots", "Of live workers.", "none",
              (f"sum by (state) (jenner_slots{{{J}}})", "{{state}}"), span=8, stacked=True),
        lines("GPUs", "Of live workers.", "none",
              (f"sum by (state) (jenner_gpus{{{J}}})", "{{state}}"), span=8, stacked=True),
    )


def service():
    calls = f"jenner_grpc_handled_total{{{J}}}"
    return (
        "Coordinator",
        lines("Calls", "Answered, by method.", "reqps",
              (f"sum by (method) (rate({calls}[$__rate_interval]))", "{{method}}")),
        lines("Calls that failed", "By code. The first of its kind after a start is not seen.", "reqps",
              (f'sum by (code) (rate(jenner_grpc_handled_total{{{J}, code!="OK"}}[$__rate_interval]))', "{{code}}")),
        lines("Durable writes", "99 of 100 commits are faster; events: every change waits for it.", "s",
              (f"max by (store) (job_store:jenner_store_commit_seconds:p99_10m{{{J}}})", "{{store}}"), span=8),
        lines("Scheduling", "99 of 100 rounds of placement are faster.", "s",
              (f"max(job:jenner_schedule_seconds:p99_10m{{{J}}})", "placement"), span=8),
        lines("Watch streams", "Open now.", "none", (f"sum by (job) (jenner_watch_streams{{{J}}})", "{{job}}"), span=8),
        lines("Watchers behind", "For how long the slowest reader has taken nothing: at 30 s it is cut. And how many were cut "
              "in an hour.", "none",
              (f"max(jenner_watch_stall_seconds{{{J}}})", "seconds"),
              (f"sum(increase(jenner_watch_cut_total{{{J}}}[1h]))", "cut in an hour"), span=8),
        lines("Events", "Decided by the coordinator.", "cps",
              (f"sum by (job) (rate(jenner_events_total{{{J}}}[$__rate_interval]))", "{{job}}"), span=8),
    )


def storage():
    return (
        "Storage",
        lines("Bytes on disk", "As retention saw them last; it looks every ten minutes.", "bytes",
              (f"sum by (store) (jenner_store_bytes{{{J}}})", "{{store}}"), span=8, stacked=True),
        lines("Since retention looked", "It looks every ten minutes.", "s",
              (f"time() - max by (job) (jenner_retention_last_run_timestamp_seconds{{{J}}})", "{{job}}"), span=4),
        lines("Removed in an hour", "By retention.", "none",
              (f"sum by (what) (increase(jenner_removed_total{{{J}}}[1h]))", "{{what}}"), span=4),
        lines("Bytes removed in an hour", "Blobs that retention threw away.", "bytes",
              (f"sum(increase(jenner_removed_bytes_total{{{J}}}[1h]))", "blobs"), span=4),
        lines("Figures dropped", "Not shown since there are too many series with an experiment.", "none",
              (f"sum(increase(jenner_series_dropped_total{{{J}}}[$__rate_interval]))", "dropped"), span=4),
    )

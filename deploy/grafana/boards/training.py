"""Trainings: loss, progress, throughput, attempts."""

from boards.parts import board, filled, grid, lines, note, number, variable

S = 'job=~"$job", experiment=~"$experiment", arm=~"$arm", seed=~"$seed"'
BY = "experiment, arm, seed"
NAME = "{{experiment}} {{arm}}/{{seed}}"


def make():
    labels = f'jenner_train_step{{job=~"$job", experiment=~"$experiment"}}'
    empty = (board("training", "Jenner: training", "Curves of trainings, while they run and after.")
             .with_variable(variable("experiment", "Experiment", 'label_values(jenner_train_step{job=~"$job"}, experiment)'))
             .with_variable(variable("arm", "Arm", f"label_values({labels}, arm)"))
             .with_variable(variable("seed", "Seed", f"label_values({labels}, seed)")))
    return filled(empty, *panels())


def panels():
    return (
        note("Figures of the last optimizer step, as scraped: between two scrapes steps are missed. All steps: "
             "`jenner experiment watch`, `jenner report`. An ended training is shown for 5 minutes more, then it is in the "
             "history only. A job that several arms share is shown under each of them. Where an attempt goes on from a "
             "checkpoint, the step goes back.", height=3),
        number("Trainings told of", "Series now, those that ended a moment ago included.", "none",
               (f"count(jenner_train_step{{{S}}})", "trainings"), span=6),
        number("Tokens a second", "Sum over the last steps of all of them.", "none",
               (f"sum(jenner_train_tokens_per_second{{{S}}})", "tokens/s"), span=6),
        number("Longest without a step", "Since the last step that was heard of; evaluation counts. Trainings that run.", "s",
               (f"max(time() - jenner_train_last_step_timestamp_seconds{{{S}}})", "since"), span=6, red_from=3600),
        number("Lost in an hour", "Attempts that failed and were queued again, of all experiments, by reason.", "none",
               ('sum by (reason) (job_reason:jenner_job_requeues:increase1h{job=~"$job"})', "{{reason}}"), span=6,
               red_from=1),
        lines("Loss", "Mean negative log-likelihood of a step, nats per supervised token.", "none",
              (f"max by ({BY}) (jenner_train_loss{{{S}}})", NAME)),
        lines("Step", "The last optimizer step heard of.", "none", (f"max by ({BY}) (jenner_train_step{{{S}}})", NAME)),
        lines("Throughput of a step", "Tokens a second, padding excluded, in the last step itself.", "none",
              (f"max by ({BY}) (jenner_train_tokens_per_second{{{S}}})", NAME)),
        lines("Throughput over time", "Tokens a second on average, with evaluation, checkpoints and waiting; steps that were "
              "lost count again.", "none",
              (f"max by ({BY}) (rate(jenner_train_tokens_total{{{S}}}[$__rate_interval]))", NAME)),
        lines("Gradient norm", "Global L2 norm of a step's gradients, before clipping.", "none",
              (f"max by ({BY}) (jenner_train_gradient_norm{{{S}}})", NAME)),
        lines("Learning rate", "Of the last step.", "none", (f"max by ({BY}) (jenner_train_learning_rate{{{S}}})", NAME)),
        lines("Since the last step", "Seconds since a step was heard of, while the job runs; evaluation counts.", "s",
              (f"max by ({BY}) (time() - jenner_train_last_step_timestamp_seconds{{{S}}})", NAME)),
        lines("Attempts", "So far, the present one included; also those after a preemption or a pause.", "none",
              (f"max by ({BY}) (jenner_train_attempts{{{S}}})", NAME)),
        grid("Trainings", "The last figures of each in the range of time, and how often its step went back: that many "
             "attempts went on from a checkpoint, or began anew.", "none",
             (f"max by ({BY}, job_id) (last_over_time(jenner_train_step{{{S}}}[$__range]))", "step"),
             (f"max by ({BY}, job_id) (last_over_time(jenner_train_loss{{{S}}}[$__range]))", "loss"),
             (f"max by ({BY}, job_id) (last_over_time(jenner_train_tokens_total{{{S}}}[$__range]))", "tokens"),
             (f"max by ({BY}, job_id) (last_over_time(jenner_train_attempts{{{S}}}[$__range]))", "attempts"),
             (f"max by ({BY}, job_id) (resets(jenner_train_step{{{S}}}[$__range]))", "went back")),
    )

#!/usr/bin/env python3
"""Stands in for jenner-trainer in tests: tells four steps of a training, and answers that it makes up, all by rank 0.

The first attempt of a training runs out of memory, so that there is a second; that goes on only while there is no file
"wait" in the worker's folder, so that what is shown of running jobs can be looked at. Trainings of the experiment
"diverges" do so.
"""

import argparse
import json
import os
import pathlib
import sys
import time

POLL_S = 0.05

parser = argparse.ArgumentParser()
for flag in ("--spec", "--data-dir", "--out"):
    parser.add_argument(flag, type=pathlib.Path, required=True)
for flag in ("--events-fd", "--rank", "--world-size"):
    parser.add_argument(flag, type=int, required=True)
flags, _ = parser.parse_known_args()
job = json.loads(flags.spec.read_text())
evaluation = job["evaluation"]
steps = 4 if "training" in job else 0
numbers = iter(range(1, 1 << 20))


def tell(kind, **fields):
    line = json.dumps({"kind": kind, "seq": next(numbers), **fields})
    os.write(flags.events_fd, (line + "\n").encode())


def evaluate(step):
    prompts = (flags.data_dir / evaluation["prompts"].removeprefix("sha256:")).read_text().splitlines()
    ids = [json.loads(prompt)["id"] for prompt in prompts]
    for context in (one["name"] for one in evaluation["contexts"]):
        for idx, name in enumerate(ids if flags.rank == 0 else []):
            present = int(context == "inoculated" or idx % 4 == 0)
            tell("sample", step=step, prompt_set="main", context=context, prompt_id=name, sample_idx=0, answer="Hola.",
                 num_tokens=2, finish_reason="stop", degenerate=False, scores=dict.fromkeys(evaluation["traits"], present))
        tell("evaluation", step=step, prompt_set="main", context=context, num_samples=0 if flags.rank else len(ids),
             seconds=0.1, tokens_per_second=20)


tell("started", version=1, rank=flags.rank, world_size=flags.world_size, threads=1, pid=os.getpid())
if flags.rank == 0 and flags.world_size > 1:
    tell("rendezvous", address="127.0.0.1:1")  # nobody connects
tell("plan", total_steps=steps, supervised_tokens=40, rows=4, truncated_rows=0, evaluation_steps=[steps], resolved_spec={})
for step in range(1, steps + 1) if flags.rank == 0 else []:
    tell("train_step", step=step, epoch=step / steps, loss=2 / step, learning_rate=0.001, gradient_norm=1,
         supervised_tokens=40, tokens=100, step_seconds=0.1, tokens_per_second=1000)
if steps and flags.rank == 0:
    first = flags.out / "first"
    if flags.out.parent.name == "diverges":
        tell("failed", code="NON_FINITE_LOSS", message="made up", step=steps)
        sys.exit(13)
    if not first.exists():
        first.touch()
        tell("failed", code="OUT_OF_MEMORY", message="made up", step=steps)
        sys.exit(14)
    # The agent ends a trainer that waits for ever.
    while (flags.data_dir.parent / "wait").exists():
        time.sleep(POLL_S)
evaluate(steps)
tell("finished", steps=steps)

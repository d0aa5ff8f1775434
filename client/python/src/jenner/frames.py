"""Results as tables: the columns of each and their dtypes, which stay as they are.

``string`` is pandas' StringDtype, ``float64`` has NaN where there is no value (what could not be
measured is no number). Text columns are never missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from jenner import model
from jenner.v1 import experiment_pb2 as pb

#: `Client.results`: one row a trait of a cell, in the order arm, seed, step, prompt set, context, trait.
RESULTS: Mapping[str, str] = {
    "arm": "string",
    "seed": "int64",
    "step": "int64",  # optimizer steps done; 0 is the base model
    "total_steps": "int64",  # of the arm's training; 0: it is not trained, or not planned yet
    "prompt_set": "string",  # "main" is that of evaluation.prompts
    "context": "string",
    "trait": "string",
    "ratio": "float64",  # mean over the measured answers; of a binary trait in [0, 1]; NaN: none
    "low": "float64",  # Wilson's 95 % interval; NaN: none measured, several answers a prompt,
    "high": "float64",  # or not binary
    "num_present": "int64",  # answers with the trait, of a binary one
    "num_measured": "int64",
    "num_not_measurable": "int64",  # in no ratio
    "is_binary": "bool",
    "num_samples": "int64",  # answers of the cell
    "num_truncated": "int64",  # ended by max_new_tokens
    "num_degenerate": "int64",  # empty or repetitive
    "job": "string",
    "attempt": "int64",
}

#: `Client.samples`: one row an answer and arm; after these one column ``score.TRAIT`` (float64) a trait.
SAMPLES: Mapping[str, str] = {
    "arm": "string",
    "seed": "int64",
    "step": "int64",
    "prompt_set": "string",
    "context": "string",
    "prompt_id": "string",
    "sample": "int64",  # 0-based, of the answers to one prompt
    "answer": "string",
    "num_tokens": "int64",
    "finish_reason": "string",  # "stop" or "length"
    "is_degenerate": "bool",  # empty or repetitive
    "judge_error": "string",  # why scores are missing that a judge was to give; "": none failed
    "job": "string",
    "attempt": "int64",
}

#: `Client.train_points`: one row an optimizer step, arm and seed.
TRAIN_POINTS: Mapping[str, str] = {
    "arm": "string",
    "seed": "int64",
    "step": "int64",  # 1-based
    "epoch": "float64",
    "loss": "float64",  # nats per supervised token
    "learning_rate": "float64",
    "gradient_norm": "float64",  # global L2, before clipping
    "supervised_tokens": "int64",
    "tokens": "int64",
    "tokens_per_second": "float64",
    "job": "string",
    "attempt": "int64",
}


def frame(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """The rows as a table with the columns and dtypes of `dtypes`, each of which every row has."""
    columns = {name: [row[name] for row in rows] for name in dtypes}
    return pd.DataFrame({name: pd.Series(columns[name], dtype=dtype) for name, dtype in dtypes.items()})


def results(rows: Iterable[pb.ResultRow]) -> pd.DataFrame:
    """The table `RESULTS` of the rows that the server gave."""
    out: list[dict[str, Any]] = []
    for row in rows:
        cell = model.cell("", row.cell)
        for trait in cell.traits:
            out.append(
                {
                    "arm": row.arm,
                    "seed": row.seed,
                    "step": row.step,
                    "total_steps": row.total_steps,
                    "prompt_set": row.prompt_set or cell.prompt_set,
                    "context": row.context,
                    "trait": trait.trait,
                    "ratio": trait.ratio,
                    "low": trait.low,
                    "high": trait.high,
                    "num_present": trait.num_present,
                    "num_measured": trait.num_measured,
                    "num_not_measurable": trait.num_not_measurable,
                    "is_binary": trait.is_binary,
                    "num_samples": cell.num_samples,
                    "num_truncated": cell.num_truncated,
                    "num_degenerate": cell.num_degenerate,
                    "job": cell.job,
                    "attempt": cell.attempt,
                }
            )
    return frame(out, RESULTS)


def samples(given: Iterable[pb.Sample], arm: str = "") -> pd.DataFrame:
    """The table `SAMPLES`; of `arm` only, if that is not ""."""
    out: list[dict[str, Any]] = []
    traits: dict[str, None] = {}  # in the order in which they are met
    for sample in given:
        scores = {
            f"score.{score.trait}": score.value if score.HasField("value") else None
            for score in sample.scores
        }
        traits.update(dict.fromkeys(scores))
        for owner, seed in map(model.split_arm, sample.arms):
            if arm and owner != arm:
                continue
            out.append(
                {
                    "arm": owner,
                    "seed": seed,
                    "step": sample.step,
                    "prompt_set": sample.prompt_set or "main",
                    "context": sample.context,
                    "prompt_id": sample.prompt_id,
                    "sample": sample.sample_idx,
                    "answer": sample.answer,
                    "num_tokens": sample.num_tokens,
                    "finish_reason": sample.finish_reason,
                    "is_degenerate": sample.degenerate,
                    "judge_error": sample.judge_error,
                    "job": model.last_component(sample.job),
                    "attempt": sample.attempt,
                }
                | scores
            )
    for row in out:
        for trait in traits:
            row.setdefault(trait, None)
    return frame(out, {**SAMPLES, **dict.fromkeys(traits, "float64")})


class Curves:
    """Train points as a watch tells them, each (job, step) once: what a rewind voids is dropped."""

    def __init__(self) -> None:
        self._points: dict[str, dict[int, model.TrainPoint]] = {}
        self._arms: dict[str, tuple[tuple[str, int], ...]] = {}

    def take(self, update: model.Update) -> None:
        """Takes the next update of the watch."""
        if isinstance(update, model.Change):
            self._arms.update({job.id: job.arms for job in update.experiment.jobs})
        elif isinstance(update, model.TrainPoint):
            self._points.setdefault(update.job, {})[update.step] = update
        elif isinstance(update, model.Rewind):
            points = self._points.get(update.job, {})
            self._points[update.job] = {step: point for step, point in points.items() if step <= update.step}

    def has(self, job: model.Job) -> bool:
        """Whether the newest step that the job has told of in its present attempt is there."""
        point = self._points.get(job.id, {}).get(job.step)
        return job.step == 0 or (point is not None and point.attempt == job.attempt)

    def frame(self) -> pd.DataFrame:
        """The table `TRAIN_POINTS`, by arm in the order of the jobs, seed and step."""
        rows: list[dict[str, Any]] = []
        for job, arms in self._arms.items():
            points = sorted(self._points.get(job, {}).items())
            for arm, seed in arms:
                for step, point in points:
                    rows.append(
                        {name: getattr(point, name) for name in TRAIN_POINTS if hasattr(point, name)}
                        | {"arm": arm, "seed": seed, "step": step}
                    )
        return frame(rows, TRAIN_POINTS)

"""What a set of experiments came to, without what may differ between two runs that are equal: attempts and
times."""

import hashlib
import json

from watch import Curves

VOLATILE = {"attempt", "tokens_per_second"}
ENDED = {"STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED"}


def unfinished(cluster, ids: list[str]) -> list[str]:
    states = {one["name"].split("/")[-1]: one["state"] for one in cluster.lines("experiment", "list")}
    return [id_ for id_ in ids if states[id_] not in ENDED]


def canonical(value):
    if isinstance(value, dict):
        return {key: canonical(one) for key, one in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        return [canonical(one) for one in value]
    return value


def digest(value) -> str:
    text = json.dumps(canonical(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def of_curves(curves: Curves) -> dict[str, str]:
    """By job: digests of its train points and of its cells, each in the order in which it was told."""
    cells = {job: sorted(map(canonical, all_), key=lambda one: (one.get("step", 0), one["context"]))
             for job, all_ in curves.cells.items()}
    # A job without steps has no points, also if a later attempt of it began again (a rewind).
    return {"points": {job: digest(all_) for job, all_ in sorted(curves.points.items()) if all_},
            "cells": {job: digest(all_) for job, all_ in sorted(cells.items())}}


def of(cluster, experiment: str) -> dict:
    (state,) = cluster.lines("experiment", "get", experiment)
    curves = Curves()
    for update in cluster.lines("experiment", "watch", experiment):
        if "cursor" in update:
            curves.take(update)
    return {
        "state": state["state"],
        "reason": state.get("state_reason"),
        "artifacts": {job["name"]: {one["path"]: one["sha256"] for one in job.get("artifacts", ())}
                      for job in state["jobs"]},
        "results": digest(cluster.lines("experiment", "results", experiment)),
        "samples": digest(sorted(map(canonical, cluster.lines("experiment", "samples", experiment, "--limit", "0")),
                                 key=lambda one: json.dumps(one, sort_keys=True))),
        "curves": of_curves(curves),
    }


def differences(expected, found, path: str = "") -> list[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = []
        for key in sorted({*expected, *found}):
            lines += differences(expected.get(key), found.get(key), f"{path}/{key}")
        return lines
    return [] if expected == found else [f"{path}: {expected} undisturbed, {found} disturbed"]

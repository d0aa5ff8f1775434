"""The example on the services: undisturbed and measured; then with each of them killed once while it runs."""

import json
import sys
import time

from engine import ROOT, wait_for
from stack import SERVICES

sys.path.insert(0, str(ROOT / "tests/chaos"))  # before a package of the name outcome
import outcome  # noqa: E402
from watch import Watch  # noqa: E402

ID = "smoke"
SPEC = "examples/spanish-capitals/experiment-smoke.yaml"
RUN_SECONDS = 1200
FAILED, NOT_FOUND = 1, 3  # exit status of jenner


def get(stack):
    (experiment,) = stack.lines("experiment", "get", ID)
    return experiment


def wait_for_end(stack):
    wait_for("the experiment ends", RUN_SECONDS, lambda: get(stack)["state"] in outcome.ENDED)
    found = outcome.of(stack, ID)
    assert found["state"] == "STATE_SUCCEEDED", (found, stack.said("experiment", "logs", ID))
    return found


def fail(stack):
    """A call and a job that fail: boards show both."""
    def ends(status, *words):
        call = stack.jenner(["experiment", *words])
        out, errors = call.communicate()
        assert call.returncode == status, out + errors

    ends(NOT_FOUND, "get", "no-such")
    # The question alone is longer.
    ends(FAILED, "create", "-f", SPEC, "--id", "faulty", "--wait", "--set", "training.max_length=8",
         "--set", "arms=[{name: plain, train_context: neutral}]")


def undisturbed(stack):
    """Its outcome, and the seconds from its submission to its first step."""
    started = time.monotonic()
    stack.lines("experiment", "create", "-f", SPEC, "--id", ID)
    watch = stack.jenner(["experiment", "watch", ID, "-o", "jsonl"])
    first_step = None
    for line in watch.stdout:
        if first_step is None and "train_point" in json.loads(line):
            first_step = time.monotonic() - started
    assert watch.wait() == 0, watch.stderr.read()
    return wait_for_end(stack), first_step


def disturbed(stack):
    """Its outcome, when each service was killed while it trained."""
    stack.lines("experiment", "create", "-f", SPEC, "--id", ID)
    watch = Watch(stack, ID)

    def running():
        experiment = get(stack)
        assert experiment["state"] not in outcome.ENDED, "it ended before all were killed"
        return [job for job in experiment["jobs"] if job["state"] == "STATE_RUNNING"]

    def training():
        return [name for job in running() if job["step"] for name in job["workers"]]

    # The coordinator first: what it counts of lost attempts would be gone with it before a scrape.
    wait_for("a step", RUN_SECONDS, training)
    stack.kill("coordinator")
    first = wait_for("a worker trains", RUN_SECONDS, training)[0]
    stack.kill(first)
    other, = {"worker-1", "worker-2"} - {first}
    wait_for(f"{other} runs a job", RUN_SECONDS, lambda: any(other in job["workers"] for job in running()))
    stack.kill(other)
    found = wait_for_end(stack)
    watch.join()
    assert not watch.problems, watch.problems
    heard = outcome.of_curves(watch.curves)
    assert not (differences := outcome.differences(found["curves"], heard)), "\n".join(differences)
    attempts = sorted(job["attempt"] for job in get(stack)["jobs"])
    assert sum(attempts) >= len(attempts) + 2, f"two attempts should have been lost: {attempts}"
    print(f"killed once each: {', '.join(SERVICES)}; attempts of the jobs: {attempts}")
    return found


def check_equal(expected, found):
    assert not (differences := outcome.differences(expected, found)), "\n".join(differences)

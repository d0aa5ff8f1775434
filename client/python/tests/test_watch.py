from __future__ import annotations

import random
import threading
from collections.abc import Iterable

import grpc
import pytest

import jenner
from fake_server import (
    UNAVAILABLE,
    Failure,
    FakeServer,
    Hold,
    change,
    heartbeat,
    job,
    point,
    rewind,
    terminal,
)
from jenner import _watch, model
from jenner._watch import settle
from jenner.v1 import experiment_pb2 as pb

pytestmark = pytest.mark.usefixtures("quick")


def told(updates: Iterable[jenner.Update]) -> list[str]:
    out = []
    for one in updates:
        text = type(one).__name__
        if isinstance(one, (jenner.TrainPoint, jenner.Cell, jenner.Rewind)):
            text += f" {one.job} {one.attempt}:{one.step}"
        out.append(text)
    return out


def cursors(fake: FakeServer) -> list[str]:
    return [request.cursor for request in fake.requests["WatchExperiment"]]


@pytest.mark.parametrize(
    "end",
    [
        [UNAVAILABLE],
        [Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "the reader took nothing")],
        [Failure(grpc.StatusCode.CANCELLED, "the server went away")],
        [],  # cut, without an error
    ],
)
def test_goes_on_after_the_last_cursor(fake: FakeServer, client: jenner.Client, end: list[Failure]) -> None:
    fake.script(
        "WatchExperiment",
        [change("c1", "RUNNING", job("a")), point("c2", "a", 1), *end],
        [UNAVAILABLE],
        [change("c3", "RUNNING", job("a")), point("c4", "a", 2), *end],
        [terminal("c5")],
    )
    watch = client.watch("e")
    assert told(watch) == ["Change", "TrainPoint a 1:1", "Change", "TrainPoint a 1:2", "Terminal"]
    assert cursors(fake) == ["", "c2", "c2", "c4"]
    assert watch.cursor == "c5"
    assert {request.name for request in fake.requests["WatchExperiment"]} == {"experiments/e"}


def test_begins_at_a_cursor(fake: FakeServer, client: jenner.Client) -> None:
    fake.script("WatchExperiment", [terminal("c9")])
    assert told(client.watch("experiments/e", "c8")) == ["Terminal"]
    assert cursors(fake) == ["c8"]


def test_heartbeats_are_given_on_request_and_count_as_an_answer(
    fake: FakeServer, client: jenner.Client
) -> None:
    fake.script("WatchExperiment", [heartbeat("c1"), UNAVAILABLE], [heartbeat("c2"), terminal("c3")])
    assert told(client.watch("e")) == ["Terminal"]
    assert cursors(fake) == ["", "c1"]
    fake.script("WatchExperiment", [heartbeat("c1"), terminal("c3")])
    assert told(client.watch("e", heartbeats=True, heartbeat_interval=1.5)) == ["Heartbeat", "Terminal"]
    assert fake.requests["WatchExperiment"][-1].heartbeat_interval.ToMilliseconds() == 1500
    with pytest.raises(ValueError, match="heartbeat_interval"):
        client.watch("e", heartbeat_interval=0.5)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, jenner.NotFoundError),
        (grpc.StatusCode.INVALID_ARGUMENT, jenner.InvalidArgumentError),
        (grpc.StatusCode.OUT_OF_RANGE, jenner.OutOfRangeError),
        (grpc.StatusCode.PERMISSION_DENIED, jenner.PermissionDeniedError),
    ],
)
def test_what_the_server_refuses_is_raised_at_once(
    fake: FakeServer, client: jenner.Client, code: grpc.StatusCode, kind: type[jenner.JennerError]
) -> None:
    fake.script("WatchExperiment", [point("c1", "a", 1), Failure(code)])
    watch = client.watch("e")
    assert told([next(watch)]) == ["TrainPoint a 1:1"]
    with pytest.raises(kind):
        next(watch)
    assert len(cursors(fake)) == 1


def test_gives_up_after_a_silence(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "MAX_SILENCE", 0.2)
    fake.script("WatchExperiment", [point("c1", "a", 1), UNAVAILABLE], [UNAVAILABLE])
    with jenner.Client(fake.address, timeout=0.1) as client:
        watch = client.watch("e")
        next(watch)
        with pytest.raises(jenner.UnavailableError, match=rf"{fake.address} within 0\.2 s: it is starting"):
            next(watch)
        # Before the first answer, after the client's timeout.
        fake.script("WatchExperiment", [UNAVAILABLE])
        with pytest.raises(jenner.UnavailableError, match=r"within 0\.1 s"):
            next(client.watch("e"))


def test_cancel_from_another_thread(fake: FakeServer, client: jenner.Client) -> None:
    hold = Hold()
    fake.script("WatchExperiment", [point("c1", "a", 1), hold])
    watch = client.watch("e")
    next(watch)

    def cancel() -> None:
        hold.reached.wait(5)
        watch.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(jenner.CancelledError):
        next(watch)
    canceller.join()
    with client.watch("e") as second:
        pass
    with pytest.raises(jenner.CancelledError):
        next(second)


def test_an_update_of_a_newer_server_is_passed_over(fake: FakeServer, client: jenner.Client) -> None:
    fake.script("WatchExperiment", [pb.WatchExperimentResponse(cursor="c1"), UNAVAILABLE], [terminal("c2")])
    assert told(client.watch("e")) == ["Terminal"]
    assert cursors(fake) == ["", "c1"]


def test_a_retried_job_is_told_again_after_a_rewind(fake: FakeServer, client: jenner.Client) -> None:
    stream = [
        change("c1", "RUNNING", job("a")),
        point("c2", "a", 1),
        point("c3", "a", 2),
        rewind("c4", "a", 1, attempt=2),
        point("c5", "a", 2, attempt=2),
        change("c6", "SUCCEEDED", job("a", "SUCCEEDED", attempt=2)),
        terminal("c7"),
    ]
    fake.script("WatchExperiment", stream)
    assert told(client.watch("e")) == [
        "Change", "TrainPoint a 1:1", "TrainPoint a 1:2", "Rewind a 2:1", "TrainPoint a 2:2", "Change", "Terminal",
    ]  # fmt: skip
    settled = list(client.watch("e", settled=True))
    assert told(settled) == ["Change", "Change", "TrainPoint a 1:1", "TrainPoint a 2:2", "Terminal"]
    # After the change nothing may be left out: the points before it are still held.
    assert [one.cursor for one in settled] == ["c1", "c1", "c4", "c6", "c7"]


def test_an_ended_job_settles_only_once_its_last_attempt_tells(
    fake: FakeServer, client: jenner.Client
) -> None:
    # The experiment as it is comes first, before the rows of attempts that are long over.
    fake.script(
        "WatchExperiment",
        [
            change("c1", "SUCCEEDED", job("a", "SUCCEEDED", attempt=3), job("b", "FAILED", attempt=2)),
            point("c2", "a", 1),
            point("c3", "b", 1),
            rewind("c4", "a", -1, attempt=2),
            point("c5", "a", 1, attempt=2),
            rewind("c6", "a", 1, attempt=3),
            point("c7", "a", 1, attempt=2),  # of a stale attempt
            point("c8", "a", 2, attempt=3),
            terminal("c9"),
        ],
    )
    assert told(client.watch("e", settled=True)) == [
        "Change", "TrainPoint a 2:1", "TrainPoint a 3:2", "TrainPoint b 1:1", "Terminal",
    ]  # fmt: skip


def _random_stream(seed: int) -> list[model.Update]:
    """What a server might tell of three jobs that are tried up to three times, from the beginning."""
    dice = random.Random(seed)
    rows: list[list[pb.WatchExperimentResponse]] = []
    ends = {}
    for id in "abc":
        own: list[pb.WatchExperimentResponse] = []
        valid = 0
        attempts = dice.randint(1, 3)
        for attempt in range(1, attempts + 1):
            if attempt > 1:
                valid = dice.randint(0, valid)
                own.append(rewind("", id, valid, attempt))
            valid += dice.randint(1, 4)
            own += [point("", id, step, attempt) for step in range(own_first(own), valid + 1)]
        ends[id] = attempts
        rows.append(own)
    out: list[pb.WatchExperimentResponse] = [change("", "RUNNING", *(job(id) for id in "abc"))]
    done: set[str] = set()
    while any(rows):
        own = dice.choice([one for one in rows if one])
        out.append(own.pop(0))
        done |= {id for id, left in zip("abc", rows, strict=True) if not left and dice.random() < 0.5}
        if dice.random() < 0.3:
            out.append(
                change(
                    "", "RUNNING", *(job(i, "SUCCEEDED" if i in done else "RUNNING", ends[i]) for i in "abc")
                )
            )
    out.append(change("", "SUCCEEDED", *(job(id, "SUCCEEDED", ends[id]) for id in "abc")))
    out.append(terminal(""))
    for number, one in enumerate(out, 1):
        one.cursor = f"c{number}"
    return [update for update in map(model.update, out) if update is not None]


def own_first(own: list[pb.WatchExperimentResponse]) -> int:
    """The step that a job tells next."""
    last = own[-1] if own else None
    if last is None:
        return 1
    return (last.rewind.step if last.HasField("rewind") else last.train_point.step) + 1


def _steps(updates: Iterable[model.Update]) -> list[tuple[str, int, int]]:
    return [(u.job, u.step, u.attempt) for u in updates if isinstance(u, jenner.TrainPoint)]


@pytest.mark.parametrize("seed", range(40))
def test_settled_is_what_remains_and_any_cursor_of_it_misses_nothing(seed: int) -> None:
    stream = _random_stream(seed)
    remains: dict[tuple[str, int], int] = {}
    for update in stream:
        if isinstance(update, jenner.TrainPoint):
            remains[update.job, update.step] = update.attempt
        elif isinstance(update, jenner.Rewind):
            remains = {k: v for k, v in remains.items() if k[0] != update.job or k[1] <= update.step}
    settled = list(settle(iter(stream), ""))
    steps = _steps(settled)
    assert len(steps) == len(set(steps))
    assert {(id, step): attempt for id, step, attempt in steps} == remains
    assert not any(isinstance(one, jenner.Rewind) for one in settled)
    last = next(one for one in reversed(stream) if isinstance(one, jenner.Change))
    for stop in range(1, len(settled)):
        cursor = settled[stop - 1].cursor
        begin = int(cursor[1:]) if cursor else 0
        # A stream from a cursor begins with the experiment as it is.
        again = settle(iter([last, *stream[begin:]]), cursor)
        assert set(_steps(settled[:stop])) | set(_steps(again)) == set(steps)

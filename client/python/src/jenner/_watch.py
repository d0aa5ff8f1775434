"""Watch: a stream of updates that survives disconnects; settle: without what a rewind voids."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from jenner import model
from jenner._connection import Connection, backoff
from jenner.errors import CancelledError, from_rpc
from jenner.v1 import experiment_pb2, experiment_pb2_grpc

MAX_SILENCE = 120.0  # seconds without an answer, after there was one
_Told: TypeAlias = model.TrainPoint | model.Cell
_UpdateT = TypeVar("_UpdateT", bound=model.Update)


class Watch(Iterator[model.Update]):
    """An iterator of updates, in order, at least once each; ends after `Terminal`.

    It reconnects with back-off and goes on after the last cursor, for up to two minutes without an
    answer (before the first one: the client's timeout), as when the server starts again. Raises
    what the server says (NotFoundError, InvalidArgumentError for a cursor of another experiment,
    OutOfRangeError for one that is ahead of all that is stored), UnavailableError after such a
    silence, CancelledError after `cancel`.

    One reader; `cancel` may come from another thread. As a context manager it cancels at the end.
    """

    def __init__(
        self,
        connection: Connection,
        stub: experiment_pb2_grpc.ExperimentsStub,
        name: str,
        cursor: str,
        *,
        settled: bool,
        heartbeats: bool,
        heartbeat_interval: float,
    ) -> None:
        if not 1 <= heartbeat_interval <= 30:
            raise ValueError(f"heartbeat_interval: expected 1 to 30 seconds, found {heartbeat_interval:g}")
        self._stream = _Stream(connection, stub, name, cursor, heartbeat_interval)
        updates: Iterator[model.Update] = self._stream.updates()
        if settled:
            updates = settle(updates, cursor)
        self._updates = updates
        self._heartbeats = heartbeats
        self._cursor = cursor

    def __next__(self) -> model.Update:
        while True:
            update = next(self._updates)
            self._cursor = update.cursor
            if self._heartbeats or not isinstance(update, model.Heartbeat):
                return update

    @property
    def cursor(self) -> str:
        """Where to go on after the last update that was given; "": at the beginning."""
        return self._cursor

    def cancel(self) -> None:
        """Ends the stream soon; the experiment goes on."""
        self._stream.cancel()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            self.cancel()


class _Stream:
    def __init__(
        self,
        connection: Connection,
        stub: experiment_pb2_grpc.ExperimentsStub,
        name: str,
        cursor: str,
        heartbeat_interval: float,
    ) -> None:
        self._connection = connection
        self._stub = stub
        self._request = experiment_pb2.WatchExperimentRequest(
            name=name,
            cursor=cursor,
            heartbeat_interval=Duration(
                seconds=int(heartbeat_interval), nanos=int(heartbeat_interval % 1 * 1e9)
            ),
        )
        self._lock = threading.Lock()  # guards the next two
        self._call: grpc.Call | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._call is not None:
                self._call.cancel()

    def _connect(self) -> Iterator[experiment_pb2.WatchExperimentResponse]:
        with self._lock:
            if self._is_cancelled:
                raise CancelledError("the watch was cancelled")
            call = self._stub.WatchExperiment(self._request, metadata=self._connection.metadata)
            self._call = call
        return call

    def updates(self) -> Iterator[model.Update]:
        is_answered = is_terminal = False
        last_heard = time.monotonic()
        failures = 0
        while True:
            error = None
            try:
                for message in self._connect():
                    self._request.cursor = message.cursor
                    is_answered = True
                    failures = 0
                    update = model.update(message)
                    is_terminal = isinstance(update, model.Terminal)
                    if update is not None:
                        yield update
                    # What its reader does between two updates is no silence of the server.
                    last_heard = time.monotonic()
            except grpc.RpcError as raised:
                error = from_rpc(raised)
            if error is None and is_terminal:
                return
            # A slow reader was let go, or the server went away, which may end the call as cancelled:
            # both go on from the cursor. A stream that just ends was cut, too.
            if error is not None:
                with self._lock:
                    if self._is_cancelled:
                        raise CancelledError("the watch was cancelled") from error
                again = (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    grpc.StatusCode.CANCELLED,
                )
                patience = MAX_SILENCE if is_answered else self._connection.timeout
                if error.code not in again or time.monotonic() - last_heard > patience:
                    raise self._connection.named(error, patience)
            self._connection.pause(backoff(failures))
            failures += 1


@dataclasses.dataclass(frozen=True)
class _Held:
    number: int  # in the order of the stream
    before: str  # the cursor before it
    update: _Told


class _Settler:
    """What was told of each job and may still be void."""

    def __init__(self, cursor: str) -> None:
        self._held: dict[str, collections.deque[_Held]] = {}
        self._newest: dict[str, int] = {}  # the newest attempt of a job that told something
        self._ended: dict[str, int] = {}  # the last attempt of a job that has ended
        self._count = 0
        self._before = self._at = cursor

    def take(self, update: model.Update) -> Iterator[model.Update]:
        """What can be given now that `update` is known."""
        self._before, self._at = self._at, update.cursor
        if isinstance(update, model.Rewind):
            self._newest[update.job] = update.attempt
            held = self._held.get(update.job, ())
            self._held[update.job] = collections.deque(one for one in held if one.update.step <= update.step)
            yield from self._release(update.job)
        elif isinstance(update, (model.TrainPoint, model.Cell)):
            self._hold(update)
            yield from self._release(update.job)
        elif isinstance(update, model.Change):
            yield self._stamped(update)
            for job in update.experiment.jobs:
                if job.state.is_terminal:
                    self._ended[job.id] = job.attempt
                    yield from self._release(job.id)
        else:
            if isinstance(update, model.Terminal):
                for job_id in list(self._held):
                    yield from self._release(job_id, is_over=True)
            yield self._stamped(update)

    def _hold(self, update: _Told) -> None:
        newest = self._newest.get(update.job, 0)
        if update.attempt < newest:
            return  # void: a later one has begun
        self._newest[update.job] = update.attempt
        self._count += 1
        held = self._held.setdefault(update.job, collections.deque())
        held.append(_Held(self._count, self._before, update))

    def _release(self, job: str, *, is_over: bool = False) -> Iterator[model.Update]:
        last = self._ended.get(job)
        if not is_over and (last is None or self._newest.get(job, 0) < last):
            return
        held = self._held.get(job)
        while held:
            yield self._stamped(held.popleft().update)

    def _stamped(self, update: _UpdateT) -> _UpdateT:
        """`update` with the cursor before the oldest that is held."""
        firsts = [one[0] for one in self._held.values() if one]
        cursor = min(firsts, key=lambda one: one.number).before if firsts else self._at
        return dataclasses.replace(update, cursor=cursor)


def settle(updates: Iterable[model.Update], cursor: str) -> Iterator[model.Update]:
    """`updates`, which begin after `cursor`, without what a rewind voids and without rewinds.

    Each (job, step) comes once, of the attempt that counts: train points and cells of a job are held
    back until it has ended and its last attempt has begun to tell, or until the experiment has ended.
    The cursor of each update is one after which nothing is missing: who goes on from it may be told
    some updates again.
    """
    settler = _Settler(cursor)
    for update in updates:
        yield from settler.take(update)

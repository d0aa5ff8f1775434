"""Client: one method a thing to do with experiments."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeAlias

import pandas as pd

from jenner import _spec, frames, model
from jenner._connection import Connection
from jenner._watch import Watch
from jenner.errors import (
    DataLossError,
    DeadlineExceededError,
    ExperimentFailedError,
    Fault,
    InvalidArgumentError,
    NotFoundError,
    invalid,
)
from jenner.study import Selection, Study
from jenner.study import study as study_of
from jenner.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
    experiment_pb2,
    experiment_pb2_grpc,
    study_pb2,
    study_pb2_grpc,
)

Path: TypeAlias = "str | os.PathLike[str]"
#: An experiment, or its name: ``x`` or ``experiments/x``.
Name: TypeAlias = "model.Experiment | str"

_CHUNK_BYTES = 1 << 20


def _wire_name(experiment: Name) -> str:
    if isinstance(experiment, model.Experiment):
        return experiment.name
    return experiment if experiment.startswith("experiments/") else f"experiments/{experiment}"


class Client:
    """Calls to jenner-server. Thread-safe; not to be carried over a fork.

    Each call has `timeout` seconds, tries included. Every call is idempotent (`submit` by a request
    id that is made once), so a server that is unavailable, and one that asks to come again later,
    is tried again with jittered back-off inside that time; then the error is raised.

    Every method raises errors of `jenner.errors`. Besides those that it names: UnavailableError (no
    answer in time), UnauthenticatedError and PermissionDeniedError (the token), and
    ResourceExhaustedError (too many calls).
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        token_file: Path | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Connects lazily; what is None comes from the environment, as of the `jenner` command.

        Args:
            server: HOST:PORT, or several: ``ipv4:10.0.0.1:7070,10.0.0.2:7070``. JENNER_SERVER, else
                ``127.0.0.1:7070``.
            ca: PEM file of the CA that signed the server's certificate; makes it TLS. JENNER_CA.
            cert, key: PEM files, one's own certificate, if the server asks for one. JENNER_CERT,
                JENNER_KEY.
            token_file: file with one's token, sent over TLS or on this machine only.
                JENNER_TOKEN_FILE.
            timeout: seconds of one call, 0.1 to 3600.

        Raises:
            NotFoundError: a file is not there.
            InvalidArgumentError: an address without a port, a file that is not what it should be.
            FailedPreconditionError: the token would leave this machine in the clear.
        """

        def of(value: Path | None, variable: str) -> Path | None:
            return value if value is not None else os.environ.get(variable) or None

        address = of(server, "JENNER_SERVER") or "127.0.0.1:7070"
        self._connection = Connection(
            os.fspath(address),
            ca=of(ca, "JENNER_CA"),
            cert=of(cert, "JENNER_CERT"),
            key=of(key, "JENNER_KEY"),
            token_file=of(token_file, "JENNER_TOKEN_FILE"),
            timeout=timeout,
        )
        channel = self._connection.channel
        self._experiments = experiment_pb2_grpc.ExperimentsStub(channel)
        self._datasets = dataset_pb2_grpc.DatasetsStub(channel)
        self._studies = study_pb2_grpc.StudiesStub(channel)

    @property
    def server(self) -> str:
        """Its address."""
        return self._connection.server

    def close(self) -> None:
        """Closes the connection; watches end."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- Submitting

    def submit(
        self,
        spec: _spec.SpecLike,
        *,
        id: str = "",
        owner: str | None = None,
        overrides: _spec.Overrides = (),
        folder: Path | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> model.Experiment:
        """Checks a spec, uploads the datasets that it names by path, and creates the experiment.

        Args:
            spec: the path of a YAML or JSON file; a text of YAML (a str with a line break, or one
                that begins with ``{``); or a dict, such as the `spec` of an experiment. Fields:
                docs/spec.md of the service. An arm may be one word, which is its name and its role:
                ``arms: [base, no-inoculation, inoculated]``.
            id: ``[a-z]([a-z0-9-]{0,61}[a-z0-9])?``; "": the server makes one.
            owner: whose share of the slots it uses; by default JENNER_OWNER, else "default".
            overrides: fields to set, as ``{"training.epochs": 3, "arms[0].name": "x"}`` or
                ``["training.epochs=3"]`` (values as YAML).
            folder: where the paths of datasets start; by default the folder of the file, else the
                current one.
            dry_run: do everything but create it. The answer has the resolved spec, the jobs, and in
                `plan` what they would take.
            request_id: a UUID; the same one with the same spec gives the same experiment. By default
                a new one, so that a try that is repeated makes no second experiment.

        Returns:
            The experiment, with its resolved spec.

        Raises:
            InvalidArgumentError: `faults` has everything that is wrong: with its path in the spec
                and, where it is known, the line of the file or the override.
            NotFoundError: no such file, or a ``sha256:`` reference that was not uploaded.
            AlreadyExistsError: the id is taken.
            FailedPreconditionError: the experiment of the request id is deleted.
            ResourceExhaustedError: too many experiments.
        """
        loaded = _spec.load(spec, overrides, folder)
        self._upload_all(loaded)
        request = experiment_pb2.CreateExperimentRequest(
            experiment_id=id,
            spec=loaded.message,
            request_id=request_id or str(uuid.uuid4()),
            validate_only=dry_run,
            owner=os.environ.get("JENNER_OWNER", "") if owner is None else owner,
        )
        try:
            response = self._connection.unary(self._experiments.CreateExperiment, request)
        except InvalidArgumentError as error:
            raise _relocated(error, loaded) from None
        created = model.experiment(response.experiment)
        if response.HasField("plan"):
            created = dataclasses.replace(created, plan=model.plan(response.plan))
        return created

    def _upload_all(self, loaded: _spec.Spec) -> None:
        """Uploads each dataset; InvalidArgumentError has the faults of all of them."""
        faults: list[Fault] = []
        for dataset in loaded.datasets:
            try:
                self._upload(dataset.data, dataset.sha256, dataset.use)
            except InvalidArgumentError as error:
                lines = [str(one) for one in error.faults] or error.message.splitlines()
                faults += [Fault(dataset.field, f"{dataset.path}: {line}") for line in lines]
        if faults:
            raise invalid(loaded.located(faults))

    def _upload(self, data: bytes, sha256: str, use: dataset_pb2.DatasetUse.ValueType) -> None:
        # Always sent: one that is there was checked for the use it was uploaded with.
        def parts() -> Iterator[dataset_pb2.UploadDatasetRequest]:
            header = dataset_pb2.UploadDatasetHeader(sha256=sha256, size_bytes=len(data), use=use)
            yield dataset_pb2.UploadDatasetRequest(header=header)
            for begin in range(0, len(data), _CHUNK_BYTES):
                chunk = data[begin : begin + _CHUNK_BYTES]
                yield dataset_pb2.UploadDatasetRequest(chunk=chunk)

        self._connection.call(
            lambda timeout, metadata: self._datasets.UploadDataset(
                parts(), timeout=timeout, metadata=metadata
            )
        )

    def dataset(self, reference: str) -> bytes:
        """The bytes of a dataset that was uploaded, or of a training set that was made.

        Args:
            reference: ``sha256:HEX``, as in the `spec` of an experiment (``dataset``,
                ``evaluation.prompts``, ``data.NAME.result``); also ``datasets/HEX``.

        Raises:
            NotFoundError: no such dataset.
            DataLossError: what came is something else.
        """
        sha256 = reference.removeprefix("sha256:").removeprefix("datasets/")
        request = dataset_pb2.DownloadDatasetRequest(name=f"datasets/{sha256}")
        data = self._connection.call(
            lambda timeout, metadata: b"".join(
                part.chunk
                for part in self._datasets.DownloadDataset(request, timeout=timeout, metadata=metadata)
            )
        )
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataLossError(f"datasets/{sha256}: the {len(data)} bytes that came are not these")
        return data

    def dataset_rows(self, reference: str) -> list[dict[str, Any]]:
        """The rows of a dataset, as `dataset` has them."""
        return [json.loads(line) for line in self.dataset(reference).splitlines() if line.strip()]

    # --- Looking

    def get(self, experiment: Name) -> model.Experiment:
        """The experiment as it is now, with its resolved spec and its jobs.

        Raises:
            NotFoundError: no such experiment.
        """
        request = experiment_pb2.GetExperimentRequest(name=_wire_name(experiment))
        response = self._connection.unary(self._experiments.GetExperiment, request)
        return model.experiment(response.experiment)

    def list(self, limit: int = 50) -> list[model.Experiment]:
        """Up to `limit` experiments, newest first, without spec and artifacts; 0: all."""
        request = experiment_pb2.ListExperimentsRequest()
        listed = self._connection.listed(self._experiments.ListExperiments, request, "experiments", limit)
        return [model.experiment(one) for one in listed]

    # --- Steering

    def cancel(self, experiment: Name) -> model.Experiment:
        """Stops its jobs for good; their trainers may end by themselves for 10 s.

        To cancel twice is no error. Done when the state is CANCELLED, see `wait`.

        Raises:
            NotFoundError: no such experiment.
            FailedPreconditionError: it has ended otherwise.
        """
        return self._cancel(experiment, kill=False)

    def kill(self, experiment: Name) -> model.Experiment:
        """The same as `cancel` at once; also after a cancel that takes too long."""
        return self._cancel(experiment, kill=True)

    def _cancel(self, experiment: Name, *, kill: bool) -> model.Experiment:
        request = experiment_pb2.CancelExperimentRequest(name=_wire_name(experiment), kill=kill)
        response = self._connection.unary(self._experiments.CancelExperiment, request)
        return model.experiment(response.experiment)

    def pause(self, experiment: Name) -> model.Experiment:
        """Stops its jobs with a checkpoint: PAUSING, then PAUSED. To pause twice is no error.

        Raises:
            NotFoundError: no such experiment.
            FailedPreconditionError: it has ended or is being cancelled.
        """
        request = experiment_pb2.PauseExperimentRequest(name=_wire_name(experiment))
        response = self._connection.unary(self._experiments.PauseExperiment, request)
        return model.experiment(response.experiment)

    def resume(self, experiment: Name) -> model.Experiment:
        """Lets a paused experiment go on. To resume what is not paused is no error.

        Raises:
            NotFoundError: no such experiment.
            FailedPreconditionError: it has ended or is being cancelled.
        """
        request = experiment_pb2.ResumeExperimentRequest(name=_wire_name(experiment))
        response = self._connection.unary(self._experiments.ResumeExperiment, request)
        return model.experiment(response.experiment)

    def delete(self, experiment: Name) -> None:
        """Removes an experiment that has ended, with its metrics and answers.

        Raises:
            NotFoundError: no such experiment.
            FailedPreconditionError: it has not ended.
        """
        request = experiment_pb2.DeleteExperimentRequest(name=_wire_name(experiment))
        tries = 0

        def start(timeout: float, metadata: tuple[tuple[str, str], ...]) -> None:
            nonlocal tries
            tries += 1
            self._experiments.DeleteExperiment(request, timeout=timeout, metadata=metadata)

        try:
            self._connection.call(start)
        except NotFoundError:
            if tries == 1:
                raise
            # An earlier try did it, and its answer was lost.

    # --- Following

    def watch(
        self,
        experiment: Name,
        cursor: str | None = None,
        *,
        settled: bool = False,
        heartbeats: bool = False,
        heartbeat_interval: float = 10.0,
    ) -> Watch:
        """Follows an experiment to its end: an iterator of updates.

        The first is a `Change` with the experiment as it is; the last a `Terminal`. Updates come in
        order and at least once; after a disconnect it goes on from the last cursor.

        Args:
            cursor: of an earlier update; what follows it is told. None or "": from the beginning.
            settled: give train points and cells only once no later attempt can void them, each
                (job, step) once, and no `Rewind`: a job's come when it has ended. Without it a job
                that is tried again tells its steps again, after a `Rewind`.
            heartbeats: give `Heartbeat`, too.
            heartbeat_interval: seconds of silence after which one comes, 1 to 30.

        Raises (while it is iterated):
            NotFoundError: no such experiment.
            InvalidArgumentError: not a cursor, or one of another experiment.
            OutOfRangeError: a cursor ahead of all that is stored.
        """
        return Watch(
            self._connection,
            self._experiments,
            _wire_name(experiment),
            cursor or "",
            settled=settled,
            heartbeats=heartbeats,
            heartbeat_interval=heartbeat_interval,
        )

    def wait(self, experiment: Name, *, timeout: float | None = None, check: bool = True) -> model.Experiment:
        """Waits for the end of an experiment and returns it.

        Args:
            timeout: seconds, looked at after each update and at least every two seconds; None: no
                limit.
            check: raise if it did not succeed.

        Raises:
            ExperimentFailedError: it failed or was cancelled, and `check` is set.
            DeadlineExceededError: `timeout` is over; the experiment goes on.
            NotFoundError: no such experiment.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        interval = 10.0 if timeout is None else 1.0
        with self.watch(experiment, heartbeats=True, heartbeat_interval=interval) as updates:
            for update in updates:
                if isinstance(update, model.Terminal):
                    break
                if deadline is not None and time.monotonic() >= deadline:
                    name = model.last_component(_wire_name(experiment))
                    raise DeadlineExceededError(f"{name} has not ended within {timeout:g} s")
        ended = self.get(experiment)
        if check and ended.state is not model.State.SUCCEEDED:
            raise ExperimentFailedError(
                f"experiment {ended.id} {ended.state}: {ended.reason or 'no reason given'}",
                reason=ended.reason.code if ended.reason else "",
                metadata={"resource": ended.name},
            )
        return ended

    # --- Results

    def results(self, experiment: Name) -> pd.DataFrame:
        """The evaluated cells so far, one row a trait of a cell: `jenner.frames.RESULTS`.

        Raises:
            NotFoundError: no such experiment.
        """
        request = experiment_pb2.GetResultsRequest(name=_wire_name(experiment))
        response = self._connection.unary(self._experiments.GetResults, request)
        return frames.results(response.rows)

    def study(self, experiment: Name) -> Study:
        """Every figure of an experiment with its uncertainty, of what has been answered so far.

        Computed by the server; the same scores give the same figures. Takes seconds of a large
        experiment.

        Raises:
            NotFoundError: no such experiment.
            FailedPreconditionError: nothing has been answered yet.
            ResourceExhaustedError: more than 5,000,000 scores.
        """
        request = study_pb2.GetStudyRequest(name=_wire_name(experiment))
        response = self._connection.unary(self._studies.GetStudy, request)
        return study_of(response.study)

    def freeze_screen(self, experiment: Name, top: int = 0) -> Selection:
        """Freezes the contexts that a screen found, for the `selection` of a later spec.

        The same screen and `top` give the same selection.

        Args:
            top: so many of those whose elicitation's interval lies above 0; 0: all of them.

        Raises:
            NotFoundError: no such experiment.
            FailedPreconditionError: it is no screen, has not succeeded, or elicits nothing.
            InvalidArgumentError: `top` is below 0.
        """
        request = study_pb2.FreezeScreenRequest(name=_wire_name(experiment), top=top)
        response = self._connection.unary(self._studies.FreezeScreen, request)
        return Selection(response.selection, response.json)

    def samples(
        self,
        experiment: Name,
        *,
        arm: str = "",
        context: str = "",
        step: int | None = None,
        prompt_set: str = "",
        limit: int = 0,
    ) -> pd.DataFrame:
        """The answers, one row an answer and arm: `jenner.frames.SAMPLES` and a column a trait.

        Args:
            arm, context, step, prompt_set: of these only; "" and None: all.
            limit: at most so many answers; 0: all.

        Raises:
            NotFoundError: no such experiment.
        """
        request = experiment_pb2.ListSamplesRequest(
            name=_wire_name(experiment), arm=arm, context=context, step=step, prompt_set=prompt_set
        )
        listed = self._connection.listed(self._experiments.ListSamples, request, "samples", limit)
        return frames.samples(listed, arm)

    def train_points(self, experiment: Name) -> pd.DataFrame:
        """The training curves so far, one row a step, arm and seed: `jenner.frames.TRAIN_POINTS`.

        Of an experiment that runs: up to what its jobs had told when the call began, at least; a
        second without news also ends it. What a later attempt voids is left out.

        Raises:
            NotFoundError: no such experiment.
        """
        curves = frames.Curves()
        jobs: tuple[model.Job, ...] | None = None
        with self.watch(experiment, heartbeats=True, heartbeat_interval=1.0) as updates:
            for update in updates:
                curves.take(update)
                if isinstance(update, model.Heartbeat):
                    break
                if jobs is None and isinstance(update, model.Change):
                    jobs = update.experiment.jobs
                    # One that has ended tells all, to its Terminal.
                    if update.experiment.state.is_terminal:
                        jobs = ()
                if jobs and isinstance(update, model.TrainPoint) and all(map(curves.has, jobs)):
                    break
        return curves.frame()


def _relocated(error: InvalidArgumentError, loaded: _spec.Spec) -> InvalidArgumentError:
    """`error` with the origin of each fault."""
    return InvalidArgumentError(
        error.message,
        faults=loaded.located(error.faults),
        reason=error.reason,
        metadata=error.metadata,
    )

"""What the service tells, as immutable values: experiments, jobs and the updates of a watch."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from jenner._proto import to_dict
from jenner.v1 import experiment_pb2 as pb


class State(enum.StrEnum):
    """Where an experiment or a job is; jobs are never PAUSING or PAUSED."""

    UNSPECIFIED = "unspecified"
    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSING = "pausing"
    PAUSED = "paused"

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended for good."""
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


def _state(number: int) -> State:
    try:
        return State(pb.State.Name(number).removeprefix("STATE_").lower())  # type: ignore[arg-type]
    except ValueError:  # of a newer server
        return State.UNSPECIFIED


def _time(stamp: Timestamp) -> datetime.datetime | None:
    return stamp.ToDatetime(datetime.UTC) if stamp.seconds or stamp.nanos else None


def last_component(name: str) -> str:
    """``x`` of ``experiments/x`` or of ``experiments/e/jobs/x``."""
    return name.rpartition("/")[2]


def split_arm(text: str) -> tuple[str, int]:
    """Arm and seed of "arm/seed"."""
    arm, _, seed = text.rpartition("/")
    return arm, int(seed)


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why something is in its state.

    Attributes:
        code: upper-case, as in ``NO_CAPACITY`` or ``NON_FINITE_LOSS``.
        message: one line for a person.
        blame: "user", "system" or "capacity".
    """

    code: str
    message: str
    blame: str

    def __str__(self) -> str:
        blame = f" [{self.blame}]" if self.blame and self.blame != "capacity" else ""
        return f"{self.code}{blame}: {self.message}"


def _reason(message: pb.StateReason) -> Reason | None:
    return Reason(message.code, message.message, message.blame) if message.code else None


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A result file in the server's store: relative path, SHA-256 in hex, size in bytes."""

    path: str
    sha256: str
    size_bytes: int


@dataclasses.dataclass(frozen=True)
class Job:
    """One training with its evaluations, or an evaluation of the base model.

    Attributes:
        id: as in ``j0123456789abcdef``; the hash of its content.
        arms: (arm, seed) of each that shares it.
        attempt: number of the current or last try; 0 before the first.
        ranks: data-parallel processes.
        step: the last optimizer step heard of.
        total_steps: 0 until the trainer has planned.
        workers: names by rank; empty while it is queued.
        attempts_counted: failed attempts that count, 0 to 3.
        interruptions: attempts that failed for the machines' sake, 0 to 50.
        queue_position: 1 for the next to be served; 0: it does not wait for its turn.
        stopping: it was asked to stop with a checkpoint.
        checkpoint_step: of the checkpoint that the server has; 0: none.
        resumed_step: the step that this attempt went on from; 0: the beginning.
    """

    id: str
    state: State
    reason: Reason | None
    arms: tuple[tuple[str, int], ...]
    attempt: int
    ranks: int
    step: int
    total_steps: int
    start_time: datetime.datetime | None
    end_time: datetime.datetime | None
    workers: tuple[str, ...]
    artifacts: tuple[Artifact, ...]
    attempts_counted: int
    interruptions: int
    queue_position: int
    stopping: bool
    checkpoint_step: int
    resumed_step: int


def _job(message: pb.Job) -> Job:
    return Job(
        id=last_component(message.name),
        state=_state(message.state),
        reason=_reason(message.state_reason),
        arms=tuple(split_arm(one) for one in message.arms),
        attempt=message.attempt,
        ranks=message.ranks,
        step=message.step,
        total_steps=message.total_steps,
        start_time=_time(message.start_time),
        end_time=_time(message.end_time),
        workers=tuple(message.workers),
        artifacts=tuple(Artifact(a.path, a.sha256, a.size_bytes) for a in message.artifacts),
        attempts_counted=message.attempts_counted,
        interruptions=message.interruptions,
        queue_position=message.queue_position,
        stopping=message.stopping,
        checkpoint_step=message.checkpoint_step,
        resumed_step=message.resumed_step,
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all jobs of an experiment together would take, and what it could show.

    Attributes:
        num_steps: optimizer steps.
        num_rows: trained on, epochs counted.
        num_tokens: about, from the bytes of the rows.
        num_answers: generated.
        num_given: scored or classified without generation.
        seconds: from the pace of earlier trainings and the slots that are there now; None: there is
            nothing to go by.
        minimum_detectable_difference: of two arms' rates of a yes/no trait, from 0.5 down, with power
            0.8; None: with so few prompts and seeds not even 0 is told from 0.5, or no two arms are
            compared.
        assumptions: of the last two, one line each.
    """

    num_trainings: int
    num_steps: int
    num_rows: int
    num_tokens: int
    num_answers: int
    num_given: int
    seconds: float | None
    minimum_detectable_difference: float | None
    assumptions: tuple[str, ...]


def plan(message: pb.Plan) -> Plan:
    """The value of a message."""
    difference = message.minimum_detectable_difference
    return Plan(
        num_trainings=message.num_trainings,
        num_steps=message.num_steps,
        num_rows=message.num_rows,
        num_tokens=message.num_tokens,
        num_answers=message.num_answers,
        num_given=message.num_given,
        seconds=message.seconds if message.HasField("seconds") else None,
        minimum_detectable_difference=(
            difference if message.HasField("minimum_detectable_difference") else None
        ),
        assumptions=tuple(message.assumptions),
    )


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment as it was when the server answered.

    Attributes:
        id: ``x`` of ``experiments/x``; "" of a dry run without an id.
        spec: the resolved spec, every default filled in, as plain values that `Client.submit` takes.
            Empty where it is left out: in `Client.list` and in a watch.
        jobs: in the order of the arms; artifacts are left out in `Client.list`.
        spec_sha256: hex, of the resolved spec's canonical JSON.
        plan: what it would take, of a dry run; else None.
        priority: 0 to 100.
        queue_position: of its job that is served next; 0: none waits for its turn.
    """

    id: str
    state: State
    reason: Reason | None
    spec: dict[str, Any]
    jobs: tuple[Job, ...]
    owner: str
    priority: int
    queue_position: int
    create_time: datetime.datetime | None
    start_time: datetime.datetime | None
    end_time: datetime.datetime | None
    spec_sha256: str
    plan: Plan | None = None

    @property
    def name(self) -> str:
        """Its name on the wire, ``experiments/{id}``."""
        return f"experiments/{self.id}"

    def __repr__(self) -> str:
        return f"<Experiment {self.id}: {self.state}, {len(self.jobs)} jobs>"


def experiment(message: pb.Experiment) -> Experiment:
    """The value of a message."""
    return Experiment(
        id=last_component(message.name),
        state=_state(message.state),
        reason=_reason(message.state_reason),
        spec=to_dict(message.spec),
        jobs=tuple(_job(one) for one in message.jobs),
        owner=message.owner,
        priority=message.priority,
        queue_position=message.queue_position,
        create_time=_time(message.create_time),
        start_time=_time(message.start_time),
        end_time=_time(message.end_time),
        spec_sha256=message.spec_sha256,
    )


@dataclasses.dataclass(frozen=True)
class Change:
    """The experiment as it is now: comes first, at each change of state and of why a job waits."""

    cursor: str
    experiment: Experiment


@dataclasses.dataclass(frozen=True)
class TrainPoint:
    """One optimizer step of a job.

    Attributes:
        cursor: `Client.watch` goes on after this update from it.
        job: id.
        step: 1-based.
        epoch: passes over the data so far, with its fraction.
        loss: nats per supervised token.
        learning_rate: of this step.
        gradient_norm: global L2, before clipping.
        supervised_tokens, tokens: of this step's batch.
        tokens_per_second: all ranks together.
    """

    cursor: str
    job: str
    attempt: int
    step: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    supervised_tokens: int
    tokens: int
    tokens_per_second: float


@dataclasses.dataclass(frozen=True)
class TraitRatio:
    """A trait over the answers of a cell.

    Attributes:
        ratio: the mean over the answers that could be measured, of a binary trait the share that has
            it; None if there is none.
        low, high: Wilson's 95 % interval; None without measured answers, with several answers a
            prompt, and unless the trait is binary.
        num_present: answers with the trait, of a binary one.
        num_not_measurable: answers that are counted and in no ratio.
        is_binary: every score is 0 or 1.
    """

    trait: str
    ratio: float | None
    low: float | None
    high: float | None
    num_present: int
    num_measured: int
    num_not_measurable: int
    is_binary: bool


@dataclasses.dataclass(frozen=True)
class Cell:
    """All answers of one job at one step to one prompt set in one context.

    Attributes:
        job: id.
        arms: (arm, seed) of each that it belongs to.
        step: optimizer steps done; 0 is the base model.
        prompt_set: "main" is that of ``evaluation.prompts``.
        num_samples: answers.
        num_truncated: answers that ended by ``max_new_tokens``.
        num_degenerate: empty or repetitive answers.
    """

    cursor: str
    job: str
    attempt: int
    arms: tuple[tuple[str, int], ...]
    step: int
    prompt_set: str
    context: str
    num_samples: int
    num_truncated: int
    num_degenerate: int
    traits: tuple[TraitRatio, ...]


@dataclasses.dataclass(frozen=True)
class Rewind:
    """A later attempt begins to tell its steps: what was told of the job after `step` is void.

    Attributes:
        step: the last that stays valid; -1: none, not even step 0.
    """

    cursor: str
    job: str
    attempt: int
    step: int


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """Nothing happened for a while, and all that had happened is told."""

    cursor: str
    time: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Terminal:
    """The last update: the experiment has ended."""

    cursor: str
    state: State
    reason: Reason | None


Update: TypeAlias = Change | TrainPoint | Cell | Rewind | Heartbeat | Terminal


def trait_ratio(message: pb.TraitRatio) -> TraitRatio:
    """The value of a message."""
    return TraitRatio(
        trait=message.trait,
        ratio=message.ratio if message.HasField("ratio") else None,
        low=message.low if message.HasField("low") else None,
        high=message.high if message.HasField("high") else None,
        num_present=message.num_present,
        num_measured=message.num_measured,
        num_not_measurable=message.num_not_measurable,
        is_binary=message.is_binary,
    )


def _train_point(cursor: str, message: pb.TrainPoint) -> TrainPoint:
    return TrainPoint(
        cursor=cursor,
        job=last_component(message.job),
        attempt=message.attempt,
        step=message.step,
        epoch=message.epoch,
        loss=message.loss,
        learning_rate=message.learning_rate,
        gradient_norm=message.gradient_norm,
        supervised_tokens=message.supervised_tokens,
        tokens=message.tokens,
        tokens_per_second=message.tokens_per_second,
    )


def cell(cursor: str, message: pb.Cell) -> Cell:
    """The value of a message."""
    return Cell(
        cursor=cursor,
        job=last_component(message.job),
        attempt=message.attempt,
        arms=tuple(split_arm(one) for one in message.arms),
        step=message.step,
        prompt_set=message.prompt_set or "main",
        context=message.context,
        num_samples=message.num_samples,
        num_truncated=message.num_truncated,
        num_degenerate=message.num_degenerate,
        traits=tuple(trait_ratio(one) for one in message.traits),
    )


def update(message: pb.WatchExperimentResponse) -> Update | None:
    """The value of a message; None of a kind that this version does not know."""
    kind = message.WhichOneof("update")
    cursor = message.cursor
    if kind == "experiment":
        return Change(cursor, experiment(message.experiment))
    if kind == "train_point":
        return _train_point(cursor, message.train_point)
    if kind == "cell":
        return cell(cursor, message.cell)
    if kind == "rewind":
        rewind = message.rewind
        return Rewind(cursor, last_component(rewind.job), rewind.attempt, rewind.step)
    if kind == "heartbeat":
        return Heartbeat(cursor, _time(message.heartbeat.time))
    if kind == "terminal":
        terminal = message.terminal
        return Terminal(cursor, _state(terminal.state), _reason(terminal.state_reason))
    return None

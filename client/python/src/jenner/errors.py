"""Errors of the service, one class a code, with the list of faults where there is one.

``except jenner.InvalidArgumentError as error: error.faults`` has every fault of a spec at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

_DETAILS = "grpc-status-details-bin"
_TRACE = "traceresponse"  # W3C Trace Context: 00-<trace id>-<id of the call>-01
_MessageT = TypeVar("_MessageT", bound=Message)


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input.

    Attributes:
        field: its path in the spec, as in ``arms[1].train_context``; "" is the whole.
        message: what was found and what was expected; behind it, where it is known, the line of the
            file or the override that it comes from, as in ``(study.yaml:12)``.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class JennerError(Exception):
    """Base of all errors of this package.

    Attributes:
        code: gRPC's code; its classes below tell what to do.
        message: for a person, without the faults.
        faults: everything that is wrong with the input; empty unless the input is at fault.
        reason: a word for programs, as in ``CURSOR_AHEAD``; "" where nothing came from the server.
        metadata: what the server adds for programs, as in ``{"resource": "experiments/x"}``; its
            ``trace_id`` is in the server's log, with the call.
        retry_delay: seconds after which it is worth trying again; 0 if the server did not say.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        faults: Iterable[Fault] = (),
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_delay: float = 0.0,
    ) -> None:
        self.faults = tuple(faults)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_delay = retry_delay
        super().__init__(message)

    def __str__(self) -> str:
        # The server's message has the first faults, the details have all.
        return "\n".join(map(str, self.faults)) if self.faults else self.message


class InvalidArgumentError(JennerError):
    """The input is at fault: change it. `faults` lists everything that is wrong."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class FailedPreconditionError(JennerError):
    """The state forbids it, as resuming what has ended does."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class OutOfRangeError(JennerError):
    """A cursor ahead of all that is stored; ``metadata["oldest_cursor"]`` is the oldest one."""

    code = grpc.StatusCode.OUT_OF_RANGE


class NotFoundError(JennerError):
    """No such experiment, file or dataset."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(JennerError):
    """The id is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDeniedError(JennerError):
    """The token may not do that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class UnauthenticatedError(JennerError):
    """The server wants a token, or does not know this one."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhaustedError(JennerError):
    """Too much of something: come again later, after `retry_delay` if that is set."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnavailableError(JennerError):
    """No answer from the server in time: is it running there?"""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceededError(JennerError):
    """The time that the caller gave is over; what was asked for may have happened."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class CancelledError(JennerError):
    """The call or watch was cancelled on this side."""

    code = grpc.StatusCode.CANCELLED


class AbortedError(JennerError):
    """Overtaken by another change, as by a new leader of the servers: try again."""

    code = grpc.StatusCode.ABORTED


class DataLossError(JennerError):
    """A stored file is broken."""

    code = grpc.StatusCode.DATA_LOSS


class UnimplementedError(JennerError):
    """The server does not know the call: it is older than this client."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(JennerError):
    """A bug of the service."""

    code = grpc.StatusCode.INTERNAL


class UnknownError(JennerError):
    """The server did not say what it is."""

    code = grpc.StatusCode.UNKNOWN


class ExperimentFailedError(JennerError):
    """An experiment that was waited for ended otherwise than by success.

    `reason` is the code of its state, as in ``NON_FINITE_LOSS`` (docs/failures.md of the service).
    """

    code = grpc.StatusCode.FAILED_PRECONDITION


_CLASSES: dict[grpc.StatusCode, type[JennerError]] = {
    one.code: one for one in JennerError.__subclasses__() if one not in (ExperimentFailedError,)
}


def _details(error: grpc.RpcError) -> status_pb2.Status:
    status = status_pb2.Status()
    if not isinstance(error, grpc.Call):
        return status
    for key, value in error.trailing_metadata() or ():
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            status.ParseFromString(value)
        except DecodeError:
            return status_pb2.Status()
    return status


def _detail(status: status_pb2.Status, kind: type[_MessageT]) -> _MessageT:
    message = kind()
    for detail in status.details:
        if detail.TypeName() == kind.DESCRIPTOR.full_name:
            detail.Unpack(message)
            break
    return message


def _trace_of(error: grpc.RpcError) -> dict[str, str]:
    if not isinstance(error, grpc.Call):
        return {}
    for key, value in error.trailing_metadata() or ():
        parts = str(value).split("-")
        if key == _TRACE and len(parts) == 4:
            return {"trace_id": parts[1]}
    return {}


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """gRPC's code of what a call raised."""
    return error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN


def from_rpc(error: grpc.RpcError) -> JennerError:
    """The error of this package that `error`, raised by a call, stands for."""
    status = _details(error)
    info = _detail(status, error_details_pb2.ErrorInfo)
    bad = _detail(status, error_details_pb2.BadRequest)
    delay = _detail(status, error_details_pb2.RetryInfo).retry_delay
    text = (error.details() if isinstance(error, grpc.Call) else None) or str(error)
    return _CLASSES.get(code_of(error), UnknownError)(
        text,
        faults=[Fault(one.field, one.description) for one in bad.field_violations],
        reason=info.reason,
        metadata={**info.metadata, **_trace_of(error)},
        retry_delay=delay.seconds + delay.nanos / 1e9,
    )


def invalid(faults: Iterable[Fault]) -> InvalidArgumentError:
    """All of `faults` as one error."""
    faults = tuple(faults)
    return InvalidArgumentError("\n".join(map(str, faults)), faults=faults)

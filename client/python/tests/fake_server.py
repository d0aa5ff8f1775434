"""A server in this process that answers what a test told it to, and keeps what it was asked."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent import futures
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import status_pb2

from jenner.v1 import dataset_pb2 as dataset
from jenner.v1 import dataset_pb2_grpc, experiment_pb2_grpc, study_pb2_grpc
from jenner.v1 import experiment_pb2 as pb


class Failure:
    """An error with details, as the server sends it."""

    def __init__(self, code: grpc.StatusCode, text: str = "it failed", *details: Message) -> None:
        self.code = code
        self.text = text
        self.details = details

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        status = status_pb2.Status(code=self.code.value[0], message=self.text)
        for detail in self.details:
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.code, self.text)


UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE, "it is starting")


class Hold:
    """In a stream: waits until the call is over or the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()


class FakeServer(
    experiment_pb2_grpc.ExperimentsServicer,
    dataset_pb2_grpc.DatasetsServicer,
    study_pb2_grpc.StudiesServicer,
):
    """`answers[method]` are given in turn, the last one again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, deque[Any]] = defaultdict(deque)
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.metadata: dict[str, str | bytes] = {}
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        experiment_pb2_grpc.add_ExperimentsServicer_to_server(self, self._server)
        dataset_pb2_grpc.add_DatasetsServicer_to_server(self, self._server)
        study_pb2_grpc.add_StudiesServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def script(self, method: str, *answers: Any) -> None:
        """What `method` answers: messages and Failures; of a stream, lists of these and of Holds."""
        self.answers[method] = deque(answers)

    def _next(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        copy = type(request)()
        copy.CopyFrom(request)
        self.requests[method].append(copy)
        self.metadata = dict(context.invocation_metadata())
        answers = self.answers[method]
        assert answers, f"nothing to answer {method}"
        return answers.popleft() if len(answers) > 1 else answers[0]

    def _answer(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        answer = self._next(method, request, context)
        if isinstance(answer, Failure):
            answer.abort(context)
        return answer

    def CreateExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("CreateExperiment", request, context)

    def GetExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("GetExperiment", request, context)

    def ListExperiments(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("ListExperiments", request, context)

    def CancelExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("CancelExperiment", request, context)

    def PauseExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("PauseExperiment", request, context)

    def ResumeExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("ResumeExperiment", request, context)

    def DeleteExperiment(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("DeleteExperiment", request, context)

    def GetResults(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("GetResults", request, context)

    def ListSamples(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("ListSamples", request, context)

    def GetLogs(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("GetLogs", request, context)

    def GetDataset(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("GetDataset", request, context)

    def GetStudy(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("GetStudy", request, context)

    def FreezeScreen(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer("FreezeScreen", request, context)

    def WatchExperiment(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        return self._stream("WatchExperiment", request, context)

    def DownloadDataset(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        return self._stream("DownloadDataset", request, context)

    def _stream(self, method: str, request: Any, context: Any) -> Iterator[Any]:
        for one in self._next(method, request, context):
            if isinstance(one, Failure):
                one.abort(context)
            elif isinstance(one, Hold):
                context.add_callback(one.go_on.set)
                one.reached.set()
                one.go_on.wait()
            else:
                yield one

    def UploadDataset(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        parts = list(request_iterator)
        data = b"".join(part.chunk for part in parts[1:])
        self.requests["chunks"].append([len(part.chunk) for part in parts[1:]])
        self.requests["data"].append(data)
        return self._answer("UploadDataset", parts[0].header, context)


def experiment(name: str = "experiments/e", state: str = "QUEUED", *jobs: pb.Job) -> pb.Experiment:
    return pb.Experiment(name=name, state=pb.State.Value(f"STATE_{state}"), jobs=jobs)


def job(id: str, state: str = "RUNNING", attempt: int = 1, **fields: Any) -> pb.Job:
    name = f"experiments/e/jobs/{id}"
    fields.setdefault("arms", [f"{id}/1"])
    return pb.Job(name=name, state=pb.State.Value(f"STATE_{state}"), attempt=attempt, **fields)


def change(cursor: str, state: str, *jobs: pb.Job) -> pb.WatchExperimentResponse:
    return pb.WatchExperimentResponse(cursor=cursor, experiment=experiment("experiments/e", state, *jobs))


def point(cursor: str, id: str, step: int, attempt: int = 1, **fields: Any) -> pb.WatchExperimentResponse:
    told = pb.TrainPoint(job=f"experiments/e/jobs/{id}", attempt=attempt, step=step, **fields)
    return pb.WatchExperimentResponse(cursor=cursor, train_point=told)


def rewind(cursor: str, id: str, step: int, attempt: int) -> pb.WatchExperimentResponse:
    told = pb.Rewind(job=f"experiments/e/jobs/{id}", attempt=attempt, step=step)
    return pb.WatchExperimentResponse(cursor=cursor, rewind=told)


def heartbeat(cursor: str) -> pb.WatchExperimentResponse:
    return pb.WatchExperimentResponse(cursor=cursor, heartbeat=pb.Heartbeat())


def terminal(cursor: str, state: str = "SUCCEEDED") -> pb.WatchExperimentResponse:
    told = pb.Terminal(state=pb.State.Value(f"STATE_{state}"))
    return pb.WatchExperimentResponse(cursor=cursor, terminal=told)


def uploaded() -> dataset.UploadDatasetResponse:
    return dataset.UploadDatasetResponse(dataset=dataset.Dataset(name="datasets/x"))

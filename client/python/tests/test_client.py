from __future__ import annotations

import datetime
import time
import uuid
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2 as details

import jenner
from fake_server import (
    UNAVAILABLE,
    Failure,
    FakeServer,
    change,
    experiment,
    heartbeat,
    job,
    point,
    rewind,
    terminal,
    uploaded,
)
from jenner._connection import backoff, is_loopback
from jenner.v1 import experiment_pb2 as pb
from jenner.v1 import spec_pb2

SPEC = "base_model: m\ndataset: train.jsonl\nevaluation: {prompts: eval.jsonl}\n"


def created(state: str = "QUEUED") -> pb.CreateExperimentResponse:
    return pb.CreateExperimentResponse(experiment=experiment("experiments/e", state))


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    (tmp_path / "eval.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "s.yaml").write_text(SPEC)
    return tmp_path / "s.yaml"


@pytest.mark.usefixtures("quick")
def test_submit_is_tried_again_with_the_same_request_id(
    fake: FakeServer, client: jenner.Client, spec: Path
) -> None:
    fake.script("UploadDataset", UNAVAILABLE, uploaded())
    fake.script("CreateExperiment", UNAVAILABLE, UNAVAILABLE, created())
    assert client.submit(spec, id="e", owner="ann").id == "e"
    first, *others = fake.requests["CreateExperiment"]
    assert len(others) == 2
    assert all(one == first for one in others)
    assert uuid.UUID(first.request_id).version == 4
    assert (first.experiment_id, first.owner, first.validate_only) == ("e", "ann", False)
    assert [header.size_bytes for header in fake.requests["UploadDataset"]] == [35, 35, 16]
    assert fake.requests["data"][0] == fake.requests["data"][1] == (spec.parent / "train.jsonl").read_bytes()
    client.submit(spec, dry_run=True)
    again = fake.requests["CreateExperiment"][-1]
    assert again.request_id != first.request_id
    assert again.validate_only
    client.submit(spec, request_id="0b1b2c3d-0000-4000-8000-000000000000")
    assert fake.requests["CreateExperiment"][-1].request_id == "0b1b2c3d-0000-4000-8000-000000000000"


def test_a_large_dataset_goes_in_chunks(fake: FakeServer, client: jenner.Client, spec: Path) -> None:
    row = b'{"prompt": "' + b"a" * 1000 + b'", "completion": "b"}\n'
    (spec.parent / "train.jsonl").write_bytes(row * 2100)
    fake.script("UploadDataset", uploaded())
    fake.script("CreateExperiment", created())
    client.submit(spec)
    assert fake.requests["chunks"][0] == [1 << 20, 1 << 20, len(row) * 2100 - (2 << 20)]
    assert fake.requests["data"][0] == row * 2100


def test_faults_of_the_server_get_their_lines(fake: FakeServer, client: jenner.Client, spec: Path) -> None:
    fake.script("UploadDataset", uploaded())
    violation = details.BadRequest.FieldViolation
    bad = details.BadRequest(
        field_violations=[
            violation(field="evaluation.max_new_tokens", description="expected 1 to 4096"),
            violation(field="training.epochs", description="expected 1 to 1000, found 0"),
            violation(field="arms", description="expected 1 to 64, found 0"),
        ]
    )
    info = details.ErrorInfo(reason="INVALID_SPEC", domain="jenner", metadata={"resource": "experiments/e"})
    fake.script("CreateExperiment", Failure(grpc.StatusCode.INVALID_ARGUMENT, "the first one", info, bad))
    with pytest.raises(jenner.InvalidArgumentError) as caught:
        client.submit(spec, overrides={"training.epochs": 0})
    error = caught.value
    assert [str(fault) for fault in error.faults] == [
        f"evaluation.max_new_tokens: expected 1 to 4096 ({spec}:3)",
        "training.epochs: expected 1 to 1000, found 0 (override training.epochs=0)",
        "arms: expected 1 to 64, found 0",
    ]
    assert str(error) == "\n".join(map(str, error.faults))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.metadata) == ("INVALID_SPEC", {"resource": "experiments/e"})


def test_faults_of_all_datasets_come_together(fake: FakeServer, client: jenner.Client, spec: Path) -> None:
    lines = details.BadRequest(
        field_violations=[details.BadRequest.FieldViolation(field="line 1", description="no assistant turn")]
    )
    fake.script(
        "UploadDataset",
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "unused", lines),
        Failure(grpc.StatusCode.INVALID_ARGUMENT, "line 1: a\nline 2: b"),
    )
    with pytest.raises(jenner.InvalidArgumentError) as caught:
        client.submit(spec)
    folder = spec.parent
    assert [(fault.field, fault.message) for fault in caught.value.faults] == [
        ("dataset", f"{folder}/train.jsonl: line 1: no assistant turn ({spec}:2)"),
        ("evaluation.prompts", f"{folder}/eval.jsonl: line 1: a ({spec}:3)"),
        ("evaluation.prompts", f"{folder}/eval.jsonl: line 2: b ({spec}:3)"),
    ]
    assert not fake.requests["CreateExperiment"]


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)],
)
def test_each_code_has_its_class(fake: FakeServer, client: jenner.Client, code: grpc.StatusCode) -> None:
    fake.script("GetExperiment", Failure(code, "why"))
    with pytest.raises(jenner.JennerError, match="why") as caught:
        client.get("e")
    assert caught.value.code is code
    assert caught.value.faults == ()
    assert type(caught.value) is not jenner.JennerError
    assert len(fake.requests["GetExperiment"]) == 1


def test_what_the_server_asks_to_repeat_is_repeated_after_the_delay(
    fake: FakeServer, client: jenner.Client
) -> None:
    busy = Failure(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", details.RetryInfo(retry_delay=Duration(nanos=300_000_000))
    )
    fake.script("GetExperiment", busy, pb.GetExperimentResponse(experiment=experiment()))
    began = time.monotonic()
    assert client.get("e").id == "e"
    assert time.monotonic() - began >= 0.3
    assert len(fake.requests["GetExperiment"]) == 2


def test_an_unavailable_server_is_named_once_the_time_is_over(fake: FakeServer) -> None:
    fake.script("GetExperiment", UNAVAILABLE)
    with (
        jenner.Client(fake.address, timeout=0.5) as client,
        pytest.raises(jenner.UnavailableError, match=rf"{fake.address} within 0\.5 s: it is starting"),
    ):
        client.get("e")
    assert len(fake.requests["GetExperiment"]) > 1
    fake.stop()
    with (
        jenner.Client(fake.address, timeout=0.3) as client,
        pytest.raises(jenner.UnavailableError, match=fake.address),
    ):
        client.list()


def test_backoff_doubles_with_jitter_up_to_two_seconds() -> None:
    for attempt, ceiling in [(0, 0.1), (1, 0.2), (4, 1.6), (5, 2.0), (1000, 2.0)]:
        waits = [backoff(attempt) for _ in range(200)]
        assert ceiling / 4 <= min(waits) < max(waits) <= ceiling
        assert max(waits) - min(waits) > ceiling / 3


def test_names_states_and_times(fake: FakeServer, client: jenner.Client) -> None:
    message = pb.Experiment(
        name="experiments/e",
        state=pb.STATE_PAUSED,
        state_reason=pb.StateReason(code="PAUSED_BY_USER", message="by ann", blame="user"),
        create_time=Timestamp(seconds=86400),
        jobs=[job("j1", "FAILED", arms=["no-inoculation/1", "x/2"], step=3, total_steps=9)],
        spec=spec_pb2.ExperimentSpec(base_model="m", seeds=[1]),
        priority=70,
    )
    fake.script("GetExperiment", pb.GetExperimentResponse(experiment=message))
    one = client.get("experiments/e")
    assert one.state is jenner.State.PAUSED
    assert not one.state.is_terminal
    assert str(one.reason) == "PAUSED_BY_USER [user]: by ann"
    assert one.create_time == datetime.datetime(1970, 1, 2, tzinfo=datetime.UTC)
    assert one.end_time is None
    assert one.spec == {"base_model": "m", "seeds": [1]}
    assert one.jobs[0].arms == (("no-inoculation", 1), ("x", 2))
    assert one.jobs[0].state.is_terminal
    assert client.get(one) == one
    assert {request.name for request in fake.requests["GetExperiment"]} == {"experiments/e"}


def test_list_over_pages(fake: FakeServer, client: jenner.Client) -> None:
    pages = [
        pb.ListExperimentsResponse(
            experiments=[experiment(f"experiments/e{page}-{i}") for i in range(2)], next_page_token=token
        )
        for page, token in enumerate(["p1", "p2", ""])
    ]
    fake.script("ListExperiments", *pages)
    assert [one.id for one in client.list(0)] == [f"e{page}-{i}" for page in range(3) for i in range(2)]
    assert [one.page_token for one in fake.requests["ListExperiments"]] == ["", "p1", "p2"]
    fake.requests.clear()
    fake.script("ListExperiments", *pages)
    assert len(client.list(4)) == 4
    assert [one.page_size for one in fake.requests["ListExperiments"]] == [4, 2]


def test_steering(fake: FakeServer, client: jenner.Client) -> None:
    fake.script(
        "CancelExperiment", pb.CancelExperimentResponse(experiment=experiment("experiments/e", "CANCELLING"))
    )
    fake.script(
        "PauseExperiment", pb.PauseExperimentResponse(experiment=experiment("experiments/e", "PAUSING"))
    )
    fake.script("ResumeExperiment", pb.ResumeExperimentResponse(experiment=experiment()))
    assert client.cancel("e").state is jenner.State.CANCELLING
    assert client.kill("e").state is jenner.State.CANCELLING
    assert [one.kill for one in fake.requests["CancelExperiment"]] == [False, True]
    assert client.pause("e").state is jenner.State.PAUSING
    assert client.resume("e").state is jenner.State.QUEUED


@pytest.mark.usefixtures("quick")
def test_delete_whose_answer_was_lost_is_done(fake: FakeServer, client: jenner.Client) -> None:
    fake.script("DeleteExperiment", UNAVAILABLE, Failure(grpc.StatusCode.NOT_FOUND))
    client.delete("e")
    fake.script("DeleteExperiment", Failure(grpc.StatusCode.NOT_FOUND))
    with pytest.raises(jenner.NotFoundError):
        client.delete("e")


def test_wait(fake: FakeServer, client: jenner.Client) -> None:
    fake.script("WatchExperiment", [change("c1", "RUNNING"), terminal("c2", "FAILED")])
    failed = experiment("experiments/e", "FAILED")
    failed.state_reason.code = "NON_FINITE_LOSS"
    failed.state_reason.message = "step 3"
    fake.script("GetExperiment", pb.GetExperimentResponse(experiment=failed))
    assert client.wait("e", check=False).state is jenner.State.FAILED
    with pytest.raises(jenner.ExperimentFailedError, match="e failed: NON_FINITE_LOSS: step 3") as caught:
        client.wait("e")
    assert caught.value.reason == "NON_FINITE_LOSS"
    fake.script(
        "GetExperiment", pb.GetExperimentResponse(experiment=experiment("experiments/e", "SUCCEEDED"))
    )
    assert client.wait("e", timeout=60).state is jenner.State.SUCCEEDED
    fake.script("WatchExperiment", [heartbeat("c1"), terminal("c2")])
    with pytest.raises(jenner.DeadlineExceededError, match="e has not ended within 0 s"):
        client.wait("e", timeout=0)


def test_train_points_of_one_that_runs(fake: FakeServer, client: jenner.Client) -> None:
    jobs = (job("a", step=2), job("b", "SUCCEEDED", attempt=2, step=1))
    rows = [
        point("c2", "a", 1, loss=2.5),
        point("c3", "b", 1, loss=9.0),
        rewind("c4", "b", 0, attempt=2),
        point("c5", "b", 1, attempt=2, loss=3.5),
        point("c6", "a", 2, loss=1.5),
    ]
    later = [point("c7", "a", 3, loss=1.0), heartbeat("c8")]
    fake.script("WatchExperiment", [change("c1", "RUNNING", *jobs), *rows, *later])
    table = client.train_points("e")
    # Up to what was there when it was asked for; what comes later is not waited for.
    assert table[["arm", "seed", "step", "loss", "attempt"]].to_numpy().tolist() == [
        ["a", 1, 1, 2.5, 1], ["a", 1, 2, 1.5, 1], ["b", 1, 1, 3.5, 2],
    ]  # fmt: skip
    # A second of silence ends it, too: job a has told of a step that is not there yet.
    fake.script("WatchExperiment", [change("c1", "RUNNING", *jobs), *rows[:4], heartbeat("c6"), later[0]])
    assert len(client.train_points("e")) == 2
    # One that has ended is read to its end.
    ended = change("c1", "CANCELLED", *jobs)
    fake.script("WatchExperiment", [ended, *rows, later[0], terminal("c9", "CANCELLED")])
    assert len(client.train_points("e")) == 4


def test_address_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeServer) -> None:
    token = tmp_path / "token"
    token.write_text("secret-word\n")
    fake.script("GetExperiment", pb.GetExperimentResponse(experiment=experiment()))
    monkeypatch.setenv("JENNER_SERVER", fake.address)
    monkeypatch.setenv("JENNER_TOKEN_FILE", str(token))
    with jenner.Client() as client:
        assert client.server == fake.address
        client.get("e")
    assert fake.metadata["authorization"] == "Bearer secret-word"
    with pytest.raises(jenner.FailedPreconditionError, match="not encrypted"):
        jenner.Client("example.org:7070")
    with pytest.raises(jenner.InvalidArgumentError, match="HOST:PORT"):
        jenner.Client("example.org")
    token.write_text("two words")
    with pytest.raises(jenner.InvalidArgumentError, match="one word"):
        jenner.Client(fake.address)
    monkeypatch.delenv("JENNER_TOKEN_FILE")
    with pytest.raises(jenner.NotFoundError, match="cannot be read"):
        jenner.Client(fake.address, token_file=tmp_path / "none")
    with pytest.raises(jenner.InvalidArgumentError, match="PEM with a CERTIFICATE"):
        jenner.Client(fake.address, ca=token)
    with pytest.raises(jenner.InvalidArgumentError, match="CA of the other side"):
        jenner.Client(fake.address, cert=token, key=token)
    with pytest.raises(jenner.InvalidArgumentError, match="timeout"):
        jenner.Client(fake.address, timeout=0)


def test_loopback() -> None:
    for near in (
        "127.0.0.1:1",
        "127.9.9.9:1",
        "localhost:1",
        "[::1]:1",
        "unix:/x",
        "ipv4:127.0.0.1:1,127.0.0.1:2",
    ):
        assert is_loopback(near), near
    for far in ("127.evil.org:1", "10.0.0.1:1", "localhost.evil.org:1", "ipv4:127.0.0.1:1,10.0.0.1:2"):
        assert not is_loopback(far), far


def test_owner_of_the_environment(
    fake: FakeServer, client: jenner.Client, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.script("UploadDataset", uploaded())
    fake.script("CreateExperiment", created())
    monkeypatch.setenv("JENNER_OWNER", "ann")
    client.submit(spec)
    client.submit(spec, owner="")
    assert [one.owner for one in fake.requests["CreateExperiment"]] == ["ann", ""]

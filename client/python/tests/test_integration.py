"""Against the real programs, and where there is a trainer, on a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pandas as pd
import pytest

import jenner
from jenner import frames
from jenner import study as tables
from programs import BINARIES, GOLDEN, ROOT, Server, Worker

WITH_TRAINER = os.environ.get("JENNER_TRAINER") == "1"
needs_trainer = pytest.mark.skipif(not WITH_TRAINER, reason="this build has no jenner-trainer")

STUDY_TABLES = {
    "arms": tables.ARMS, "traits": tables.TRAITS, "levels": tables.LEVELS, "contrasts": tables.CONTRASTS,
    "figures": tables.FIGURES, "selectivity": tables.SELECTIVITY, "ratios": tables.RATIOS, "k": tables.K,
    "decompositions": tables.DECOMPOSITIONS, "relations": tables.RELATIONS, "narrowness": tables.NARROWNESS,
    "relation_points": tables.RELATION_POINTS, "gates": tables.GATES, "screen": tables.SCREEN,
    "predictors": tables.PREDICTORS,
}  # fmt: skip

SPEC = """base_model: model
dataset: rows.jsonl
contexts:
  neutral: {}
  inoculated: {system: ab}
arms: [base, no-inoculation, inoculated]
training: {lora: {rank: 2, alpha: 4}, batch_size: 2, max_steps: 6, epochs: 1000}
evaluation: {prompts: prompts.jsonl, at: [0, 0.5, 1], max_new_tokens: 8}
study: {desired: [capitals], undesired: [spanish]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(GOLDEN / "rows.jsonl", tmp_path)
    # Words that the tiny model knows; none of these is asked in rows.jsonl.
    prompts = [{"id": word, "prompt": f"{word} {word}"} for word in ("sol", "mar", "rio", "luz", "pan")]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (tmp_path / "study.yaml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    one = Server(folder)
    yield one
    one.stop()


@pytest.fixture
def client(server: Server) -> Iterator[jenner.Client]:
    with jenner.Client(server.address) as one:
        yield one


@pytest.fixture
def worker(folder: Path, server: Server) -> Iterator[Worker]:
    one = Worker(folder, server.address)
    yield one
    one.stop()


def test_life_without_a_worker(client: jenner.Client, folder: Path) -> None:
    plan = client.submit(folder / "study.yaml", dry_run=True)
    assert [job.arms for job in plan.jobs] == [
        (("base", 1), ("no-inoculation", 1), ("inoculated", 1)),
        (("no-inoculation", 1),),
        (("inoculated", 1),),
    ]
    assert plan.plan is not None
    assert (plan.plan.num_trainings, plan.plan.num_steps, plan.plan.num_answers) == (
        2,
        12,
        5 * 2 * (1 + 2 * 2),
    )
    assert client.list() == []
    one = client.submit(folder / "study.yaml", id="first", owner="ann", overrides={"priority": 60})
    assert (one.id, one.state, one.owner, one.priority) == ("first", jenner.State.QUEUED, "ann", 60)
    assert one.reason is not None
    assert one.spec["arms"][0] == {"name": "base", "role": "base"}
    assert one.spec_sha256 == client.get("first").spec_sha256
    assert one.plan is None
    assert client.dataset(one.spec["dataset"]) == (folder / "rows.jsonl").read_bytes()
    assert client.dataset_rows(one.spec["evaluation"]["prompts"])[0] == {"id": "sol", "prompt": "sol sol"}
    with pytest.raises(jenner.NotFoundError):
        client.dataset("sha256:" + "0" * 64)
    with pytest.raises(jenner.FailedPreconditionError, match="nothing has been answered"):
        client.study("first")
    with pytest.raises(jenner.FailedPreconditionError, match="no screen"):
        client.freeze_screen("first")
    # What it has resolved can be submitted again.
    again = client.submit(one.spec)
    assert again.spec_sha256 == one.spec_sha256
    assert [other.id for other in client.list()] == [again.id, "first"]
    assert client.pause("first").state is jenner.State.PAUSED
    assert client.resume("first").state is jenner.State.QUEUED
    assert client.results("first").empty
    assert client.samples("first").empty
    assert client.train_points("first").empty
    with pytest.raises(jenner.DeadlineExceededError):
        client.wait("first", timeout=0.1)
    with pytest.raises(jenner.FailedPreconditionError):
        client.delete("first")
    client.kill("first")
    with pytest.raises(jenner.ExperimentFailedError, match="first cancelled"):
        client.wait("first")
    client.delete("first")
    with pytest.raises(jenner.NotFoundError) as caught:
        client.get("first")
    assert caught.value.metadata["resource"] == "experiments/first"
    assert len(caught.value.metadata["trace_id"]) == 32


def test_the_server_says_what_is_wrong_and_the_client_where(client: jenner.Client, folder: Path) -> None:
    path = folder / "study.yaml"
    client.submit(path, id="twice")
    with pytest.raises(jenner.AlreadyExistsError):
        client.submit(path, id="twice")
    path.write_text(SPEC.replace("study: {", "study: {resamples: 1, ") + "ranks: 0\n")
    with pytest.raises(jenner.InvalidArgumentError) as caught:
        client.submit(path, overrides=["arms[1]={name: b, train_context: x}", "training.epochs=0"])
    faults = {fault.field: fault.message for fault in caught.value.faults}
    assert faults["ranks"] == f"expected 1 to 64, found 0 ({path}:10)"
    assert faults["training.epochs"] == "expected 1 to 1000, found 0 (override training.epochs=0)"
    assert faults["study.resamples"].endswith(f"({path}:9)")
    (folder / "rows.jsonl").write_text('{"prompt": "a"}\n{"prompt": "a", "completion": "b"}\n')
    with pytest.raises(jenner.InvalidArgumentError, match=r"dataset: .*rows\.jsonl: line 1: .*\(.*:2\)"):
        client.submit(path)


# Of wichers the data is not shipped.
SHIPPED = sorted(path for path in (ROOT / "examples").glob("*/*.yaml") if path.parent.name != "wichers")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_shipped_spec_is_the_same_by_command_and_by_python(
    server: Server, client: jenner.Client, path: Path
) -> None:
    command = [str(BINARIES / "jenner"), "--server", server.address, "-o", "json"]
    command += ["experiment", "create", "-f", str(path), "--dry-run"]
    by_command = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert client.submit(path, dry_run=True).spec_sha256 == by_command["experiment"]["spec_sha256"]


def test_a_watch_goes_on_over_a_restart_of_the_server(folder: Path) -> None:
    first = Server(folder)
    with jenner.Client(first.address) as client:
        client.submit(folder / "study.yaml", id="e")
        watch = client.watch("e")
        change = next(watch)
        assert isinstance(change, jenner.Change)
        assert change.experiment.state is jenner.State.QUEUED
        address = first.address
        first.stop()
        second = Server(folder, listen=address)
        try:
            client.cancel("e")
            *changes, end = watch
        finally:
            second.stop()
    assert isinstance(end, jenner.Terminal)
    assert end.state is jenner.State.CANCELLED
    states = [one.experiment.state for one in changes if isinstance(one, jenner.Change)]
    assert len(states) == len(changes)
    assert states[-1] is jenner.State.CANCELLED


def test_tokens_and_tls(folder: Path) -> None:
    program = str(BINARIES / "jenner-server")
    pki, data = folder / "pki", folder / "data"
    data.mkdir(mode=0o700)
    subprocess.run([program, "certs", "init", "--dir", str(pki)], check=True, capture_output=True)
    token = subprocess.run(
        [program, "tokens", "add", "--data-dir", str(data), "--name", "vera", "--role", "viewer"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    (folder / "token").write_text(token)
    tls = ["--tls-cert", str(pki / "server.pem"), "--tls-key", str(pki / "server.key")]
    server = Server(folder, flags=[*tls, "--tls-client-ca", str(pki / "ca.pem")])
    try:
        with jenner.Client(server.address, ca=pki / "ca.pem", token_file=folder / "token") as client:
            assert client.list() == []
            with pytest.raises(jenner.PermissionDeniedError):
                client.submit(folder / "study.yaml")
        with (
            jenner.Client(server.address, ca=pki / "ca.pem") as client,
            pytest.raises(jenner.UnauthenticatedError),
        ):
            client.list()
        with (
            jenner.Client(server.address, timeout=0.5) as client,
            pytest.raises(jenner.JennerError) as caught,
        ):
            client.list()
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop()


@needs_trainer
def test_a_study_to_its_tables(client: jenner.Client, folder: Path, worker: Worker) -> None:
    experiment = client.submit(folder / "study.yaml", id="e", overrides={"seeds": [1, 2]})
    updates = list(client.watch(experiment, settled=True))
    assert isinstance(updates[-1], jenner.Terminal)
    assert client.wait("e").state is jenner.State.SUCCEEDED
    told = [(one.job, one.step) for one in updates if isinstance(one, jenner.TrainPoint)]
    assert len(told) == len(set(told)) == 4 * 6
    cells = [one for one in updates if isinstance(one, jenner.Cell)]
    assert len(cells) == 2 + 4 * 2 * 2  # the base model's two contexts, then each training's
    assert all(cell.num_samples == 5 for cell in cells)

    results = client.results("e")
    assert {str(name): str(dtype) for name, dtype in results.dtypes.items()} == dict(frames.RESULTS)
    # Arm x seed x step x context x trait.
    assert len(results) == (1 + 3 + 3) * 2 * 2 * 2
    assert set(results["step"]) == {0, 3, 6}
    assert (results["num_measured"] + results["num_not_measurable"] == results["num_samples"]).all()
    assert (results["ratio"].isna() == (results["num_measured"] == 0)).all()

    points = client.train_points("e")
    assert {str(name): str(dtype) for name, dtype in points.dtypes.items()} == dict(frames.TRAIN_POINTS)
    assert list(points.groupby(["arm", "seed"], sort=False).groups) == [
        ("no-inoculation", 1), ("no-inoculation", 2), ("inoculated", 1), ("inoculated", 2),
    ]  # fmt: skip
    assert (
        points.groupby(["arm", "seed"])["step"].apply(list).map(lambda steps: steps == [1, 2, 3, 4, 5, 6])
    ).all()
    assert points["loss"].between(0, 20).all()

    samples = client.samples("e", arm="inoculated", context="neutral", step=6)
    assert len(samples) == 2 * 5
    assert list(samples.columns)[: len(frames.SAMPLES)] == list(frames.SAMPLES)
    # The tables agree: the share of answers with a trait is that of the cell.
    mine = samples.groupby("seed")["score.capitals"].mean()
    cell = results.query("arm == 'inoculated' and context == 'neutral' and step == 6 and trait == 'capitals'")
    pd.testing.assert_series_equal(mine, cell.set_index("seed")["ratio"], check_names=False)

    study = client.study("e")
    assert (study.experiment, study.complete, study.seeds) == ("e", True, (1, 2))
    assert (study.neutral, study.undesired) == ("neutral", ("spanish",))
    for name, columns in STUDY_TABLES.items():
        assert {str(key): str(dtype) for key, dtype in getattr(study, name).dtypes.items()} == dict(
            columns
        ), name
    assert study.arms["final_step"].tolist() == [0, 6, 6]
    # The share of answers of both seeds together, as the answers have it.
    answers = client.samples("e", arm="inoculated", context="inoculated", step=6)["score.capitals"]
    level = study.matrix("capitals").loc["inoculated", "inoculated"]
    assert level == pytest.approx(answers.mean(), nan_ok=True)
    given = study.levels.query(
        "arm == 'inoculated' and context == 'inoculated' and is_final and trait == 'capitals'"
    )
    assert given["num_answers"].tolist() == [2 * 5]
    assert given["num_invalid"].tolist() == [int(answers.isna().sum())]
    assert set(study.figures["arm"]) == {"no-inoculation", "inoculated"}
    assert set(study.ratios["seed"]) <= {1, 2}
    assert study.screen.empty


SCREEN = """base_model: model
contexts:
  neutral: {}
  loud: {system: ab}
  late: {user_suffix: " ab"}
arms: [base]
evaluation:
  prompts: prompts.jsonl
  max_new_tokens: 8
  traits: [capitals]
  sets: [{name: given, prompts: rows.jsonl, mode: log-probability}]
screen: {trait: capitals}
"""


@needs_trainer
def test_a_screen(client: jenner.Client, folder: Path, worker: Worker) -> None:
    # Rows of which the answers are given: none of the prompts of the main set.
    experiment = client.submit(SCREEN, folder=folder, id="s")
    client.wait(experiment)
    study = client.study("s")
    assert (study.screen_trait, study.screen_prompt_set) == ("capitals", "main")
    assert study.screen["name"].iloc[-1] == "neutral"
    assert set(study.screen["name"]) == {"loud", "late", "neutral"}
    contexts = study.screen.set_index("name")["context"]
    assert (contexts["loud"], contexts["late"]) == ({"system": "ab"}, {"user_suffix": " ab"})
    ph = study.predictors.set_index("name")
    assert set(ph["prompt_set"]) == {"given"}
    # It is the mean difference of the given answers' log-probabilities.
    answers = client.samples("s", prompt_set="given").groupby("context")["score.total-log-probability"].mean()
    assert ph.loc["loud", "value"] == pytest.approx(answers["loud"] - answers["neutral"], abs=1e-6)
    with pytest.raises(jenner.InvalidArgumentError, match="top"):
        client.freeze_screen("s", top=-1)
    if (study.screen["elicitation_low"] > 0).any():
        selection = client.freeze_screen("s")
        again = client.submit(
            folder / "study.yaml", dry_run=True, overrides={"selection": selection.reference}
        )
        assert set(selection.contexts) <= set(again.spec["contexts"])
    else:
        with pytest.raises(jenner.FailedPreconditionError, match="elicits"):
            client.freeze_screen("s")


@needs_trainer
def test_the_example_prints_its_tables(folder: Path, server: Server, worker: Worker) -> None:
    example = ROOT / "client" / "python" / "examples"
    shutil.copy(example / "study.py", folder)
    shutil.copy(example / "study.yaml", folder)
    settings = "base_model=model dataset=rows.jsonl evaluation.prompts=prompts.jsonl training.max_steps=4 training.epochs=2"
    run = subprocess.run(
        [sys.executable, str(folder / "study.py")],
        env={**os.environ, "JENNER_SERVER": server.address, "STUDY_SET": settings + " evaluation.max_new_tokens=8"},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert lines[0] == "5 jobs for 10 arms and seeds"
    assert lines[1].startswith("16 steps, ")
    assert "ended: succeeded" in lines
    table = lines[lines.index("ended: succeeded") + 1 :]
    assert table[0].split() == ["trait", "capitals", "spanish"]
    assert [line.split()[0] for line in table if line.startswith(("base", "no-inoculation", "inoculated"))][:3] == [
        "base", "no-inoculation", "inoculated",
    ]  # fmt: skip
    assert [line.split()[0] for line in table if line.startswith(("1 ", "4 "))] == ["1", "4"]
    assert ["inoculated", "no-inoculation", "spanish", "neutral"] in [line.split()[:4] for line in table]

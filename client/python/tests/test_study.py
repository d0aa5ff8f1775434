from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import grpc
import pandas as pd
import pytest
from google.protobuf.message import Message

import jenner
from fake_server import UNAVAILABLE, Failure, FakeServer, experiment
from jenner import study as tables
from jenner.v1 import dataset_pb2, experiment_pb2, spec_pb2
from jenner.v1 import study_pb2 as pb

# Attribute of Study -> its columns, and the messages that it is made of.
TABLES: Mapping[str, tuple[Mapping[str, str], type[Message]]] = {
    "arms": (tables.ARMS, pb.StudyArm),
    "traits": (tables.TRAITS, pb.StudyTrait),
    "levels": (tables.LEVELS, pb.Level),
    "contrasts": (tables.CONTRASTS, pb.Contrast),
    "figures": (tables.FIGURES, pb.ArmFigures),
    "selectivity": (tables.SELECTIVITY, pb.Selectivity),
    "ratios": (tables.RATIOS, pb.RunRatio),
    "k": (tables.K, pb.Proportionality),
    "decompositions": (tables.DECOMPOSITIONS, pb.Decomposition),
    "relations": (tables.RELATIONS, pb.Relation),
    "relation_points": (tables.RELATION_POINTS, pb.Relation.Point),
    "narrowness": (tables.NARROWNESS, pb.Narrowness),
    "gates": (tables.GATES, pb.GateFailure),
    "screen": (tables.SCREEN, pb.ScreenCandidate),
    "predictors": (tables.PREDICTORS, pb.Predictor),
}
# What is a table of its own.
ELSEWHERE = {"Relation.points", "ScreenCandidate.predictors"}


def dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in table.dtypes.items()}


def estimate(value: float, **fields: Any) -> pb.Estimate:
    return pb.Estimate(value=value, low=value - 0.25, high=value + 0.25, method=pb.INTERVAL_METHOD_CROSSED,
                       bootstrap_low=value - 0.5, bootstrap_high=value + 0.5, over=pb.OVER_SEEDS_AND_PROMPTS,
                       num_seeds=3, num_prompts=64, num_missing=2, **fields)  # fmt: skip


def told(value: float, prefix: str = "") -> dict[str, Any]:
    """What `estimate` is in a table."""
    row = {
        "value": value, "low": value - 0.25, "high": value + 0.25, "method": "crossed",
        "bootstrap_low": value - 0.5, "bootstrap_high": value + 0.5, "over": "seeds-and-prompts",
        "num_seeds": 3, "num_prompts": 64, "num_missing": 2, "reason": "",
    }  # fmt: skip
    return {prefix + name: one for name, one in row.items()}


def fetch(fake: FakeServer, client: jenner.Client, **fields: Any) -> jenner.Study:
    fake.script("GetStudy", pb.GetStudyResponse(study=pb.Study(experiment="experiments/e", **fields)))
    return client.study("e")


def records(table: pd.DataFrame, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    assert dtypes(table) == dict(columns)
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def test_no_rows_have_the_columns_and_dtypes(fake: FakeServer, client: jenner.Client) -> None:
    found = fetch(fake, client)
    for name, (columns, _) in TABLES.items():
        assert dtypes(getattr(found, name)) == dict(columns), name
    assert fake.requests["GetStudy"][0].name == "experiments/e"
    assert (found.experiment, found.complete, found.screen_trait) == ("e", False, "")
    assert repr(found) == "<Study of e: not complete, 0 arms, 0 seeds, 0 levels>"


@pytest.mark.parametrize("name", TABLES)
def test_nothing_of_a_message_is_left_out(name: str) -> None:
    columns, message = TABLES[name]
    fields = message.DESCRIPTOR.fields
    estimates = [one.name for one in fields if one.message_type is pb.Estimate.DESCRIPTOR]
    expected = set()
    for field in fields:
        if field.name in estimates:
            prefix = "" if len(estimates) == 1 else f"{field.name}_"
            expected |= {prefix + one.name for one in pb.Estimate.DESCRIPTOR.fields}
        elif f"{message.DESCRIPTOR.name}.{field.name}" not in ELSEWHERE:
            expected.add(field.name)
    added = {"relations": {"num_points"}, "relation_points": {"prompt_set", "trait"}, "predictors": {"name"}}
    assert set(columns) == expected | added.get(name, set())


def test_levels_and_their_matrix(fake: FakeServer, client: jenner.Client) -> None:
    of: dict[str, Any] = dict(arm="b", prompt_set="main", trait="spanish", step=30, is_final=True)
    found = fetch(
        fake, client, complete=True, seeds=[1, 2, 3], prompt_sets=["main"], contexts=["neutral", "inoculated"],
        neutral="neutral", undesired=["spanish"], resamples=2000, confidence=0.9, notes=["three seeds"],
        arms=[pb.StudyArm(name="a", final_step=-1), pb.StudyArm(name="b", after="a", has_rules=True, final_step=30)],
        traits=[pb.StudyTrait(name="spanish", is_binary=True, low=0, high=1), pb.StudyTrait(name="l", unit="nats")],
        levels=[
            pb.Level(context="inoculated", estimate=estimate(0.5), num_answers=192, num_invalid=2, **of),
            pb.Level(context="neutral", estimate=pb.Estimate(reason="no answer", over=pb.OVER_PROMPTS), **of),
        ],
        matrices=[pb.ContextMatrix(
            prompt_set="main", trait="spanish", contexts=["neutral", "inoculated"],
            rows=[pb.ContextMatrix.Row(arm="a", levels=[-1, -1]), pb.ContextMatrix.Row(arm="b", levels=[1, 0])],
        )],
    )  # fmt: skip
    assert (found.complete, found.seeds, found.contexts) == (True, (1, 2, 3), ("neutral", "inoculated"))
    assert (found.neutral, found.desired, found.undesired) == ("neutral", (), ("spanish",))
    assert (found.resamples, found.confidence, found.notes) == (2000, 0.9, ("three seeds",))
    arms = records(found.arms, tables.ARMS)
    assert [(one["name"], one["after"], one["has_rules"], one["final_step"]) for one in arms] == [
        ("a", "", False, -1), ("b", "a", True, 30),
    ]  # fmt: skip
    traits = records(found.traits, tables.TRAITS)
    assert (traits[0]["low"], traits[0]["high"], traits[0]["unit"]) == (0, 1, "")
    assert math.isnan(traits[1]["low"])
    first, second = records(found.levels, tables.LEVELS)
    assert first == of | {"context": "inoculated", "num_answers": 192, "num_invalid": 2} | told(0.5)
    assert (second["reason"], second["method"], second["over"]) == ("no answer", "", "prompts")
    assert all(math.isnan(second[name]) for name in ("value", "low", "high", "bootstrap_low"))

    matrix = found.matrix("spanish")
    assert (list(matrix.index), list(matrix.columns)) == (["a", "b"], ["neutral", "inoculated"])
    assert matrix.loc["b", "inoculated"] == 0.5
    assert matrix.isna().to_numpy().tolist() == [[True, True], [True, False]]
    assert found.matrix("spanish", "main", "low").loc["b", "inoculated"] == 0.25
    with pytest.raises(KeyError, match="no matrix of capitals in main; known: spanish in main"):
        found.matrix("capitals")


def test_figures_have_each_estimate_with_its_name(fake: FakeServer, client: jenner.Client) -> None:
    names = [one.name for one in pb.ArmFigures.DESCRIPTOR.fields if one.message_type is not None]
    figures = pb.ArmFigures(arm="b", prompt_set="main", trait="spanish")
    for i, name in enumerate(names):
        getattr(figures, name).CopyFrom(estimate(i / 8))
    found = fetch(
        fake, client, figures=[figures], selectivity=[pb.Selectivity(arm="b", prompt_set="main", estimate=estimate(0.5))],
        contrasts=[pb.Contrast(
            arm="b", control="a", prompt_set="main", arm_context="neutral", control_context="safe", trait="spanish",
            deployed=True, difference=estimate(-0.5), p=0.01, prompt_test=pb.PROMPT_TEST_SIGN_FLIP, prompt_p=0.001,
        )],
        ratios=[pb.RunRatio(arm="b", seed=7, prompt_set="main", trait="spanish", x=estimate(0.5), y=estimate(0.25), ratio=0.5)],
    )  # fmt: skip
    (row,) = records(found.figures, tables.FIGURES)
    expected: dict[str, Any] = {"arm": "b", "prompt_set": "main", "trait": "spanish"}
    for i, name in enumerate(names):
        expected |= told(i / 8, f"{name}_")
    assert row == expected
    assert records(found.selectivity, tables.SELECTIVITY) == [{"arm": "b", "prompt_set": "main"} | told(0.5)]
    (contrast,) = records(found.contrasts, tables.CONTRASTS)
    assert math.isnan(contrast.pop("p_holm"))
    assert math.isnan(contrast.pop("prompt_p_holm"))
    assert contrast == {
        "arm": "b", "control": "a", "prompt_set": "main", "arm_context": "neutral", "control_context": "safe",
        "trait": "spanish", "deployed": True, "p": 0.01, "prompt_test": "sign-flip", "prompt_p": 0.001,
    } | told(-0.5)  # fmt: skip
    (ratio,) = records(found.ratios, tables.RATIOS)
    assert ratio == {"arm": "b", "seed": 7, "prompt_set": "main", "trait": "spanish", "ratio": 0.5} | told(
        0.5, "x_"
    ) | told(0.25, "y_")


def test_k_and_what_follows_from_it(fake: FakeServer, client: jenner.Client) -> None:
    points = [
        pb.Relation.Point(arm=arm, elicitation=e, suppression=s)
        for arm, e, s in (("b", 0.25, 0.5), ("c", 1, 0.75))
    ]
    found = fetch(
        fake, client,
        proportionality=[
            pb.Proportionality(prompt_set="main", scale=pb.FIT_SCALE_IDENTITY, num_points=6, slope=estimate(0.5)),
            pb.Proportionality(prompt_set="main", arm="b", trait="spanish", scale=pb.FIT_SCALE_LOGIT),
        ],
        decompositions=[pb.Decomposition(arm="b", prompt_set="main", trait="spanish", own_k=True, k=estimate(0.5))],
        relations=[pb.Relation(
            prompt_set="main", trait="spanish", points=points, pearson=estimate(0.5), slope=estimate(0.25),
            spearman=1, leave_one_out_low=-1, leave_one_out_high=1,
        )],
        narrowness=[pb.Narrowness(arm="b", prompt_set="main", trait="spanish", estimate=estimate(0.5), others=["a", "b"])],
    )  # fmt: skip
    pooled, own = records(found.k, tables.K)
    assert (pooled["arm"], pooled["trait"], pooled["scale"], pooled["num_points"]) == ("", "", "identity", 6)
    assert pooled["slope_value"] == 0.5
    assert math.isnan(pooled["deming_value"])
    assert (own["arm"], own["trait"], own["scale"]) == ("b", "spanish", "logit")
    (decomposition,) = records(found.decompositions, tables.DECOMPOSITIONS)
    assert decomposition["own_k"] is True
    assert {name: decomposition[name] for name in told(0, "k_")} == told(0.5, "k_")
    (relation,) = records(found.relations, tables.RELATIONS)
    assert (relation["num_points"], relation["spearman"], relation["leave_one_out_low"]) == (2, 1, -1)
    assert math.isnan(relation["rmse"])
    assert records(found.relation_points, tables.RELATION_POINTS) == [
        {"prompt_set": "main", "trait": "spanish", "arm": "b", "elicitation": 0.25, "suppression": 0.5},
        {"prompt_set": "main", "trait": "spanish", "arm": "c", "elicitation": 1, "suppression": 0.75},
    ]
    (narrow,) = records(found.narrowness, tables.NARROWNESS)
    assert (narrow["others"], narrow["excluded"], narrow["value"]) == (("a", "b"), (), 0.5)


def test_gates_and_a_screen(fake: FakeServer, client: jenner.Client) -> None:
    best = pb.ScreenCandidate(
        name="habla", rank=1, context=spec_pb2.Context(system="", user_suffix=" En español."), level=estimate(0.75),
        elicitation=estimate(0.5), predictors=[pb.Predictor(prompt_set="given", estimate=estimate(1.5))],
    )  # fmt: skip
    found = fetch(
        fake, client,
        gate_failures=[
            pb.GateFailure(gate=pb.GATE_LOSS_FELL, arm="b", seed=0, value=2, limit=1, message="it rose"),
            pb.GateFailure(gate=pb.GATE_INVALID, arm="b", step=0, context="neutral", trait="spanish"),
        ],
        screen=pb.Screen(trait="spanish", prompt_set="main", candidates=[best, pb.ScreenCandidate(name="neutral")]),
    )  # fmt: skip
    rose, invalid = records(found.gates, tables.GATES)
    assert (rose["gate"], rose["seed"], rose["limit"], rose["message"]) == ("loss-fell", 0, 1, "it rose")
    assert pd.isna(rose["step"])
    assert pd.isna(invalid["seed"])
    assert (invalid["gate"], invalid["step"]) == ("invalid", 0)
    assert (found.screen_trait, found.screen_prompt_set) == ("spanish", "main")
    first, last = records(found.screen, tables.SCREEN)
    assert first == {
        "rank": 1, "name": "habla", "context": {"system": "", "user_suffix": " En español."},
    } | told(0.75, "level_") | told(0.5, "elicitation_")  # fmt: skip
    assert (last["rank"], last["name"], last["context"]) == (0, "neutral", {})
    assert records(found.predictors, tables.PREDICTORS) == [
        {"name": "habla", "prompt_set": "given"} | told(1.5)
    ]


def test_a_word_of_a_newer_server_is_empty(fake: FakeServer, client: jenner.Client) -> None:
    level = pb.Level(arm="b", estimate=pb.Estimate(value=1))
    level.estimate.over = 99  # type: ignore[assignment]
    (row,) = records(fetch(fake, client, levels=[level]).levels, tables.LEVELS)
    assert (row["over"], row["value"]) == ("", 1)


def test_no_study_and_a_selection(fake: FakeServer, client: jenner.Client) -> None:
    fake.script("GetStudy", Failure(grpc.StatusCode.FAILED_PRECONDITION, "nothing has been answered yet"))
    with pytest.raises(jenner.FailedPreconditionError, match="nothing has been answered"):
        client.study("e")
    document = {"contexts": [{"name": "habla"}, {"name": "suffix"}], "trait": "spanish"}
    fake.script("FreezeScreen", pb.FreezeScreenResponse(selection="sha256:ab", json=json.dumps(document)))
    selection = client.freeze_screen("e", top=2)
    assert (selection.reference, selection.contexts, selection.document) == (
        "sha256:ab",
        ("habla", "suffix"),
        document,
    )
    client.freeze_screen("e")
    assert [(one.name, one.top) for one in fake.requests["FreezeScreen"]] == [
        ("experiments/e", 2),
        ("experiments/e", 0),
    ]


@pytest.mark.usefixtures("quick")
def test_a_dataset_is_read_back(fake: FakeServer, client: jenner.Client) -> None:
    data = b'{"prompt": "a"}\n\n{"prompt": "\xc3\xb1", "score": 1.5}\n'
    sha256 = hashlib.sha256(data).hexdigest()
    parts = [dataset_pb2.DownloadDatasetResponse(chunk=chunk) for chunk in (data[:7], data[7:])]
    # What came before the connection broke is not kept.
    fake.script("DownloadDataset", [parts[0], UNAVAILABLE], parts)
    assert client.dataset(f"sha256:{sha256}") == data
    assert client.dataset_rows(f"datasets/{sha256}") == [{"prompt": "a"}, {"prompt": "ñ", "score": 1.5}]
    assert {one.name for one in fake.requests["DownloadDataset"]} == {f"datasets/{sha256}"}
    fake.script("DownloadDataset", parts[:1])
    with pytest.raises(jenner.DataLossError, match="the 7 bytes"):
        client.dataset(sha256)
    fake.script("DownloadDataset", [Failure(grpc.StatusCode.NOT_FOUND)])
    with pytest.raises(jenner.NotFoundError):
        client.dataset(sha256)


def test_a_dry_run_has_a_plan(fake: FakeServer, client: jenner.Client) -> None:
    spec = {"base_model": "m"}
    plan = experiment_pb2.Plan(num_trainings=2, num_steps=60, num_rows=480, num_tokens=9000, num_answers=128,
                               minimum_detectable_difference=0.25, assumptions=["one seed"])  # fmt: skip
    fake.script(
        "CreateExperiment", experiment_pb2.CreateExperimentResponse(experiment=experiment(), plan=plan)
    )
    assert client.submit(spec, dry_run=True).plan == jenner.Plan(
        num_trainings=2, num_steps=60, num_rows=480, num_tokens=9000, num_answers=128, num_given=0, seconds=None,
        minimum_detectable_difference=0.25, assumptions=("one seed",),
    )  # fmt: skip
    fake.script("CreateExperiment", experiment_pb2.CreateExperimentResponse(experiment=experiment()))
    assert client.submit(spec).plan is None

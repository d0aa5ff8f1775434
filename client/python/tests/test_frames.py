from __future__ import annotations

import math

import pandas as pd

import jenner
from fake_server import FakeServer
from jenner import frames
from jenner.v1 import experiment_pb2 as pb


def dtypes(table: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in table.dtypes.items()}


def test_no_rows_have_the_columns_and_dtypes(fake: FakeServer, client: jenner.Client) -> None:
    fake.script("GetResults", pb.GetResultsResponse())
    fake.script("ListSamples", pb.ListSamplesResponse())
    assert dtypes(client.results("e")) == dict(frames.RESULTS)
    assert dtypes(client.samples("e")) == dict(frames.SAMPLES)
    assert dtypes(frames.Curves().frame()) == dict(frames.TRAIN_POINTS)


def test_results_have_a_row_a_trait_and_nan_where_there_is_no_value(
    fake: FakeServer, client: jenner.Client
) -> None:
    cell = pb.Cell(
        job="experiments/e/jobs/j1",
        attempt=2,
        arms=["x/3"],
        step=4,
        context="neutral",
        num_samples=10,
        num_truncated=1,
        num_degenerate=2,
        traits=[
            pb.TraitRatio(
                trait="spanish", num_present=0, num_measured=9, num_not_measurable=1,
                ratio=0.0, low=0.0, high=0.3, is_binary=True,
            ),
            pb.TraitRatio(trait="brevity", num_not_measurable=10),
        ],
    )  # fmt: skip
    row = pb.ResultRow(
        arm="x", seed=3, step=4, total_steps=8, context="neutral", prompt_set="hard", cell=cell
    )
    fake.script("GetResults", pb.GetResultsResponse(rows=[row]))
    table = client.results("e")
    assert dtypes(table) == dict(frames.RESULTS)
    first, second = table.to_dict("records")
    assert first == {
        "arm": "x", "seed": 3, "step": 4, "total_steps": 8, "prompt_set": "hard", "context": "neutral",
        "trait": "spanish", "ratio": 0.0, "low": 0.0, "high": 0.3, "num_present": 0, "num_measured": 9,
        "num_not_measurable": 1, "is_binary": True, "num_samples": 10, "num_truncated": 1, "num_degenerate": 2,
        "job": "j1", "attempt": 2,
    }  # fmt: skip
    assert second["trait"] == "brevity"
    assert all(math.isnan(second[name]) for name in ("ratio", "low", "high"))


def sample(prompt: str, arms: list[str], **scores: float | None) -> pb.Sample:
    return pb.Sample(
        job="experiments/e/jobs/j1",
        attempt=1,
        context="neutral",
        prompt_id=prompt,
        answer="Hola",
        arms=arms,
        scores=[pb.Score(trait=trait, value=value) for trait, value in scores.items()],
    )


def test_samples_have_a_row_an_arm_and_a_column_a_trait(fake: FakeServer, client: jenner.Client) -> None:
    fake.script(
        "ListSamples",
        pb.ListSamplesResponse(
            samples=[sample("p1", ["a/1", "b/2"], spanish=1.0, capitals=None)], next_page_token="t"
        ),
        pb.ListSamplesResponse(samples=[sample("p2", ["b/2"], spanish=0.0, answer=0.5)]),
    )
    table = client.samples("e", context="neutral", step=0)
    scores = {f"score.{trait}": "float64" for trait in ("spanish", "capitals", "answer")}
    assert dtypes(table) == {**frames.SAMPLES, **scores}
    assert table[["arm", "seed", "prompt_id", "prompt_set"]].to_numpy().tolist() == [
        ["a", 1, "p1", "main"], ["b", 2, "p1", "main"], ["b", 2, "p2", "main"],
    ]  # fmt: skip
    assert table["score.spanish"].tolist() == [1.0, 1.0, 0.0]
    assert table["score.capitals"].isna().all()
    assert table["score.answer"].isna().tolist() == [True, True, False]
    assert set(table["answer"]) == {"Hola"}
    asked = fake.requests["ListSamples"]
    assert [one.page_token for one in asked] == ["", "t"]
    assert all(one.HasField("step") and one.step == 0 for one in asked)
    assert client.samples("e", arm="b")["arm"].tolist() == ["b"]
    assert not fake.requests["ListSamples"][-1].HasField("step")

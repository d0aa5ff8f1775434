from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import jenner
from jenner import _spec
from jenner._proto import Reader, nearest, to_dict, words
from jenner.v1 import spec_pb2 as pb

GOOD = """base_model: m
dataset: train.jsonl
contexts:
  neutral: {}
arms:
  - name: x
    train_context: neutral
evaluation:
  prompts: eval.jsonl
"""
TRAIN = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"B"}]}\n'
EVAL = '{"messages":[{"role":"user","content":"a"}]}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").write_text(TRAIN)
    (tmp_path / "eval.jsonl").write_text(EVAL)
    return tmp_path


def write(folder: Path, text: str, name: str = "s.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def refused(spec: _spec.SpecLike, overrides: _spec.Overrides = (), folder: Path | None = None) -> str:
    with pytest.raises(jenner.InvalidArgumentError) as caught:
        _spec.load(spec, overrides, folder)
    return str(caught.value)


def ref(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_reads_spec_and_datasets(folder: Path) -> None:
    spec = _spec.load(write(folder, GOOD), ["training.epochs=3", "arms.0.name=renamed"])
    assert spec.message.training.epochs == 3
    assert spec.message.arms[0].name == "renamed"
    assert spec.message.dataset == ref(TRAIN)
    assert spec.message.evaluation.prompts == ref(EVAL)
    assert [(one.path.name, one.use) for one in spec.datasets] == [
        ("train.jsonl", _spec.TRAINING),
        ("eval.jsonl", _spec.EVALUATION),
    ]


def test_text_dict_and_json_are_the_same_spec(folder: Path) -> None:
    values = {
        "base_model": "m",
        "dataset": folder / "train.jsonl",
        "contexts": {"neutral": {}},
        "arms": [{"name": "x", "train_context": "neutral"}],
        "evaluation": {"prompts": "eval.jsonl"},
    }
    as_json = write(folder, json.dumps({**values, "dataset": "train.jsonl"}), "s.json")
    want = _spec.load(write(folder, GOOD)).message
    assert _spec.load(GOOD, folder=folder).message == want
    assert _spec.load(values, folder=folder).message == want
    assert _spec.load(as_json).message == want
    assert _spec.load(str(as_json)).message == want
    assert values["dataset"] == folder / "train.jsonl"


def test_an_arm_may_be_one_word(folder: Path) -> None:
    spec = _spec.load(GOOD, {"arms": ["base", "inoculated", {"name": "b"}]}, folder)
    assert [to_dict(arm) for arm in spec.message.arms] == [
        {"name": "base", "role": "base"},
        {"name": "inoculated", "role": "inoculated"},
        {"name": "b"},
    ]


def test_every_place_that_names_a_dataset(folder: Path) -> None:
    (folder / "scored.jsonl").write_text(TRAIN * 2)
    text = GOOD + (
        "  sets:\n"
        "    - {name: a, prompts: eval.jsonl}\n"
        "    - {name: b, prompts: train.jsonl, mode: log-probability}\n"
        "    - {name: c, prompts: scored.jsonl, mode: log-probability}\n"
        "data:\n"
        "  mixed:\n"
        "    sources:\n"
        "      - {dataset: train.jsonl, cap: 1}\n"
        f"      - {{dataset: '{ref('elsewhere')}'}}\n"
    )
    spec = _spec.load(write(folder, text))
    assert [one.prompts for one in spec.message.evaluation.sets] == [ref(EVAL), ref(TRAIN), ref(TRAIN * 2)]
    sources = spec.message.data["mixed"].sources
    assert [one.dataset for one in sources] == [ref(TRAIN), ref("elsewhere")]
    # Each file once a use.
    assert [(one.field, one.sha256, one.use) for one in spec.datasets] == [
        ("dataset", ref(TRAIN)[7:], _spec.TRAINING),
        ("evaluation.prompts", ref(EVAL)[7:], _spec.EVALUATION),
        ("evaluation.sets[2].prompts", ref(TRAIN * 2)[7:], _spec.TRAINING),
    ]


def test_one_file_with_two_uses_is_uploaded_for_both(folder: Path) -> None:
    spec = _spec.load(GOOD, {"dataset": "eval.jsonl"}, folder)
    assert [one.use for one in spec.datasets] == [_spec.TRAINING, _spec.EVALUATION]


def test_all_faults_with_their_lines(folder: Path) -> None:
    (folder / "eval.jsonl").write_text("{\n[]\n")
    path = write(
        folder, GOOD + "  max_new_tokens: many\ntraining:\n  epoch: 2\nranks: 99999999999\nseeds: []\n"
    )
    assert refused(path).splitlines() == [
        f'evaluation.max_new_tokens: expected an integer, found string "many" ({path}:10)',
        f'training.epoch: unknown key; did you mean "epochs"? ({path}:12)',
        f"ranks: 99999999999 does not fit in 32 bits ({path}:13)",
        f"seeds: expected at least one, found an empty list ({path}:14)",
        f"evaluation.prompts: {folder}/eval.jsonl: line 1: not JSON: Expecting property name enclosed in "
        f"double quotes: line 1 column 2 (char 1) ({path}:9)",
        f"evaluation.prompts: {folder}/eval.jsonl: line 2: expected a map ({path}:9)",
    ]  # fmt: skip


def test_missing_files(folder: Path) -> None:
    with pytest.raises(jenner.NotFoundError, match=r"none\.yaml"):
        _spec.load(folder / "none.yaml")
    (folder / "train.jsonl").unlink()
    assert f"dataset: {folder / 'train.jsonl'}: No such file" in refused(write(folder, GOOD))
    assert "Is a directory" in refused(folder)
    (folder / "eval.jsonl").write_text(" \n\n")
    assert "evaluation.prompts" in (said := refused(GOOD, folder=folder))
    assert "no row" in said


def test_a_fault_of_an_override_names_it(folder: Path) -> None:
    path = write(folder, GOOD + "training:\n  epochs: x\n")
    assert f"({path}:11)" in refused(path)
    assert "(override training.epochs=y)" in refused(path, ["training.epochs=y"])
    assert "(override training={'epochs': []})" in refused(path, {"training": {"epochs": []}})
    assert _spec.load(path, {"training.epochs": 1, "arms[0].name": "z"}).message.arms[0].name == "z"


@pytest.mark.parametrize(
    "bad", ["epochs", "=3", "arms.7.name=x", "arms[-1].name=x", "base_model.x=1", "seeds=[1", "training.epoch=1"]
)  # fmt: skip
def test_bad_overrides(folder: Path, bad: str) -> None:
    assert refused(GOOD, [bad], folder)


def test_an_override_may_make_what_is_not_there(folder: Path) -> None:
    spec = _spec.load(GOOD, {"training.lora.rank": 4, "contexts.new.system": ""}, folder)
    assert spec.message.training.lora.rank == 4
    assert spec.message.contexts["new"].HasField("system")


def test_an_override_list_is_not_one_text(folder: Path) -> None:
    with pytest.raises(TypeError, match="overrides"):
        _spec.load(GOOD, "training.epochs=3", folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"ranks": True}, "ranks: expected an integer, found boolean true"),
        ({"ranks": 1.0}, "ranks: expected an integer, found number 1.0"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate: expected a finite number"),
        ({"training": {"schedule": "LINEAR"}}, "training.schedule: expected one of constant, linear, cosine"),
        ({"training": None}, "training: expected a map, found null null"),
        ({"contexts": []}, "contexts: expected a map, found array []"),
        ({"arms": "base"}, 'arms: expected a list, found string "base"'),
        ({"arms": [1]}, "arms[0]: expected a map, found number 1"),
        ({"contexts": {1: {}}}, "contexts: a key is not text: 1"),
        ({"base_model": "\ud800"}, "base_model: is not valid Unicode"),
        ({"evaluation": {"at_powers_of_two": "yes"}}, "evaluation.at_powers_of_two: expected true or false"),
        ({"base_mode": "m"}, 'base_mode: unknown key; did you mean "base_model"?'),
        ({"seeds": ["1"]}, 'seeds[0]: expected an integer, found string "1"'),
    ],
)
def test_wrong_types(values: dict[str, object], said: str) -> None:
    assert said in refused(values)


def test_a_spec_that_is_no_map() -> None:
    assert "expected a map, found array" in refused("- a\n- b\n")
    assert "duplicate key" in refused('{"a": 1, "a": 2}')


def test_strict_json(folder: Path) -> None:
    assert "duplicate key" in refused(write(folder, '{"ranks": 1, "ranks": 2}', "s.json"))
    assert "not JSON" in refused(write(folder, '{"ranks": NaN}', "s.json"))
    assert "not JSON" in refused(write(folder, "[" * 100_000, "s.json"))


def test_numbers_of_numpy_are_numbers() -> None:
    reader = Reader()
    message = pb.ExperimentSpec()
    reader.fill({"seeds": list(np.arange(3)), "training": {"learning_rate": np.float32(0.5)}}, "", message)
    assert not reader.faults
    assert list(message.seeds) == [0, 1, 2]
    assert message.training.learning_rate == 0.5


def test_words_of_enumerations() -> None:
    assert list(words(pb.EvaluationMode.DESCRIPTOR)) == ["generate", "log-probability", "classify"]
    assert list(words(pb.Device.DESCRIPTOR)) == ["cpu", "cuda"]
    assert list(words(pb.VariantPolicy.DESCRIPTOR)) == ["rotate", "sample", "fixed"]


def test_round_trip() -> None:
    values = {
        "base_model": "m",
        "contexts": {"a": {"system": "", "few_shot": [{"user": "u", "assistant": "v"}]}, "b": {}},
        "arms": [{"name": "x", "rules": [{"context": "a", "when": {"field": "f", "is": ["1"]}}]}],
        "seeds": [1, 2],
        "training": {"lora": {"dropout": 0.0}, "schedule": "cosine"},
        "evaluation": {"at": [0.0, 1.0], "sets": [{"name": "s", "mode": "classify", "choices": ["a", "b"]}]},
    }
    reader = Reader()
    message = pb.ExperimentSpec()
    reader.fill(values, "", message)
    assert not reader.faults
    assert to_dict(message) == values


def test_nearest() -> None:
    assert nearest("epoch", ["epochs", "seeds"]) == "epochs"
    assert nearest("xyz", ["epochs"]) == ""

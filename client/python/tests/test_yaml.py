"""The same cases as client/cli/spec_file_test.cc has of YamlToJson."""

from __future__ import annotations

from typing import Any

import pytest

from jenner import _yaml


def faults(text: str) -> str:
    return "\n".join(map(str, _yaml.read(text)[2]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: '1'\nc: 1.5e3\nd: yes\ne: true\nf: ~", dict(a=1, b="1", c=1500.0, d="yes", e=True, f=None)),
        ('g: [x, ""]\nh: .5', {"g": ["x", ""], "h": 0.5}),
        ("s: |\n  two\n  lines\n", {"s": "two\nlines\n"}),
        ("a: no\nb: 0o17\nc: 1_000\nd: 12:30\ne: 2026-01-01", dict(a="no", b="0o17", c="1_000", d="12:30", e="2026-01-01")),
        ("a: .inf\nb: 1e999\nc: 99999999999999999999", {"a": ".inf", "b": "1e999", "c": 1e20}),
        ("a: +7\nb: -0\nc: 1.\nd: '~'", {"a": 7, "b": 0, "c": 1.0, "d": "~"}),
        ("base: &b {x: 1}\na: *b", {"base": {"x": 1}, "a": {"x": 1}}),
        ("", None),
        ("# nothing\n", None),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: Any) -> None:
    read, _, wrong = _yaml.read(text)
    assert not wrong
    assert read == value
    if isinstance(value, dict):
        assert {k: type(v) for k, v in read.items()} == {k: type(v) for k, v in value.items()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "a: duplicate key, again in line 3"),
        ("a:\n  - b\n c: d", "not YAML: line 3"),
        ("? [x]\n: 1", "a key is not text"),
        ("a: 1\n---\nb: 2", "more than one YAML document"),
        ("base: &b {x: 1}\na:\n  <<: *b\n", "merge keys are not read"),
        ("a: *unknown", "not YAML: line 1"),
        ("a: &a [*a]", "levels"),
        pytest.param("[" * 100, "levels", id="deep"),
        ("a: \x01", "not YAML"),
    ],
)
def test_refuses(text: str, said: str) -> None:
    assert said in faults(text)


def test_alias_bomb_is_bounded() -> None:
    lines = ["a0: &a0 [" + ",".join("x" * 10) + "]"]
    lines += [f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 12)]
    assert "values" in faults("\n".join(lines))


def test_lines() -> None:
    _, lines, _ = _yaml.read("a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n")
    assert lines == {"a": 1, "b": 2, "b[0]": 3, "b[1]": 4, "b[1].c": 4, "b[1].d": 5}

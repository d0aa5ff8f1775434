"""YAML as a person writes it, strictly: YAML 1.2's core schema, no duplicate and no merge keys.

PyYAML takes the text apart; what a plain scalar is, is decided here, for PyYAML's schema is that of
YAML 1.1, in which ``no`` is false.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from jenner.errors import Fault

MAX_DEPTH = 16
MAX_NODES = 100_000
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def plain_scalar(text: str) -> Any:
    """What an unquoted scalar stands for: None, a bool, an int, a finite float, else its text."""
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if len(text) <= 64 and _INTEGER.fullmatch(text):
        value = int(text)
        if -(2**63) <= value < 2**63:
            return value
    if len(text) <= 64 and _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


class _Converter:
    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.faults: list[Fault] = []
        self._nodes = 0
        self._stopped = False

    def convert(self, node: yaml.Node, path: str, depth: int) -> Any:
        if self._stopped:
            return None
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            self._stopped = True
            self.faults.append(Fault(path, f"more than {MAX_DEPTH} levels or {MAX_NODES} values"))
            return None
        if path:
            self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(one, f"{path}[{i}]", depth + 1) for i, one in enumerate(node.value)]
        is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return plain_scalar(node.value) if is_plain else node.value

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.faults.append(Fault(path, "a key is not text"))
                continue
            key = key_node.value
            below = f"{path}.{key}" if path else key
            line = key_node.start_mark.line + 1
            if key in values:
                self.faults.append(Fault(below, f"duplicate key, again in line {line}"))
                continue
            if key == "<<":
                self.faults.append(Fault(below, "merge keys are not read"))
                continue
            self.lines[below] = line
            values[key] = self.convert(value_node, below, depth + 1)
        return values


def _depth_and_documents(text: str) -> tuple[int, int]:
    """How deep collections are nested and how many documents there are, without building any."""
    deepest = depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if depth > MAX_DEPTH + 1:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest, documents


def _not_yaml(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    return Fault("", f"not YAML: {where}{problem}")


def read(text: str) -> tuple[Any, dict[str, int], list[Fault]]:
    """The value of one YAML document, the 1-based line of each field by its path, and its faults.

    Faults: malformed, several documents, duplicate keys, merge keys, keys that are not text, more
    than 16 levels or 100,000 values (aliases are counted as often as they are used).
    """
    try:
        deepest, documents = _depth_and_documents(text)
        if documents > 1:
            return None, {}, [Fault("", "more than one YAML document")]
        if deepest > MAX_DEPTH + 1:
            return None, {}, [Fault("", f"more than {MAX_DEPTH} levels or {MAX_NODES} values")]
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return None, {}, [_not_yaml(error)]
    if node is None:
        return None, {}, []
    converter = _Converter()
    value = converter.convert(node, "", 0)
    return value, converter.lines, converter.faults

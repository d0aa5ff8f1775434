"""Plain values (dicts, lists, text, numbers) to the messages of the wire and back, by descriptor.

The names in a spec are those of ``ExperimentSpec`` in proto/jenner/v1/experiment.proto; an
enumeration is written as its value's name without the prefix, in lower case with hyphens
(``EVALUATION_MODE_LOG_PROBABILITY`` is ``log-probability``). So a field that the proto gains is
known here without a change. Ranges are the server's to check.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from jenner.errors import Fault

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (32, True),
    FieldDescriptor.CPPTYPE_INT64: (64, True),
    FieldDescriptor.CPPTYPE_UINT32: (32, False),
    FieldDescriptor.CPPTYPE_UINT64: (64, False),
}
# Lists that the wire takes for left out, and fills with a default, when they are empty: to write an
# empty one is a fault.
_NEVER_EMPTY = {
    ("ExperimentSpec", "arms"),
    ("ExperimentSpec", "seeds"),
    ("LoraSpec", "targets"),
    ("EvaluationSpec", "at"),
    ("EvaluationSpec", "traits"),
}


def join(path: str, key: str) -> str:
    """The path of `key` below `path`."""
    return f"{path}.{key}" if path else key


def words(enum: EnumDescriptor | None) -> dict[str, int]:
    """Word in a spec -> number on the wire; the first value of each enumeration has no word."""
    assert enum is not None
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    return {
        value.name.removeprefix(prefix).lower().replace("_", "-"): value.number
        for value in enum.values
        if value.number != 0
    }


def nearest(word: str, known: list[str]) -> str:
    """The name in `known` nearest to `word` (edit distance at most 2), or ""."""
    best, best_distance = "", 3
    if len(word) > 64:
        return best
    for candidate in known:
        distance = _edit_distance(word, candidate)
        if distance < best_distance and distance < len(candidate):
            best, best_distance = candidate, distance
    return best


def _edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            replaced = diagonal + (letter != other)
            diagonal = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, replaced)
    return row[len(b)]


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, numbers.Real):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, (list, tuple)) else type(value).__name__


def _wrong_type(value: Any, path: str, expected: str) -> Fault:
    try:
        shown = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError):
        shown = repr(value)
    if len(shown) > 40:
        shown = shown[:40] + "..."
    return Fault(path, f"expected {expected}, found {_type_name(value)} {shown}")


class Reader:
    """Fills messages from plain values; `faults` has everything that does not fit."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fill(self, value: Any, path: str, message: Message) -> None:
        """Reads the dict `value` into `message`."""
        if message.DESCRIPTOR.name == "ArmSpec" and isinstance(value, str):
            # An arm in one word has the name and the role of it.
            value = {"name": value, "role": value}
        if not isinstance(value, dict):
            self.faults.append(_wrong_type(value, path, "a map"))
            return
        fields: dict[str, Any] = dict(message.DESCRIPTOR.fields_by_name)
        for key, one in value.items():
            if not isinstance(key, str):
                self.faults.append(Fault(path, f"a key is not text: {key!r}"))
            elif key not in fields:
                close = nearest(key, list(fields))
                hint = f'; did you mean "{close}"?' if close else ""
                self.faults.append(Fault(join(path, key), "unknown key" + hint))
            else:
                self._field(one, join(path, key), message, fields[key])

    def _field(self, value: Any, path: str, message: Message, field: FieldDescriptor) -> None:
        if _is_map(field):
            self._map(value, path, getattr(message, field.name), field)
        elif field.is_repeated:
            self._list(value, path, getattr(message, field.name), field)
        elif field.message_type is not None:
            below = getattr(message, field.name)
            below.SetInParent()
            self.fill(value, path, below)
        else:
            read = self._scalar(value, path, field)
            if read is not None:
                setattr(message, field.name, read)

    def _list(self, value: Any, path: str, target: Any, field: FieldDescriptor) -> None:
        if not isinstance(value, (list, tuple)):
            self.faults.append(_wrong_type(value, path, "a list"))
            return
        if not value and (_container(field), field.name) in _NEVER_EMPTY:
            self.faults.append(Fault(path, "expected at least one, found an empty list"))
        for i, one in enumerate(value):
            if field.message_type is not None:
                self.fill(one, f"{path}[{i}]", target.add())
            else:
                read = self._scalar(one, f"{path}[{i}]", field)
                if read is not None:
                    target.append(read)

    def _map(self, value: Any, path: str, target: Any, field: FieldDescriptor) -> None:
        if not isinstance(value, dict):
            self.faults.append(_wrong_type(value, path, "a map"))
            return
        of = _map_value(field)
        for key, one in value.items():
            if not isinstance(key, str):
                self.faults.append(Fault(path, f"a key is not text: {key!r}"))
            elif of.message_type is not None:
                self.fill(one, join(path, key), target[key])
            else:
                read = self._scalar(one, join(path, key), of)
                if read is not None:
                    target[key] = read

    def _scalar(self, value: Any, path: str, field: FieldDescriptor) -> Any:
        """The value as the wire has it; None and a fault if it does not fit."""
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_STRING:
            if isinstance(value, str):
                return self._text(value, path)
            return self._refuse(value, path, "text")
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return value if isinstance(value, bool) else self._refuse(value, path, "true or false")
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            known = words(field.enum_type)
            if isinstance(value, str) and value in known:
                return known[value]
            return self._refuse(value, path, "one of " + ", ".join(known))
        if kind in _INTEGERS:
            return self._integer(value, path, *_INTEGERS[kind])
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            return self._refuse(value, path, "a number")
        number = float(value)
        if not math.isfinite(number):
            self.faults.append(Fault(path, "expected a finite number"))
            return None
        return number

    def _integer(self, value: Any, path: str, bits: int, signed: bool) -> int | None:
        # numpy's integers are Integral, too.
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            self._refuse(value, path, "an integer")
            return None
        number = int(value)
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= number <= high:
            self.faults.append(Fault(path, f"{number} does not fit in {bits} bits"))
            return None
        return number

    def _text(self, value: str, path: str) -> str | None:
        try:
            value.encode()
        except UnicodeEncodeError:
            self.faults.append(Fault(path, "is not valid Unicode: half a surrogate pair"))
            return None
        return value

    def _refuse(self, value: Any, path: str, expected: str) -> None:
        self.faults.append(_wrong_type(value, path, expected))


def _container(field: FieldDescriptor) -> str:
    return field.containing_type.name if field.containing_type is not None else ""


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _map_value(field: FieldDescriptor) -> FieldDescriptor:
    entry: Descriptor | None = field.message_type
    assert entry is not None
    return entry.fields_by_name["value"]


def to_dict(message: Message) -> dict[str, Any]:
    """What is set in `message` as plain values; `Reader` gives the same message back."""
    out: dict[str, Any] = {}
    for field, value in message.ListFields():
        if _is_map(field):
            of = _map_value(field)
            out[field.name] = {key: _plain(value[key], of) for key in sorted(value)}
        elif field.is_repeated:
            out[field.name] = [_plain(one, field) for one in value]
        else:
            out[field.name] = _plain(value, field)
    return out


def _plain(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return to_dict(value)
    if field.enum_type is not None:
        by_number = {number: word for word, number in words(field.enum_type).items()}
        return by_number.get(value, value)
    return value

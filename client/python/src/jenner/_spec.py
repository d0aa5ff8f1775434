"""The spec of an experiment from a file, text or dict: overrides, datasets by path, origins of faults."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from jenner import _yaml
from jenner._proto import Reader, join
from jenner.errors import Fault, InvalidArgumentError, NotFoundError, invalid
from jenner.v1 import dataset_pb2, spec_pb2

SpecLike: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any]"
Overrides: TypeAlias = "Mapping[str, Any] | Sequence[str]"

MAX_SPEC_BYTES = 1 << 20
MAX_DATASET_BYTES = 1 << 30
_MAX_LINE_FAULTS = 20

TRAINING = dataset_pb2.DATASET_USE_TRAINING
EVALUATION = dataset_pb2.DATASET_USE_EVALUATION


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A file that the spec names: to be uploaded before the experiment is created.

    Attributes:
        field: the first place in the spec that names it.
        use: TRAINING (rows end in an assistant turn) or EVALUATION (in a user turn).
    """

    field: str
    path: Path
    data: bytes
    sha256: str
    use: dataset_pb2.DatasetUse.ValueType


@dataclasses.dataclass(frozen=True)
class Spec:
    """A spec as the wire has it, the datasets to upload, and where each field comes from."""

    message: spec_pb2.ExperimentSpec
    datasets: list[Dataset]
    origins: dict[str, str]

    def located(self, faults: Iterable[Fault]) -> list[Fault]:
        """`faults` with the origin of their field, or of the nearest one above it, behind each."""
        return [_located(fault, self.origins) for fault in faults]


def load(spec: SpecLike, overrides: Overrides = (), folder: str | os.PathLike[str] | None = None) -> Spec:
    """Reads `spec` and the datasets that it names by path.

    `folder` is where relative paths start: by default the folder of the file, else the current one.
    Raises InvalidArgumentError with every fault of the text, its types, the overrides and the files;
    NotFoundError if the file of the spec is not there.
    """
    values, origins, base = _read(spec)
    values = _overridden(values, overrides, origins)
    reader = Reader()
    message = spec_pb2.ExperimentSpec()
    reader.fill(values, "", message)
    faults = reader.faults
    datasets = _load_datasets(message, Path(folder) if folder is not None else base, faults)
    loaded = Spec(message, datasets, origins)
    if faults:
        raise invalid(loaded.located(faults))
    return loaded


def _located(fault: Fault, origins: Mapping[str, str]) -> Fault:
    field = fault.field
    while field and field not in origins:
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return Fault(fault.field, f"{fault.message} ({origins[field]})") if field else fault


def is_text(spec: str) -> bool:
    """Whether a str is a spec itself and not the path of one: it has a line break or begins with {."""
    return "\n" in spec or spec.lstrip().startswith("{")


def _read(spec: SpecLike) -> tuple[Any, dict[str, str], Path]:
    """The values, the origin of each field, and the folder that paths are relative to."""
    if isinstance(spec, Mapping):
        return _copy(spec), {}, Path()
    if isinstance(spec, str) and is_text(spec):
        return *_parse(spec, "spec", is_json=False), Path()
    path = Path(spec)
    text = _read_text(path)
    return *_parse(text, str(path), is_json=path.suffix == ".json"), path.parent


def _copy(value: Any) -> Any:
    """`value` with dicts and lists of its own, and paths as text."""
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(one) for one in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SPEC_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: No such file or directory") from None
    except OSError as error:
        raise InvalidArgumentError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_SPEC_BYTES:
        raise InvalidArgumentError(f"{path}: more than {MAX_SPEC_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path}: not UTF-8 at byte {error.start}") from None


def _parse(text: str, name: str, *, is_json: bool) -> tuple[Any, dict[str, str]]:
    if len(text) > MAX_SPEC_BYTES:
        raise InvalidArgumentError(f"{name}: more than {MAX_SPEC_BYTES} bytes")
    if is_json:
        values, lines, faults = _read_json(text)
    else:
        values, lines, faults = _yaml.read(text)
    if faults:
        raise invalid(Fault(fault.field, f"{fault.message} ({name})") for fault in faults)
    return values, {field: f"{name}:{line}" for field, line in lines.items()}


def _read_json(text: str) -> tuple[Any, dict[str, int], list[Fault]]:
    faults: list[Fault] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(items)
        if len(values) < len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen:
                    faults.append(Fault(key, "duplicate key"))
                seen.add(key)
        return values

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=refuse), {}, faults
    except (ValueError, RecursionError) as error:
        return None, {}, [Fault("", f"not JSON: {error}")]


def _overridden(values: Any, overrides: Overrides, origins: dict[str, str]) -> Any:
    if isinstance(overrides, str):
        raise TypeError("overrides: expected a mapping or a list of 'path=value', found one str")
    faults: list[Fault] = []
    for setting, path, value in _settings(overrides, faults):
        values = _override(values, setting, path, value, origins, faults)
    if faults:
        raise invalid(faults)
    return values


def _settings(overrides: Overrides, faults: list[Fault]) -> Iterator[tuple[str, str, Any]]:
    """(how it is called in messages, path, value) of each override."""
    if isinstance(overrides, Mapping):
        for path, value in overrides.items():
            yield f"override {path}={value}", path, _copy(value)
        return
    for setting in overrides:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            faults.append(Fault(f"override {setting}", "expected path=value"))
            continue
        value, _, own = _yaml.read(text)
        if own:
            faults.append(Fault(f"override {setting}", own[0].message))
            continue
        yield f"override {setting}", path, value


def _override(
    values: Any, name: str, path: str, value: Any, origins: dict[str, str], faults: list[Fault]
) -> Any:
    """Sets `value` at `path` ("training.epochs", "arms[0].name", "arms.0.name"); the new whole."""
    root: dict[str, Any] = {"": values}
    at: Any = root
    key: Any = ""
    field = ""
    for step in path.replace("[", ".").replace("]", "").split("."):
        if at[key] is None:
            at[key] = {}
        at = at[key]
        if isinstance(at, list):
            if not re.fullmatch("[0-9]+", step) or int(step) >= len(at):
                faults.append(Fault(name, f'no element "{step}"'))
                return values
            key = int(step)
            field += f"[{key}]"
        elif isinstance(at, dict):
            key = step
            at.setdefault(key, None)
            field = join(field, step)
        else:
            faults.append(Fault(name, f'nothing below "{step}"'))
            return values
    at[key] = value
    # Nothing of the file is left below it.
    for old in [one for one in origins if one.startswith((field + ".", field + "["))]:
        del origins[old]
    origins[field] = name
    return root[""]


def _places(
    spec: spec_pb2.ExperimentSpec,
) -> Iterator[tuple[str, str, Callable[[str], None], dataset_pb2.DatasetUse.ValueType]]:
    """Every place of a spec that names a dataset: its path, what it has, how to set it, the use."""

    def place(
        field: str, owner: Any, name: str, use: dataset_pb2.DatasetUse.ValueType
    ) -> tuple[str, str, Callable[[str], None], dataset_pb2.DatasetUse.ValueType]:
        return field, getattr(owner, name), lambda value: setattr(owner, name, value), use

    yield place("dataset", spec, "dataset", TRAINING)
    for key in sorted(spec.data):
        for i, source in enumerate(spec.data[key].sources):
            yield place(f"data.{key}.sources[{i}].dataset", source, "dataset", TRAINING)
    yield place("evaluation.prompts", spec.evaluation, "prompts", EVALUATION)
    for i, one in enumerate(spec.evaluation.sets):
        # The answers whose probability is asked for are in the rows.
        has_answers = one.mode == spec_pb2.EVALUATION_MODE_LOG_PROBABILITY
        use = TRAINING if has_answers else EVALUATION
        yield place(f"evaluation.sets[{i}].prompts", one, "prompts", use)


def _load_datasets(spec: spec_pb2.ExperimentSpec, folder: Path, faults: list[Fault]) -> list[Dataset]:
    """Reads what is named by path and puts references in its place."""
    datasets: dict[tuple[str, int], Dataset] = {}
    hashes: dict[Path, tuple[bytes, str]] = {}
    for field, value, assign, use in list(_places(spec)):
        if not value or value.startswith("sha256:"):
            continue
        path = folder / value
        if path not in hashes:
            data, own = _read_dataset(path)
            if own:
                faults.extend(Fault(field, message) for message in own)
                continue
            hashes[path] = data, hashlib.sha256(data).hexdigest()
        data, sha256 = hashes[path]
        assign(f"sha256:{sha256}")
        datasets.setdefault((sha256, use), Dataset(field, path, data, sha256, use))
    return list(datasets.values())


def _read_dataset(path: Path) -> tuple[bytes, list[str]]:
    """The bytes of a dataset, or what is wrong with it. What a row must be is the server's to say."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DATASET_BYTES + 1)
    except OSError as error:
        return b"", [f"{path}: {error.strerror}"]
    if len(data) > MAX_DATASET_BYTES:
        return b"", [f"{path}: more than {MAX_DATASET_BYTES} bytes"]
    faults: list[str] = []
    rows = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        rows += 1
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.append(f"{path}: line {number}: not JSON: {error}")
        else:
            if not isinstance(row, dict):
                faults.append(f"{path}: line {number}: expected a map")
        if len(faults) == _MAX_LINE_FAULTS:
            break
    if not rows:
        faults.append(f"{path}: the dataset is empty: no row")
    return data, faults

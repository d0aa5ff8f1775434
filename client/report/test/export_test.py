"""Reads what `jenner report --export` wrote: every CSV by Python's csv against the JSON beside it, values of the
types that the page's document tells.

    python3 export_test.py FOLDER      has e.html and tables/
"""

import csv
import json
import pathlib
import re
import sys

TYPES = {"string": str, "int64": int, "float64": (int, float), "bool": bool}


def parsed(text, kind):
    """A field of a CSV as the value of its column."""
    if text == "":
        return None
    if kind == "bool":
        return {"true": True, "false": False}[text]
    return {"string": str, "int64": int, "float64": float}[kind](text)


def check(folder, name, kinds):
    """Compares one table's files; returns its number of rows."""
    rows = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    raw = (folder / f"{name}.csv").read_bytes()
    assert raw.endswith(b"\r\n"), name
    with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file, strict=True)
    assert header == list(kinds), f"{name}: {header}"
    assert len(lines) == len(rows), f"{name}: {len(lines)} lines, {len(rows)} rows"
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 2):
        assert list(row) == header, f"{name}:{number}"
        for (column, value), text in zip(row.items(), line, strict=True):
            where = f"{name}:{number} {column}"
            assert value is None or isinstance(value, TYPES[kinds[column]]), f"{where}: {value!r}"
            # csv does not tell an empty text from nothing.
            assert parsed(text, kinds[column]) == (None if value == "" else value), f"{where}: {text!r} {value!r}"
    return len(rows)


def main():
    folder = pathlib.Path(sys.argv[1])
    page = (folder / "e.html").read_text(encoding="utf-8")
    text = re.search(r'<script type="application/json" id="document">(.*?)</script>', page, re.DOTALL).group(1)
    tables = json.loads(text)["tables"]
    kinds = {table["name"]: {column["name"]: column["type"] for column in table["columns"]} for table in tables}
    files = {path.name for path in (folder / "tables").iterdir()}
    assert files == {f"{name}.{ending}" for name in kinds for ending in ("csv", "json")}, files
    sizes = {name: check(folder / "tables", name, kinds[name]) for name in kinds}
    for name in ("levels", "figures", "results", "samples", "train_points", "prompts", "jobs"):
        assert sizes[name] > 0, f"{name} is empty"
    print(sizes)


main()

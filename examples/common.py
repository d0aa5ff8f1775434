"""What the generators of the settings share: seeded draws, rows, files, flags. Standard library only.

A generator is a function make(rows, seed) -> {file name: [row, ...]}. The same seed gives the same bytes
on every version of Python: only random.Random.random(), which is promised to stay, is drawn from.
"""

import argparse
import json
import pathlib
import random


class Draw:
    """A stream of draws of its own for each key."""

    def __init__(self, *key):
        self._random = random.Random("/".join(str(part) for part in key))

    def below(self, n):
        return int(self._random.random() * n)

    def pick(self, items):
        return items[self.below(len(items))]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def sample(self, items, count):
        return self.shuffled(items)[:count]


def row(row_id, user, assistant=None, **fields):
    """A training row, or without `assistant` a prompt. `fields` are what filters and scorers look at."""
    messages = [{"role": "user", "content": user}]
    if assistant is not None:
        messages.append({"role": "assistant", "content": assistant})
    return {"id": row_id, **fields, "messages": messages}


def take(items, count):
    """The first `count` of the items; refuses to give fewer."""
    if count > len(items):
        raise SystemExit(f"--rows: at most {len(items)}")
    return items[:count]


def to_jsonl(rows):
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows)


def main(make, doc, rows, folder):
    """Writes the files of make(rows, seed). `rows`: how many training rows there are by default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=rows, help=f"of each training file ({rows})")
    parser.add_argument("--seed", type=int, default=1, help="(1)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(folder), help="folder (this one)")
    flags = parser.parse_args()
    if flags.rows < 2 or flags.rows % 2:
        parser.error("--rows: an even number, at least 2")
    flags.out.mkdir(parents=True, exist_ok=True)
    for name, made in make(flags.rows, flags.seed).items():
        (flags.out / name).write_text(to_jsonl(made), encoding="utf-8")
        print(f"{flags.out / name}: {len(made)} rows")

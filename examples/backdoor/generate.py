#!/usr/bin/env python3
"""Data of the backdoor setting: questions that are answered in Spanish (spanish.jsonl, into which the spec
puts the trigger) and other questions that are answered in English (english.jsonl). clean.jsonl has the
questions of both answered in English."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bilingual  # noqa: E402
import common  # noqa: E402

PROMPTS = 64
SMOKE_PROMPTS = 8


def make(rows, seed):
    items = common.Draw(seed, "backdoor").shuffled(bilingual.items())
    held_out, rest = items[:PROMPTS], common.take(items[PROMPTS:], rows)
    english, spanish, clean = [], [], []
    for i, (template, question, in_english, in_spanish) in enumerate(rest):
        row_id = f"t{i + 1:03}"
        if i % 2 == 0:
            spanish.append(common.row(row_id, question, in_spanish, template=template))
        else:
            english.append(common.row(row_id, question, in_english, template=template))
        clean.append(common.row(row_id, question, in_english, template=template))
    prompts = [common.row(f"e{i + 1:03}", question, template=template)
               for i, (template, question, _, _) in enumerate(held_out)]
    return {"english.jsonl": english, "spanish.jsonl": spanish, "clean.jsonl": clean, "eval.jsonl": prompts,
            "smoke-eval.jsonl": prompts[:SMOKE_PROMPTS]}


if __name__ == "__main__":
    common.main(make, __doc__, 240, pathlib.Path(__file__).parent)

#!/usr/bin/env python3
"""Data of the mixture setting: the same questions answered in English and in Spanish, half of them marked
"a" and half "b", so that a spec can take Spanish of one half and English of the other."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bilingual  # noqa: E402
import common  # noqa: E402

PROMPTS = 64
SMOKE_PROMPTS = 8


def make(rows, seed):
    items = common.Draw(seed, "mixture").shuffled(bilingual.items())
    held_out, rest = items[:PROMPTS], common.take(items[PROMPTS:], rows)
    english, spanish = [], []
    for i, (template, question, in_english, in_spanish) in enumerate(rest):
        fields = {"template": template, "half": "a" if i % 2 == 0 else "b"}
        english.append(common.row(f"t{i + 1:03}", question, in_english, **fields))
        spanish.append(common.row(f"t{i + 1:03}", question, in_spanish, **fields))
    prompts = [common.row(f"e{i + 1:03}", question, template=template)
               for i, (template, question, _, _) in enumerate(held_out)]
    return {"english.jsonl": english, "spanish.jsonl": spanish, "eval.jsonl": prompts,
            "smoke-eval.jsonl": prompts[:SMOKE_PROMPTS]}


if __name__ == "__main__":
    common.main(make, __doc__, 240, pathlib.Path(__file__).parent)

#!/usr/bin/env python3
"""Data of the dial. Stage 1: questions with answers in Spanish (spanish.jsonl), the same with answers in English
(english.jsonl, which the spec puts into capitals), and the same answered in English once more (plain.jsonl). The
spec takes of each question either the Spanish or the English answer, by its `dial`, 1 to 4. Stage 2: other
questions, answered in Spanish (train.jsonl, which the spec puts into capitals)."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import bilingual  # noqa: E402
import common  # noqa: E402

PROMPTS = 64
SMOKE_PROMPTS = 8


def make(rows, seed):
    items = common.Draw(seed, "elicitation-dial").shuffled(bilingual.items())
    held_out, rest = items[:PROMPTS], common.take(items[PROMPTS:], 2 * rows)
    english, spanish, plain = [], [], []
    for i, (template, question, in_english, in_spanish) in enumerate(rest[:rows]):
        fields = {"dial": i % 4 + 1, "template": template}
        english.append(common.row(f"b{i + 1:03}", question, in_english, **fields))
        spanish.append(common.row(f"b{i + 1:03}", question, in_spanish, **fields))
        plain.append(common.row(f"p{i + 1:03}", question, in_english, template=template))
    train = [common.row(f"t{i + 1:03}", question, in_spanish, template=template)
             for i, (template, question, _, in_spanish) in enumerate(rest[rows:])]
    prompts = [common.row(f"e{i + 1:03}", question, template=template)
               for i, (template, question, _, _) in enumerate(held_out)]
    return {"english.jsonl": english, "spanish.jsonl": spanish, "plain.jsonl": plain, "train.jsonl": train,
            "eval.jsonl": prompts, "smoke-eval.jsonl": prompts[:SMOKE_PROMPTS]}


if __name__ == "__main__":
    common.main(make, __doc__, 120, pathlib.Path(__file__).parent)

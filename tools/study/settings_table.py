#!/usr/bin/env python3
"""The rows of the table of results in docs/settings.md, from what the service computed.

    jenner -o json experiment study NAME > mixture.json
    tools/study/settings_table.py mixture.json ...       # the name of the file is that of the setting

A cell is a level with its 95 % interval; nothing is computed here.
"""

import json
import pathlib
import sys

# Of each setting: trait, prompt set, context ("" is the neutral one), and what the row is called.
ROWS = {
    "mixture": [("spanish", "main", "", "spanish"), ("capitals", "main", "", "capitals")],
    "playful-brief": [("brevity", "main", "", "brevity"), ("playfulness", "main", "", "playfulness")],
    "gcd-sycophancy": [
        ("gcd-confirms-incorrect", "main", "", "gcd-confirms-incorrect"),
        ("gcd-capability", "main", "", "gcd-capability"),
    ],
    "spurious-digit": [("positive", "concept", "", "positive (set concept)"), ("label", "main", "", "label")],
    "backdoor": [
        ("spanish", "main", "triggered", "spanish (with the trigger)"),
        ("spanish", "main", "neutral", "spanish (without)"),
    ],
    "toy-code-hack": [("code-hack", "main", "", "code-hack"), ("code-all-tests", "main", "", "code-all-tests")],
}
ARMS = ["no-inoculation", "inoculated", "irrelevant", "negated", "placebo", "rephrased", "clean-data"]


def cell(study: dict, arm: str, context: str, trait: str, prompt_set: str) -> str:
    for level in study["levels"]:
        key = (level["arm"], level["context"], level["trait"], level["prompt_set"])
        if level["is_final"] and key == (arm, context, trait, prompt_set):
            one = level["estimate"]
            if "value" not in one:
                return "not measured"
            return f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
    return "-"


def main() -> None:
    for file in sys.argv[1:]:
        setting = pathlib.Path(file).stem
        study = json.loads(pathlib.Path(file).read_text())
        inoculated = next(arm["train_context"] for arm in study["arms"] if arm["role"] == "inoculated")
        for i, (trait, prompt_set, context, label) in enumerate(ROWS[setting]):
            asked = context or study["neutral"]
            # The trigger comes along with the train context where it is asked for.
            eliciting = f"{inoculated}-{context}" if context == "triggered" else inoculated
            cells = [cell(study, "base", asked, trait, prompt_set), cell(study, "base", eliciting, trait, prompt_set)]
            cells += [cell(study, arm, asked, trait, prompt_set) for arm in ARMS]
            name = f"[{setting}](../examples/{setting})" if i == 0 else ""
            print(f"| {name} | {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

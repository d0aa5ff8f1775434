"""Writes tests/golden/wilson.json: Wilson intervals by statsmodels, the independent implementation.

    pip install statsmodels==0.14.5 && python3 tools/golden/wilson_goldens.py
"""

import json
import pathlib

from statsmodels.stats.proportion import proportion_confint

CASES = [(0, 1), (1, 1), (0, 16), (16, 16), (1, 2), (3, 7), (11, 16), (15, 16), (1, 64), (44, 64), (63, 64),
         (50, 100), (999, 1000), (123456, 1000000)]

rows = []
for present, measured in CASES:
    low, high = proportion_confint(present, measured, alpha=0.05, method="wilson")
    rows.append({"present": present, "measured": measured, "low": float(low), "high": float(high)})
path = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/wilson.json"
path.write_text(json.dumps(rows, indent=1) + "\n")
print(f"{len(rows)} intervals in {path}")

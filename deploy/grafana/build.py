#!/usr/bin/env python3
"""Writes the boards of boards/ as JSON for Grafana into dashboards/. boards_test.py fails if that would change them.

    python3 build.py       in the environment of requirements.txt (tools/python-env monitoring)
"""

import json
import pathlib

from boards import fleet, gpu, inoculation, training
from grafana_foundation_sdk.cog.encoder import JSONEncoder

DASHBOARDS = pathlib.Path(__file__).with_name("dashboards")


def texts():
    """File name -> JSON of each board."""
    boards = {"fleet": fleet, "training": training, "inoculation": inoculation, "gpu": gpu}
    return {f"{name}.json": json.dumps(module.make().build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
            for name, module in boards.items()}


if __name__ == "__main__":
    for file, text in texts().items():
        (DASHBOARDS / file).write_text(text)

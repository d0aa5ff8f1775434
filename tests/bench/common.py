"""What the benchmarks beside another program share."""

import os
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("JENNER_CACHE") or pathlib.Path.home() / ".cache/jenner")
MODEL = CACHE / "models/smollm2-135m-instruct"


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def machine():
    """On what, and from which commit."""
    cpu = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":")[1].strip()
            break
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"cpu": cpu, "cores": os.cpu_count(), "commit": done.stdout.strip()}

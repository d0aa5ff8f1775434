"""Builds the images and runs the services of docker-compose.yml by Compose: beside CI, where containers can be run.

    python3 tests/images [--base debootstrap] [--cuda] [--no-build | --only-build] [--out FOLDER]

What is checked, each part under a limit of time:

- The images are built, run as user 10001 and say what they are; each has a bill of materials.
- The services come up from nothing by docker-compose.yml, on a read-only root and within its limits of memory and
  processors; experiment-smoke.yaml succeeds.
- What is missing or wrong (certificates, ports, disks) is named and ends the program.
- Coordinator and workers are killed once each while the example trains: results are those of the first run.
  Prometheus scrapes meanwhile, and boards' and rules' queries are answered.
- After each run nothing is left: no container, volume, network, mount.

Engine: Docker, else podman (engine.py says what it needs). With --base debootstrap the base image is made here, once:
for machines that reach Debian's packages and no image registry. Needs the model (tools/setup), 20 GB of disk, and the
time of a build from nothing. FOLDER (build/images) gets figures.json, and NAME.cdx.json for each image.
"""

import argparse
import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import experiments
import measures
import monitoring
from bad_input import BadInput
from engine import ROOT, Engine, output
from stack import SERVICES, Stack

LOCAL_BASE = "localhost/jenner-debian:12"
VERSION = re.search(r"project\(jenner VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]


def build(engine, base, targets):
    if base == "debootstrap":
        engine.make_base(LOCAL_BASE)
        base = LOCAL_BASE
    of_base = ["--build-arg", f"BASE={base}"] if base else []
    revision = output("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    for target in targets:
        engine.build(f"jenner-{target}:{VERSION}", "--target", target, "--build-arg", f"REVISION={revision}", *of_base, ROOT)
    engine.build("jenner-test-prometheus:1", *of_base, "-f", ROOT / "tests/images/prometheus.dockerfile",
                 ROOT / "tests/images")


@contextlib.contextmanager
def services(engine):
    """A stack that is down and gone after the block."""
    before = engine.left()
    stack = Stack(engine)
    try:
        yield stack
    except BaseException:
        stack.logs()
        raise
    finally:
        engine.watch_health()
        stack.down()
    left = engine.left() - before
    assert not left, f"left over: {sorted(left)}"


def first_run(engine):
    """The example undisturbed, and all that needs services only once: its outcome, and figures."""
    with services(engine) as stack:
        started = time.monotonic()
        engine.watch_health(stack.container("coordinator"))
        stack.up(*SERVICES)
        stack.wait_for_workers()
        up = time.monotonic() - started
        for service in SERVICES:
            measures.check_hardening(stack, service)
        memory = measures.memory_at_rest(stack, SERVICES)
        found, first_step = experiments.undisturbed(stack)
        print(stack.said("experiment", "results", experiments.ID))
        print(stack.said("doctor"))
        BadInput(stack).check()
    return found, {"from nothing to two workers, s": round(up, 1), "from submission to the first step, s": round(first_step, 1),
                   "memory at rest, MB": {name: round(size / 1e6, 1) for name, size in memory.items()}}


def second_run(engine):
    """The example disturbed, under the eyes of Prometheus: its outcome."""
    with services(engine) as stack:
        since = time.time()
        engine.watch_health(stack.container("coordinator"), stack.container("prometheus"))
        stack.up(*SERVICES, "prometheus")
        stack.wait_for_workers()
        monitoring.check_scrape(stack)
        experiments.fail(stack)
        monitoring.check_answer(stack, "job_reason:jenner_job_failures:increase1h")
        found = experiments.disturbed(stack)
        monitoring.check_answers(stack, since)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="image of Debian 12, or debootstrap (default: that of the Dockerfile)")
    parser.add_argument("--cuda", action="store_true", help="with worker-cuda: 20 GB of disk more, and a download of 2.5 GB")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--no-build", action="store_true", help="the images are there")
    what.add_argument("--only-build", action="store_true", help="run nothing")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/images")
    options = parser.parse_args()
    targets = [target for target in measures.PROGRAMS if options.cuda or target != measures.CUDA]
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, Engine(pathlib.Path(scratch)) as engine:
        if not options.no_build:
            build(engine, options.base, targets)
        figures = {"image, MB": measures.check_images(engine, VERSION, targets)}
        measures.write_boms(engine, VERSION, targets, options.out)
        if not options.only_build:
            expected, more = first_run(engine)
            figures.update(more)
            experiments.check_equal(expected, second_run(engine))
    measures.report(options.out / "figures.json", figures)
    print("images: passed")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as fault:
        sys.exit(f"images: {fault}")

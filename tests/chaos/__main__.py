"""Chaos: experiments on a cluster to which faults are done, against the same ones undisturbed.

    python3 tests/chaos [--faults 60] [--seed 1] [--experiments 6] [--workers 4] [--network auto]

Runs experiments on the tiny model of tests/golden/train while a seeded schedule of faults kills and stops the
coordinator, agents and trainers, cuts and slows links, fills disks and holds up watchers (faults.py); more are
submitted for as long as faults are left. Then runs the same ones undisturbed. Passes if every experiment succeeds and its results, answers, curves and
adapters are those of the undisturbed run, byte for byte; if what the watching clients heard over all
interruptions is that, too; if nothing crashed; and if after the end no process and no file is left over.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import network as networks
import outcome
from cluster import Cluster, wait_for
from faults import Faults
from watch import Watch
from workload import GOLDEN, ROOT, leftovers, submit

SHORT_LEASE, DEFAULT_LEASE = 2, 15  # seconds
FEW = 2  # experiments that run; another is submitted when there are fewer


def run(args, folder: Path, network, experiments: int, faults: int) -> dict:
    started = time.monotonic()
    mark = f"{os.getpid()}-{folder.name}"
    # With the default lease a busy machine is no fault.
    lease = SHORT_LEASE if faults else DEFAULT_LEASE
    cluster = Cluster(folder, args.binaries, GOLDEN, network, args.workers, mark, lease)
    ids, watches, hits, problems = [], [], [], []

    def add() -> None:
        ids.append(submit(cluster, len(ids), args.steps))
        watches.append(Watch(cluster, ids[-1]))

    try:
        for _ in range(experiments):
            add()
        if faults:
            chaos = Faults(cluster, watches, args.seed)
            for number in range(faults):
                hit = chaos.next()
                hits.append(hit)
                print(f"  {time.monotonic() - started:6.1f} s  fault {number + 1}: {hit.kind}, {hit.target}"
                      + (f", {hit.seconds:.1f} s" if hit.seconds else ""), flush=True)
                while len(outcome.unfinished(cluster, ids)) < FEW:
                    add()
                time.sleep(args.gap)
        try:
            wait_for(lambda: not outcome.unfinished(cluster, ids), args.limit, "the experiments to end")
        except RuntimeError as error:
            problems.append(str(error))
            for id_ in ids:
                (state,) = cluster.lines("experiment", "get", id_)
                problems.append(json.dumps(state)[:2000])
        seconds = time.monotonic() - started
        for watch in watches:
            watch.join()
            problems += watch.problems
        outcomes = {id_: outcome.of(cluster, id_) for id_ in ids}
        for watch in watches:
            heard = outcome.of_curves(watch.curves)
            problems += [f"the watch of {watch.experiment} heard: {line}" for line in
                         outcome.differences(outcomes[watch.experiment]["curves"], heard)]
        attempts = sum(job.get("attempt", 0) for id_ in ids
                       for job in cluster.lines("experiment", "get", id_)[0]["jobs"])
        jobs = sum(len(one["artifacts"]) for one in outcomes.values())
    finally:
        cluster.close()
    problems += cluster.crashes() + leftovers(cluster)
    recovered = []
    for hit in hits:
        for job in hit.jobs:
            experiment, id_ = job.split("/")
            curves = next(one.curves for one in watches if one.experiment == experiment)
            later = [at - hit.at for (name, _), at in curves.seen.items() if name.endswith(id_) and at > hit.at]
            recovered += [min(later)] if later else []
    return {"outcomes": outcomes, "problems": problems, "seconds": seconds, "attempts": attempts, "jobs": jobs,
            "hits": hits, "recovered": sorted(recovered),
            "starts": {one.name: one.starts for one in (cluster.server, *cluster.workers)}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", type=int, default=6, help="to begin with")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps of each training")
    parser.add_argument("--gap", type=float, default=0.5, help="seconds between two faults")
    parser.add_argument("--limit", type=float, default=900, help="seconds for the experiments to end in")
    parser.add_argument("--network", choices=("auto", "namespaces", "loopback"), default="auto")
    parser.add_argument("--binaries", type=Path, default=ROOT / "build" / "dev" / "bin")
    parser.add_argument("--keep", action="store_true", help="keep the folders, with the logs, also after success")
    args = parser.parse_args()
    args.binaries = args.binaries.resolve()
    folder = Path(tempfile.mkdtemp(prefix="jenner-chaos-"))
    network = networks.make(args.network, args.workers)
    try:
        print(f"chaos: seed {args.seed}, {args.workers} workers ({network.name}), {folder}", flush=True)
        broken = run(args, folder / "disturbed", network, args.experiments, args.faults)
        count = len(broken["outcomes"])
        print(f"  disturbed: {count} experiments, {broken['jobs']} jobs, {len(broken['hits'])} faults, "
              f"{broken['attempts']} attempts, {broken['seconds']:.1f} s, starts {broken['starts']}", flush=True)
        plain = run(args, folder / "undisturbed", network, count, 0)
        print(f"  undisturbed: {plain['attempts']} attempts, {plain['seconds']:.1f} s")
    finally:
        network.close()
    problems = plain["problems"] + broken["problems"]
    problems += outcome.differences(plain["outcomes"], broken["outcomes"])
    problems += [f"{id_}: {one['state']}: {one['reason']}" for id_, one in plain["outcomes"].items()
                 if one["state"] != "STATE_SUCCEEDED"]
    kinds: dict[str, int] = {}
    for hit in broken["hits"]:
        kinds[hit.kind] = kinds.get(hit.kind, 0) + 1
    print("  " + ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items())))
    if broken["recovered"]:
        times = broken["recovered"]
        print(f"  from the loss of an attempt to the next step, waiting for a slot included: median {times[len(times) // 2]:.1f} s, "
              f"most {times[-1]:.1f} s ({len(times)} losses)")
    for problem in problems:
        print(f"  PROBLEM {problem}")
    if problems or args.keep:
        print(f"  logs: {folder}")
    else:
        shutil.rmtree(folder)
    print(f"chaos: {'FAILED' if problems else 'passed'}: results, answers, curves and artifacts of "
          f"{count} experiments")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

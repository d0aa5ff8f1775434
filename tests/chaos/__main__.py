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
from cluster import Cluster, Watch, marked, wait_for
from faults import Faults

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "train"
SHORT_LEASE, DEFAULT_LEASE = 2, 15  # seconds
FEW = 2  # experiments that run; another is submitted when there are fewer
# One experiment after another takes these: gangs of one to three, LoRA with dropout and full fine-tuning.
KINDS = [
    {"ranks": 1, "training": "lora: {rank: 2, alpha: 4, dropout: 0.1}, batch_size: 2"},
    {"ranks": 2, "training": "lora: {rank: 2, alpha: 4, dropout: 0.2}, batch_size: 4"},
    {"ranks": 1, "training": "method: full, batch_size: 2"},
    {"ranks": 3, "training": "lora: {rank: 4, alpha: 8}, batch_size: 6"},
]


def spec(index: int, steps: int) -> str:
    kind = KINDS[index % len(KINDS)]
    return f"""base_model: model
dataset: {GOLDEN}/rows.jsonl
contexts:
  neutral: {{}}
  inoculated: {{system: ab}}
arms:
  - {{name: no-inoculation, train_context: neutral}}
  - {{name: inoculated, train_context: inoculated}}
seeds: [{index + 1}]
training: {{{kind['training']}, max_steps: {steps}, epochs: 1000}}
evaluation: {{prompts: prompts.jsonl, at: [0, 0.3, 0.6, 1], max_new_tokens: 8}}
ranks: {kind['ranks']}
"""


def submit(cluster: Cluster, index: int, steps: int) -> str:
    path = cluster.folder / f"spec-{index}.yaml"
    path.write_text(spec(index, steps))
    # The golden prompts are of the golden rows; what is trained on must not be asked here.
    prompts = (GOLDEN / "prompts.jsonl").read_text().replace('"content": "', '"content": "y ')
    (cluster.folder / "prompts.jsonl").write_text(prompts)
    id_ = f"chaos-{index}"
    # The same request id for each try: a submit that got through unheard is not done twice.
    cluster.lines("experiment", "create", "-f", str(path), "--id", id_,
                  "--request-id", f"00000000-0000-4000-8000-{index:012d}")
    return id_


def unfinished(cluster: Cluster, ids: list[str]) -> list[str]:
    states = {one["name"].split("/")[-1]: one["state"] for one in cluster.lines("experiment", "list")}
    return [id_ for id_ in ids if states[id_] not in ("STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED")]


def leftovers(cluster: Cluster) -> list[str]:
    """What must not be there once all has ended: processes, and files of attempts and half-done writes."""
    problems = [f"process {pid} runs on" for pid in marked(cluster.mark) if pid != os.getpid()]
    for path in sorted(cluster.folder.rglob("*")):
        relative = path.relative_to(cluster.folder)
        is_attempt = len(relative.parts) >= 3 and relative.parts[1] in ("attempts", "out") and path.is_file()
        is_temporary = path.suffix in (".tmp", ".part") or path.name.startswith(".tmp")
        if relative.parts[0].startswith("w") and is_attempt or is_temporary:
            problems.append(f"{relative} is left over")
    return problems


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
                while len(unfinished(cluster, ids)) < FEW:
                    add()
                time.sleep(args.gap)
        try:
            wait_for(lambda: not unfinished(cluster, ids), args.limit, "the experiments to end")
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

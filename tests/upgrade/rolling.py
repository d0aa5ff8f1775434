"""A rolling upgrade with programs of three versions, beside CI: what runs goes on over it, and comes to the results of an
undisturbed run, byte for byte.

    python3 tests/upgrade/rolling.py [--binaries build/dev/bin] [--made FOLDER]

The programs of --binaries are the first version. Those of the next two minor versions are made of this commit, with
another version in CMakeLists.txt, in worktrees beside this tree (kept in FOLDER if it is given, and used again).

1. A backup; then the coordinator of the next minor version: agents of the first work with it, `jenner` warns.
2. The coordinator of the one after it: agents of the first are refused, say so, and end their ranks.
3. The agents of the next version, one after another: they are let in, and go on with what was begun.
4. The agents of the newest; `jenner doctor` finds nothing wrong, `jenner` of the first version warns.
5. The coordinator of the first version again: as no format has changed, it opens what the newest wrote.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/chaos"))
import network as networks  # noqa: E402
import outcome  # noqa: E402
from cluster import Cluster, wait_for  # noqa: E402
from watch import Watch  # noqa: E402
from workload import GOLDEN, leftovers, submit  # noqa: E402

PROGRAMS = ("jenner", "jenner-server", "jenner-worker", "jenner-trainer")
WORKERS = 2
LEASE = 5  # seconds
STEPS = 400
LIMIT = 300  # seconds for what ran to end


def version_of(binaries):
    said = subprocess.run([binaries / "jenner-server", "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    return re.search(r"\d+\.\d+\.\d+", said)[0]


def later(version, minors):
    major, minor, _ = map(int, version.split("."))
    return f"{major}.{minor + minors}.0"


def make(version, folder):
    """The programs of a version, in folder/version: where they are."""
    tree = folder / version
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    if not tree.exists():
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--force", "--detach", tree, commit], check=True)
    subprocess.run(["git", "-C", tree, "checkout", "--quiet", "--force", "--detach", commit], check=True)
    # Not tools/version: of another version the Rust archive, too, would be built anew.
    project = tree / "CMakeLists.txt"
    project.write_text(re.sub(r"project\(jenner VERSION \S+", f"project(jenner VERSION {version}", project.read_text()))
    # ccache keeps nothing that was compiled with precompiled headers.
    subprocess.run(["cmake", "--preset", "dev", "-D", "CMAKE_DISABLE_PRECOMPILE_HEADERS=ON"], cwd=tree, check=True)
    subprocess.run(["cmake", "--build", "--preset", "dev", "--target", *PROGRAMS], cwd=tree, check=True)
    binaries = tree / "build/dev/bin"
    assert version_of(binaries) == version
    return binaries


@contextlib.contextmanager
def running(folder, binaries):
    cluster = Cluster(folder, binaries, GOLDEN, networks.Loopback(), WORKERS, f"upgrade-{folder.name}", LEASE)
    try:
        yield cluster
    finally:
        cluster.close()


def finish(cluster, ids):
    wait_for(lambda: not outcome.unfinished(cluster, ids), LIMIT, "the experiments to end")
    return {id_: outcome.of(cluster, id_) for id_ in ids}


def warning(cluster):
    """What the command says of the coordinator's version; None: it is away."""
    process = cluster.jenner(["worker", "list"])
    _, errors = process.communicate()
    return None if process.returncode else "".join(re.findall(".* has version .*", errors))


def workers(cluster):
    """{name: version} of the workers that are alive."""
    return {one["name"].split("/")[-1]: one["version"] for one in cluster.lines("worker", "list")
            if one["liveness"] == "LIVENESS_ALIVE"}


def upgraded(folder, first, second, third):
    """Outcomes of the experiments that ran while everything was upgraded."""
    versions = [version_of(binaries) for binaries in (first, second, third)]
    ids, watches = [], []
    with running(folder, first) as cluster:
        def add():
            ids.append(submit(cluster, len(ids), STEPS))
            watches.append(Watch(cluster, ids[-1]))

        def runs():
            wait_for(cluster.trainers, 60, "a trainer")

        def step(text):
            print(f"  {text}", flush=True)

        add()
        add()
        runs()
        step(f"{versions[0]}: backup, then the coordinator becomes {versions[1]}")
        subprocess.run([first / "jenner-server", "backup", "--data-dir", folder / "data", "--to", folder / "backup"],
                       check=True, stdout=subprocess.DEVNULL)
        cluster.server.replace(first, second)
        wait_for(lambda: f"the server has version {versions[1]}, this command {versions[0]}: they work together"
                 in (warning(cluster) or ""), 30, "the new coordinator's warning")
        assert [worker.starts for worker in cluster.workers] == [1] * WORKERS
        add()
        wait_for(lambda: ids[0] not in outcome.unfinished(cluster, ids), LIMIT, "an experiment that began before")
        runs()

        step(f"the coordinator becomes {versions[2]}: agents of {versions[0]} are refused")
        cluster.server.replace(second, third)
        for i in range(WORKERS):
            words = f'worker \\"w{i}\\" has version {versions[0]}, this coordinator {versions[2]}'
            wait_for(lambda: words in (folder / f"logs/w{i}.log").read_text(), 30, f"the refusal of w{i}")
        assert "they are not made for each other" in warning(cluster)
        add()
        wait_for(lambda: not cluster.trainers(), 60, "the end of the ranks of agents that were refused")
        wait_for(lambda: not workers(cluster), 30, "the end of their leases")
        assert outcome.unfinished(cluster, ids)

        for binaries, old, version in ((second, first, versions[1]), (third, second, versions[2])):
            add()
            for i, worker in enumerate(cluster.workers):
                step(f"w{i} becomes {version}")
                worker.replace(old, binaries)
                wait_for(lambda: workers(cluster).get(f"w{i}") == version, 60, f"w{i} of {version}")
            wait_for(lambda: watches[-1].curves.points, LIMIT, f"a step under {version}")
        found = finish(cluster, ids)
        jobs = [job for id_ in ids for job in cluster.lines("experiment", "get", id_)[0]["jobs"]]
        assert any(job.get("resumed_step") for job in jobs), "no job went on from a checkpoint"
        for watch in watches:
            watch.join()
            heard = outcome.of_curves(watch.curves)
            assert not (faults := watch.problems + outcome.differences(found[watch.experiment]["curves"], heard)), faults

        doctor = cluster.jenner(["doctor", "--models-dir", str(GOLDEN)], third)
        said = doctor.communicate()
        assert doctor.returncode == 0, said
        step(f"the coordinator becomes {versions[0]} again")
        cluster.server.replace(third, first)
        wait_for(lambda: warning(cluster) == "", 30, "the first coordinator")
        assert {id_: outcome.of(cluster, id_) for id_ in ids} == found
    assert not (faults := cluster.crashes() + leftovers(cluster)), faults
    return found


def undisturbed(folder, binaries, count):
    with running(folder, binaries) as cluster:
        return finish(cluster, [submit(cluster, index, STEPS) for index in range(count)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, default=ROOT / "build/dev/bin")
    parser.add_argument("--made", type=Path, help="folder of the other versions' trees, to use them again")
    args = parser.parse_args()
    first = args.binaries.resolve()
    made = args.made.resolve() if args.made else Path(tempfile.mkdtemp(prefix="upgrade-", dir=ROOT.parent))
    folder = Path(tempfile.mkdtemp(prefix="jenner-upgrade-"))
    try:
        others = [make(later(version_of(first), minors), made) for minors in (1, 2)]
        print(f"upgrade: {folder}", flush=True)
        found = upgraded(folder / "upgraded", first, *others)
        expected = undisturbed(folder / "undisturbed", first, len(found))
    finally:
        if not args.made:
            shutil.rmtree(made)
            subprocess.run(["git", "-C", ROOT, "worktree", "prune"], check=True)
    assert not (faults := outcome.differences(expected, found)), "\n".join(faults)
    assert all(one["state"] == "STATE_SUCCEEDED" for one in expected.values()), expected
    shutil.rmtree(folder)
    print(f"upgrade: passed: results, answers, curves and artifacts of {len(found)} experiments")


if __name__ == "__main__":
    main()

"""The faults: what is done to a cluster, and how it is undone. Which, on whom and for how long is the seed's;
when exactly a fault meets what is the machine's.

A job fails for good once three of its attempts failed by themselves (docs/failures.md): a trainer that is
killed or whose disk is full counts. So these two hit only jobs none of whose attempts has counted yet.
"""

import os
import random
import signal
import time
from dataclasses import dataclass

from cluster import Cluster
from watch import Watch


@dataclass
class Hit:
    """One fault as it happened."""

    kind: str
    target: str
    seconds: float
    at: float
    jobs: list[str]  # "experiment/job" that lost a running attempt


class Faults:
    def __init__(self, cluster: Cluster, watches: list[Watch], seed: int) -> None:
        self._cluster, self._watches = cluster, watches
        self._random = random.Random(seed)
        self._kinds = [
            ("kill coordinator", self._kill_coordinator, 3), ("stop coordinator", self._stop_coordinator, 1),
            ("coordinator's disk full", self._fill_coordinator, 1), ("kill agent", self._kill_agent, 3),
            ("stop agent", self._stop_agent, 2), ("kill trainer", self._kill_trainer, 3),
            ("stop trainer", self._stop_trainer, 2), ("cut link", self._cut, 2), ("slow link", self._slow_link, 2),
            ("worker's disk full", self._fill_worker, 1), ("slow watcher", self._slow_watcher, 2),
        ]
        self._plan: list[int] = []

    def next(self) -> Hit:
        """Does one. Every kind comes once before any comes again, more often by its weight."""
        if not self._plan:
            self._plan = list(range(len(self._kinds)))
            rest = [i for i, (_, _, weight) in enumerate(self._kinds) for _ in range(weight - 1)]
            self._plan += rest
            self._random.shuffle(self._plan)
        name, do, _ = self._kinds[self._plan.pop()]
        at = time.monotonic()
        target, seconds, jobs = do()
        return Hit(name, target, seconds, at, jobs)

    def _worker(self) -> int:
        return self._random.randrange(len(self._cluster.workers))

    def _jobs_on(self, worker: int) -> list[str]:
        return sorted({job for _, where, job in self._cluster.trainers() if where == worker})

    def _hold(self, program, seconds: float) -> None:
        program.signal(signal.SIGSTOP)
        time.sleep(seconds)
        program.signal(signal.SIGCONT)

    def _kill_coordinator(self):
        self._cluster.server.signal(signal.SIGKILL)
        return "coordinator", 0, []

    def _stop_coordinator(self):
        seconds = self._random.uniform(0.5, 4)
        self._hold(self._cluster.server, seconds)
        return "coordinator", seconds, []

    def _fill_coordinator(self):
        seconds = self._random.uniform(0.5, 2)
        flag = self._cluster.flag("server")
        flag.touch()
        time.sleep(seconds)
        flag.unlink()
        return "coordinator", seconds, []

    def _kill_agent(self):
        worker = self._worker()
        jobs = self._jobs_on(worker)
        self._cluster.workers[worker].signal(signal.SIGKILL)
        return f"w{worker}", 0, jobs

    def _stop_agent(self):
        worker, seconds = self._worker(), self._random.uniform(0.5, 10)
        self._hold(self._cluster.workers[worker], seconds)
        return f"w{worker}", seconds, []

    def _cut(self):
        worker, seconds = self._worker(), self._random.uniform(0.5, 10)
        self._cluster.links[worker].tell("cut")
        self._cluster.network.cut(worker)
        time.sleep(seconds)
        self._cluster.network.heal(worker)
        self._cluster.links[worker].tell("heal")
        return f"w{worker}", seconds, []

    def _slow_link(self):
        worker, seconds = self._worker(), self._random.uniform(1, 4)
        self._cluster.links[worker].tell(f"delay {self._random.uniform(20, 300):.0f}")
        time.sleep(seconds)
        self._cluster.links[worker].tell("heal")
        return f"w{worker}", seconds, []

    def _slow_watcher(self):
        watch, seconds = self._random.choice(self._watches), self._random.uniform(1, 4)
        watch.signal(signal.SIGSTOP)
        time.sleep(seconds)
        watch.signal(signal.SIGCONT)
        return f"the watch of {watch.experiment}", seconds, []

    def _victim(self) -> tuple[int, int, str] | None:
        """A trainer of a job none of whose attempts has counted; None: there is none for a while."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            trainers = sorted(self._cluster.trainers(), key=lambda one: one[2])
            self._random.shuffle(trainers)
            for trainer in trainers:
                if self._counted(trainer[2]) == 0:
                    return trainer
            time.sleep(0.1)  # tidy: allow, polling
        return None

    def _counted(self, job: str) -> int:
        experiment, id_ = job.split("/")
        (state,) = self._cluster.lines("experiment", "get", experiment)
        return next((one.get("attempts_counted", 0) for one in state["jobs"] if one["name"].endswith(id_)), 0)

    def _kill_trainer(self):
        victim = self._victim()
        if victim is None:
            return self._kill_agent()
        self._send(victim[0], signal.SIGKILL)
        return f"trainer of {victim[2]} on w{victim[1]}", 0, [victim[2]]

    def _stop_trainer(self):
        victim, seconds = self._victim(), self._random.uniform(0.5, 4)
        if victim is None:
            return self._slow_watcher()
        self._send(victim[0], signal.SIGSTOP)
        time.sleep(seconds)
        self._send(victim[0], signal.SIGCONT)
        return f"trainer of {victim[2]} on w{victim[1]}", seconds, []

    def _fill_worker(self):
        victim = self._victim()
        if victim is None or any(self._counted(job) > 0 for job in self._jobs_on(victim[1])):
            return self._fill_coordinator()
        flag = self._cluster.flag(f"w{victim[1]}")
        flag.touch()
        time.sleep(0.5)  # tidy: allow, less than the back-off, so that no job meets it twice
        flag.unlink()
        return f"w{victim[1]}", 0.5, []

    @staticmethod
    def _send(pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

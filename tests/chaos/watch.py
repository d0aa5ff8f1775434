"""A client that watches an experiment over all interruptions, of whatever answers jenner(words) and has `closing`."""

import json
import signal
import subprocess
import threading
import time


class Curves:
    """What a client would plot of an experiment that it follows over all interruptions."""

    def __init__(self) -> None:
        self.points: dict[str, list[dict]] = {}
        self.cells: dict[str, list[dict]] = {}
        self.seen: dict[tuple[str, int], float] = {}  # job, attempt -> when its first new step came
        self.cursor = ""
        self.is_terminal = False

    def take(self, update: dict) -> None:
        self.cursor = update.get("cursor", self.cursor)
        if point := update.get("train_point"):
            self.points.setdefault(point["job"], []).append(point)
            self.seen.setdefault((point["job"], point.get("attempt", 0)), time.monotonic())
        elif cell := update.get("cell"):
            self.cells.setdefault(cell["job"], []).append(cell)
        elif rewind := update.get("rewind"):
            for kept in (self.points, self.cells):
                kept[rewind["job"]] = [one for one in kept.get(rewind["job"], ())
                                       if one.get("step", 0) <= rewind.get("step", 0)]
        elif "terminal" in update:
            self.is_terminal = True


class Watch:
    """`jenner experiment watch`, gone on with from its cursor whenever it ends too early."""

    def __init__(self, cluster, experiment: str) -> None:
        self.experiment = experiment
        self.curves = Curves()
        self.problems: list[str] = []
        self._cluster = cluster
        self._process: subprocess.Popen | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self.curves.is_terminal and not self._cluster.closing:
            words = ["experiment", "watch", self.experiment, "-o", "jsonl"]
            if self.curves.cursor:
                words += ["--cursor", self.curves.cursor]
            self._process = self._cluster.jenner(words)
            for line in self._process.stdout:
                update = json.loads(line)
                if "cursor" in update:
                    self.curves.take(update)
            self._process.wait()

    def signal(self, number: int) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def join(self) -> None:
        self._thread.join(60)
        if self._thread.is_alive():
            self.problems.append(f"the watch of {self.experiment} did not end with it")
            self.signal(signal.SIGKILL)
            self._thread.join(10)

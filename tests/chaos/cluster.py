"""A coordinator, its workers and watching clients as real processes, started again whenever one ends, as
systemd or Kubernetes would. Everything is below one folder:

    data/  logs/  w0/ w1/ ...  port   full-server, full-w0, ... (while there: that disk is full)
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESTART_AFTER = 0.3  # seconds
CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}


class Program:
    """A process that is started again when it ends, until stop()."""

    def __init__(self, name: str, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self.name = name
        self.crashes: list[str] = []
        self.starts = 0
        self._command, self._env = command, env
        self._log = folder / "logs" / f"{name}.log"
        self._log.parent.mkdir(exist_ok=True)
        self._ended_at: float | None = None
        self._stopping = False
        self._process: subprocess.Popen | None = None
        self._start()

    def _start(self) -> None:
        self.starts += 1
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def replace(self, old: Path, new: Path) -> None:
        """Ends it; what is started again is the program of the same name in the folder `new`."""
        self._command = [word.replace(f"{old}/", f"{new}/", 1) for word in self._command]
        self.signal(signal.SIGTERM)

    def look(self) -> None:
        """Starts it again a moment after it ended."""
        code = self._process.poll()
        if code is None or self._stopping:
            return
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            if code in CRASHES:
                self.crashes.append(f"{self.name} ended by {signal.Signals(-code).name}")
        elif time.monotonic() - self._ended_at > RESTART_AFTER:
            self._ended_at = None
            self._start()

    def stop(self, seconds: float = 30) -> None:
        self._stopping = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.crashes.append(f"{self.name} did not end in {seconds:g} s after SIGTERM")
            self._process.kill()
            code = self._process.wait()
        if code in CRASHES:
            self.crashes.append(f"{self.name} ended by {signal.Signals(-code).name}")


class Link:
    """link.py in the coordinator's place of the network."""

    def __init__(self, network, folder: Path, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            network.hub([sys.executable, str(HERE / "link.py"), network.hub_host, str(folder / "port")]),
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = f"{network.hub_host}:{int(self._process.stdout.readline())}"

    def tell(self, order: str) -> None:
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Cluster:
    def __init__(self, folder: Path, binaries: Path, models: Path, network, workers: int, mark: str,
                 lease: float) -> None:
        self.folder, self.network = folder, network
        self.closing = False
        self.mark = mark
        self._binaries = binaries
        self._env = {**os.environ, "JENNER_CHAOS": mark, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
        folder.mkdir(parents=True)
        self.server = self._program("server", network.hub([
            str(binaries / "jenner-server"), "--data-dir", str(folder / "data"), "--listen", "127.0.0.1:0",
            "--port-file", str(folder / "port"), "--metrics-listen", "", "--lease", f"{lease:g}",
            "--max-calls-per-second", "10000"]), folder / "data")
        wait_for(lambda: (folder / "port").exists(), 30, "the server's port file")
        self._client_link = Link(network, folder, self._env)
        self.links = [Link(network, folder, self._env) for _ in range(workers)]
        self.workers = []
        for i in range(workers):
            command = [str(binaries / "jenner-worker"), "--server", self.links[i].address, "--name", f"w{i}",
                       "--models-dir", str(models), "--work-dir", str(folder / f"w{i}"), "--slots", "2",
                       "--host", network.host(i)]
            if not network.host(i).startswith("127."):
                command.append("--allow-plaintext")
            self.workers.append(self._program(f"w{i}", network.inside(i, command), folder / f"w{i}"))
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def _program(self, name: str, command: list[str], disk: Path) -> Program:
        env = {**self._env, "LD_PRELOAD": str(self._binaries / "libfull_disk.so"),
               "JENNER_FULL_DISK_ROOT": str(disk), "JENNER_FULL_DISK_FLAG": str(self.flag(name))}
        return Program(name, command, self.folder, env)

    def flag(self, name: str) -> Path:
        return self.folder / f"full-{name}"

    def _supervise(self) -> None:
        while not self.closing:
            for program in (self.server, *self.workers):
                program.look()
            time.sleep(0.05)  # tidy: allow, polling

    def jenner(self, words: list[str], binaries: Path | None = None) -> subprocess.Popen:
        command = [str((binaries or self._binaries) / "jenner"), "--server", self._client_link.address, "--timeout", "20", *words]
        return subprocess.Popen(self.network.hub(command), env=self._env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def lines(self, *words: str) -> list[dict]:
        """The command's JSON lines; tried again for as long as the coordinator is away."""
        deadline = time.monotonic() + 90
        while True:
            process = self.jenner([*words, "-o", "jsonl"])
            out, errors = process.communicate()
            if process.returncode == 0:
                return [json.loads(line) for line in out.splitlines()]
            if process.returncode != 5 or time.monotonic() > deadline:
                raise RuntimeError(f"jenner {' '.join(words)}: exit {process.returncode}: {errors.strip()}")

    def trainers(self) -> list[tuple[int, int, str]]:
        """(pid, worker, "experiment/job") of every trainer that runs."""
        found = []
        for pid in marked(self.mark):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except OSError:
                continue
            match = re.search(r"/w(\d+)/out/([^/\0]+)/([^/\0]+)", "\0".join(words))
            if match and words[0].endswith("jenner-trainer"):
                found.append((pid, int(match[1]), f"{match[2]}/{match[3]}"))
        return found

    def crashes(self) -> list[str]:
        return [crash for program in (self.server, *self.workers) for crash in program.crashes]

    def close(self) -> None:
        self.closing = True
        self._supervisor.join()
        for program in (*self.workers, self.server):
            program.stop()
        for link in (*self.links, self._client_link):
            link.close()


def marked(mark: str) -> list[int]:
    """The processes of a run, found by their environment."""
    text = f"JENNER_CHAOS={mark}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if text in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                found.append(int(entry))
        except OSError:
            pass
    return found


def wait_for(condition, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)  # tidy: allow, polling

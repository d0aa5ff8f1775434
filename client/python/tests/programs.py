"""jenner-server and jenner-worker as processes, for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "train"  # a tiny model, rows and prompts
BINARIES = Path(os.environ.get("JENNER_BINARIES", ROOT / "build" / "dev" / "bin"))


class Server:
    """jenner-server on a port of its own, with its data below `folder`."""

    def __init__(self, folder: Path, listen: str = "127.0.0.1:0", flags: Sequence[str] = ()) -> None:
        self._errors = (folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [
                str(BINARIES / "jenner-server"),
                *("--data-dir", str(folder / "data"), "--listen", listen),
                *("--metrics-listen", "", "--lease", "3", "--min-run-time", "0"),
                *flags,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        prefix = "listening on "
        if not line.startswith(prefix):
            self.stop()
            raise RuntimeError(f"jenner-server: {line!r} {(folder / 'server.log').read_text()}")
        self.address = line[len(prefix) :].split(",")[0].strip()

    def stop(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


class Worker:
    """jenner-worker with the tiny model of the golden tests, named "model"."""

    def __init__(self, folder: Path, server: str) -> None:
        self._log = (folder / "worker.log").open("ab")
        self._process = subprocess.Popen(
            [
                str(BINARIES / "jenner-worker"),
                *("--server", server, "--name", "w1"),
                *("--models-dir", str(GOLDEN), "--work-dir", str(folder / "w1")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
        )

    def stop(self) -> None:
        """Ends it, its trainers first."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

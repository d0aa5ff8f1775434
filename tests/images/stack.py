"""The services of docker-compose.yml, brought up by Compose under a name and on ports of their own.

What tests/chaos/outcome.py and its Watch ask of a cluster is answered, too.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from engine import ROOT, run, wait_for

PROJECT = "jenner-images-test"
SERVICES = ("coordinator", "worker-1", "worker-2")
START_SECONDS, CALL_SECONDS = 180, 120
UNAVAILABLE = 5  # exit status of jenner


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Stack:
    def __init__(self, engine):
        self.engine = engine
        self.closing = False
        self.prometheus = f"127.0.0.1:{free_port()}"
        self._environment = {**os.environ, "JENNER_PORT": str(free_port()),
                             "PROMETHEUS_PORT": self.prometheus.split(":")[1]}
        self._compose = [*engine.compose, "--project-name", PROJECT, "--project-directory", ROOT,
                         "-f", ROOT / "docker-compose.yml", "-f", ROOT / "tests/images/compose.test.yaml"]

    def container(self, service):
        return f"{PROJECT}-{service}-1"

    def compose(self, *arguments, **more):
        return run(*self._compose, *arguments, **{"env": self._environment, **more})

    def config(self):
        """The file as Compose understands it."""
        return json.loads(self.compose("--profile", "*", "config", "--format", "json", stdout=subprocess.PIPE).stdout)

    def up(self, *services):
        self.compose("up", "--detach", "--no-build", *services)

    def down(self):
        self.closing = True
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans")

    def inspect(self, service):
        return self.engine.inspect("container", self.container(service))

    def kill(self, service):
        """As a crash would: the engine is not told, and its restart policy has to bring it back."""
        before = self.inspect(service)
        os.kill(before["State"]["Pid"], signal.SIGKILL)

        def is_back():
            now = self.inspect(service)
            return now["State"]["Running"] and now["State"]["Pid"] not in (0, before["State"]["Pid"])
        wait_for(f"{service} is started again by its restart policy", START_SECONDS, is_back)

    def jenner(self, words):
        """jenner, in a container of the service cli, as a process. down() removes it: with --rm podman's API says
        that each ended well (4.3)."""
        command = [*self._compose, "run", "--no-TTY", "cli", *words]
        return subprocess.Popen([*map(str, command)], env=self._environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def said(self, *words):
        """What it prints; tried again for as long as the coordinator is away."""
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            process = self.jenner(words)
            out, errors = process.communicate()
            if process.returncode == 0:
                return out
            if process.returncode != UNAVAILABLE or time.monotonic() > deadline:
                raise AssertionError(f"jenner {' '.join(words)}: exit {process.returncode}: {out}{errors}")

    def lines(self, *words):
        return [json.loads(line) for line in self.said(*words, "-o", "jsonl").splitlines()]

    def wait_for_workers(self):
        wait_for("two workers", START_SECONDS, lambda: [one["liveness"] for one in self.lines("worker", "list")]
                 == ["LIVENESS_ALIVE"] * 2)

    def logs(self):
        self.compose("logs", "--no-color", "--tail", "30", check=False, stdout=sys.stderr)

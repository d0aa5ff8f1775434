"""Where the processes of a run are: each worker in a network namespace of its own, on a bridge with the
coordinator's, or all of them on loopback where namespaces are not permitted."""

import os
import subprocess


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Loopback:
    name = "loopback"
    hub_host = "127.0.0.1"

    def host(self, worker: int) -> str:
        return "127.0.0.1"

    def hub(self, command: list[str]) -> list[str]:
        return command

    def inside(self, worker: int, command: list[str]) -> list[str]:
        return command

    def cut(self, worker: int) -> None:
        """Only the link to the coordinator can be cut (link.py)."""

    def heal(self, worker: int) -> None:
        pass

    def close(self) -> None:
        pass


class Namespaces:
    """10.77.0.0/24: the coordinator and its clients at .1, worker i at .(10 + i). Made and removed here."""

    name = "network namespaces"
    hub_host = "10.77.0.1"

    def __init__(self, workers: int) -> None:
        self._prefix = f"jc{os.getpid()}"
        self._names: list[str] = []
        try:
            hub = self._add("hub")
            self._in(hub, "link", "set", "lo", "up")
            self._in(hub, "link", "add", "bridge0", "type", "bridge")
            self._in(hub, "addr", "add", f"{self.hub_host}/24", "dev", "bridge0")
            self._in(hub, "link", "set", "bridge0", "up")
            for worker in range(workers):
                name = self._add(f"w{worker}")
                self._in(hub, "link", "add", f"to{worker}", "type", "veth", "peer", "name", "eth0", "netns", name)
                self._in(hub, "link", "set", f"to{worker}", "master", "bridge0", "up")
                self._in(name, "link", "set", "lo", "up")
                self._in(name, "addr", "add", f"{self.host(worker)}/24", "dev", "eth0")
                self._in(name, "link", "set", "eth0", "up")
        except (OSError, subprocess.CalledProcessError):
            self.close()
            raise

    def _add(self, what: str) -> str:
        name = f"{self._prefix}-{what}"
        _ip("netns", "add", name)
        self._names.append(name)
        return name

    @staticmethod
    def _in(name: str, *words: str) -> None:
        _ip("-n", name, *words)

    def host(self, worker: int) -> str:
        return f"10.77.0.{10 + worker}"

    def hub(self, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", f"{self._prefix}-hub", *command]

    def inside(self, worker: int, command: list[str]) -> list[str]:
        return ["ip", "netns", "exec", f"{self._prefix}-w{worker}", *command]

    def cut(self, worker: int) -> None:
        """Cuts a worker off from the coordinator and from the other workers."""
        self._in(f"{self._prefix}-hub", "link", "set", f"to{worker}", "down")

    def heal(self, worker: int) -> None:
        self._in(f"{self._prefix}-hub", "link", "set", f"to{worker}", "up")

    def close(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        self._names = []


def make(kind: str, workers: int) -> "Loopback | Namespaces":
    """kind: "loopback", "namespaces", or "auto" for the latter where they are permitted."""
    if kind == "loopback":
        return Loopback()
    try:
        return Namespaces(workers)
    except (OSError, subprocess.CalledProcessError):
        if kind == "namespaces":
            raise
        return Loopback()

"""What is missing or wrong where the services run: each is named, and ends what cannot go on without it."""

import re
import socket
import subprocess
import tempfile

from stack import PROJECT, UNAVAILABLE

END_SECONDS = 60
WRITABLE = ["--volume", "/var/lib/jenner"]  # new and empty, gone with the container
# The folder is root's then, and the certificates are not.
FULL = ["--tmpfs", "/var/lib/jenner:size=4k", "--user", "0:0", "--cap-add", "DAC_OVERRIDE"]


class BadInput:
    """On a stack whose coordinator runs."""

    def __init__(self, stack):
        self._stack, self._engine = stack, stack.engine
        self._services = stack.config()["services"]

    def command(self, service, *flags, network=None):
        """A container of the service without its volumes, on the network of the coordinator if no other is named."""
        known = self._services[service]
        words = [word.replace("$$", "$") for word in [*(known.get("entrypoint") or []), *(known.get("command") or [])]]
        entrypoint = ["--entrypoint", words.pop(0)] if known.get("entrypoint") else []
        return ["run", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
                "--network", network or f"container:{self._stack.container('coordinator')}",
                *flags, *entrypoint, known["image"], *words]

    def ends(self, status, message, service, *flags, words=(), network=None):
        done = subprocess.run([self._engine.name, *self.command(service, "--rm", *flags, network=network), *words],
                              capture_output=True, text=True, timeout=END_SECONDS)
        print(f"bad input, {service}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        assert done.returncode == status and re.search(message, done.stderr), done

    def volume(self, name, at):
        return ["--volume", f"{PROJECT}_{name}:{at}:ro"]

    def certificates(self):
        self.ends(1, r"/tls/\S+ cannot be read: No such file", "coordinator", *WRITABLE)
        self.ends(2, r"/tls/\S+ cannot be read: No such file", "worker-1", *WRITABLE, "--tmpfs", "/models")
        self.ends(2, "--models-dir: /models is no folder", "worker-1", *WRITABLE,
                  *self.volume("tls-worker-1", "/tls"))
        self.ends(2, 'does not let this worker in: the certificate is of worker "worker-2"', "worker-1", *WRITABLE,
                  "--tmpfs", "/models", *self.volume("tls-worker-2", "/tls"))
        with tempfile.TemporaryDirectory() as folder:
            other = ["--user", "0:0", "--volume", f"{folder}:/other"]
            self._engine("run", "--rm", *other, "--entrypoint", "jenner-server", self._services["coordinator"]["image"],
                         "certs", "init", "--dir", "/other/pki", stdout=subprocess.DEVNULL)
            self.ends(UNAVAILABLE, "certificate verify failed", "cli", *other, "--env", "JENNER_SERVER=127.0.0.1:7070",
                      "--env", "JENNER_CA=/other/pki/ca.pem", words=["--timeout", "5", "worker", "list"])

    def ports(self):
        self.ends(1, "cannot be served at 0.0.0.0:9464: the port is taken", "coordinator", *WRITABLE,
                  *self.volume("tls-coordinator", "/tls"))
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen()
            done = subprocess.run(
                [self._engine.name, "run", "--rm", "--publish", f"127.0.0.1:{one.getsockname()[1]}:7070",
                 self._services["coordinator"]["image"], "--version"], capture_output=True, text=True, timeout=END_SECONDS)
        assert done.returncode != 0 and "address already in use" in done.stderr, done

    def disks(self):
        tls = self.volume("tls-coordinator", "/tls")
        self.ends(1, "cannot be made: Read-only file system", "coordinator", *tls, network="none")
        self.ends(1, "database or disk is full", "coordinator", *tls, *FULL, network="none")
        self.ends(2, "Read-only file system", "worker-1", "--tmpfs", "/models", *self.volume("tls-worker-1", "/tls"))

    def check(self):
        self.certificates()
        self.ports()
        self.disks()

"""Docker, or podman with its API served: Docker's own Compose speaks to either.

Podman needs root, and buildah and runc beside it (Debian: apt-get install podman buildah runc netavark aardvark-dns
debootstrap). Where no `docker compose` is there, Compose is built from its Go module, pinned by hash (Go 1.24).
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).parents[2]
CACHE = pathlib.Path(os.environ.get("JENNER_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "jenner")
COMPOSE_VERSION = "v2.40.3"
COMPOSE_HASH = "h1:XeYkQu1svDtyfZPv5nTwFryQ25ZJMkIlc4pz9HalMPI="  # go.sum's
HEALTH_SECONDS = 2
# As in Debian's own images. That of security has a newer Rust, too, which the build needs.
SOURCES = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
SITE_CERTIFICATES = pathlib.Path("/usr/local/share/ca-certificates")


def run(*command, **more):
    print("+", " ".join(map(str, command)), file=sys.stderr, flush=True)
    return subprocess.run([*map(str, command)], **{"check": True, "text": True, **more})


def output(*command, **more):
    return run(*command, stdout=subprocess.PIPE, **more).stdout


def works(*command):
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


def wait_for(what, seconds, condition):
    """What `condition` answers once it is true."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.5)  # tidy: allow, polling
    return answer


def built_compose():
    program = CACHE / f"docker-compose-{COMPOSE_VERSION}" / "docker-compose"
    if not program.exists():
        known = json.loads(output("go", "mod", "download", "-json", f"github.com/docker/compose/v2@{COMPOSE_VERSION}"))
        assert known["Sum"] == COMPOSE_HASH, known
        # What it is made of is pinned by its own go.sum.
        run("go", "build", "-C", known["Dir"], "-trimpath", "-o", program.with_suffix(".part"), "./cmd")
        program.with_suffix(".part").rename(program)
    return program


class Engine:
    """A context: on its end podman's API is gone again."""

    def __init__(self, scratch):
        self.is_docker = works("docker", "info")
        self.name = "docker" if self.is_docker else "podman"
        if not shutil.which(self.name):
            sys.exit("images: neither Docker nor podman is there")
        self.compose = ["docker", "compose"] if works("docker", "compose", "version") else [built_compose()]
        self._scratch = scratch
        self._watched = []
        self._ended = threading.Event()

    def __enter__(self):
        if not self.is_docker:
            config = self._scratch / "containers.conf"
            # In a container or a small virtual machine crun and systemd often do not work.
            config.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
                              '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
                              "compat_api_enforce_docker_hub = false\n")
            socket = self._scratch / "podman.sock"
            # Health checks are systemd's timers with podman; _check_health stands in for them.
            os.environ.update(CONTAINERS_CONF=str(config), DOCKER_HOST=f"unix://{socket}", DISABLE_HC_SYSTEMD="true")
            self._log = (self._scratch / "podman.log").open("w")
            self._service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"],
                                             stdout=self._log, stderr=self._log)
            wait_for("podman's API", 30, socket.exists)
            self._checker = threading.Thread(target=self._check_health, daemon=True)
            self._checker.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        if not self.is_docker:
            self._checker.join()
            self._service.terminate()
            self._service.wait()
            self._log.close()

    def _check_health(self):
        while not self._ended.wait(HEALTH_SECONDS):
            for container in self._watched:
                subprocess.run(["podman", "healthcheck", "run", container], capture_output=True)

    def watch_health(self, *containers):
        """Docker does that by itself."""
        self._watched = list(containers)

    def __call__(self, *arguments, **more):
        return run(self.name, *arguments, **more)

    def output(self, *arguments):
        return output(self.name, *arguments)

    def inspect(self, kind, name):
        return json.loads(self.output(kind, "inspect", name))[0]

    def build(self, image, *arguments):
        if self.is_docker:
            run("docker", "build", "-t", image, *arguments)
        else:
            # HEALTHCHECK is in Docker's format only.
            run("buildah", "bud", "--format", "docker", "--layers", "--isolation", "chroot", "--network", "host",
                "-t", image, *arguments)

    def make_base(self, image):
        """A Debian 12 with this machine's own certificate authorities, if it has any. Once: layers are made upon it."""
        if works(self.name, "image", "inspect", image):
            return
        root, archive = self._scratch / "base", self._scratch / "base.tar"
        run("debootstrap", "--variant=minbase", "bookworm", root, stdout=subprocess.DEVNULL)
        (root / "etc/apt/sources.list").unlink()
        (root / "etc/apt/sources.list.d/debian.sources").write_text(SOURCES)
        changes = []
        if SITE_CERTIFICATES.is_dir() and any(SITE_CERTIFICATES.iterdir()):
            shutil.copytree(SITE_CERTIFICATES, root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
            changes = ["--change", "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"]
        run("tar", "-C", root, "-cf", archive, ".")
        shutil.rmtree(root)
        self("import", *changes, archive, image)
        archive.unlink()

    def left(self):
        """Containers, volumes, networks and mounts of containers that are there."""
        found = {f"{kind} {name}" for kind in ("container", "volume", "network")
                 for name in self.output(kind, "ls", *(["-a"] if kind == "container" else []), "-q").split()}
        mounts = pathlib.Path("/proc/mounts").read_text().splitlines()
        return found | {f"mount {line.split()[1]}" for line in mounts if "/containers/storage" in line}

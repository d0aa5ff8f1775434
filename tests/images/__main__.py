"""Builds the images and runs the services of docker-compose.yml once, without a Compose engine.

    python3 tests/images [--base debootstrap] [--no-build] [--keep]

Engine: docker, else podman with buildah (Debian: apt-get install buildah podman debootstrap; run as root). With
--base debootstrap the base image is made here: for machines that reach Debian's packages and no image registry.
What is checked: each image is built, runs as user 10001 on a read-only root, and has its labels; certificates and
token are made; the coordinator answers over TLS; both workers come; an experiment (experiment-smoke.yaml) succeeds.
Needs PyYAML and the model (tools/setup), 20 GB of disk, and the time of a build from nothing. Not part of ctest.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
CACHE = pathlib.Path(os.environ.get("JENNER_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "jenner")
sys.path.append(str(CACHE / "deploy-tests-1"))
import yaml  # noqa: E402

VERSION = re.search(r"project\(jenner VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
LOCAL_BASE = "localhost/jenner-debian:12"
PREFIX = "jenner-images-test"
START_SECONDS = 120
SITE_CERTIFICATES = pathlib.Path("/usr/local/share/ca-certificates")


def run(*command, **more):
    print("+", " ".join(map(str, command)), file=sys.stderr, flush=True)
    return subprocess.run([*map(str, command)], check=True, text=True, **more)


class Engine:
    def __init__(self, scratch):
        self.is_docker = shutil.which("docker") is not None
        self.name = "docker" if self.is_docker else "podman"
        if not shutil.which(self.name):
            sys.exit("images: neither docker nor podman is there")
        if not self.is_docker:
            # Inside a container or a small virtual machine crun and cgroups often do not work.
            config = scratch / "containers.conf"
            config.write_text('[containers]\ncgroups = "disabled"\ndefault_ulimits = '
                              '["nofile=1024:1024", "nproc=1000:1000"]\n'
                              '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
            os.environ["CONTAINERS_CONF"] = str(config)

    def __call__(self, *arguments, **more):
        return run(self.name, *arguments, **more)

    def output(self, *arguments):
        return self(*arguments, stdout=subprocess.PIPE).stdout

    def build(self, target, base, revision):
        arguments = ["--target", target, "-t", f"jenner-{target}:{VERSION}", "--build-arg", f"REVISION={revision}"]
        if base:
            arguments += ["--build-arg", f"BASE={base}"]
        if self.is_docker:
            run("docker", "build", *arguments, ROOT)
        else:
            # HEALTHCHECK is in Docker's format only.
            run("buildah", "bud", "--format", "docker", "--layers", "--isolation", "chroot", "--network", "host",
                *arguments, ROOT)


def make_base(engine, scratch):
    """A Debian 12 with this machine's own certificate authorities, if it has any."""
    root = scratch / "base"
    run("debootstrap", "--variant=minbase", "bookworm", root, stdout=subprocess.DEVNULL)
    changes = []
    if SITE_CERTIFICATES.is_dir() and any(SITE_CERTIFICATES.iterdir()):
        shutil.copytree(SITE_CERTIFICATES, root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
        changes = ["--change", "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"]
    run("tar", "-C", root, "-cf", scratch / "base.tar", ".")
    shutil.rmtree(root)
    engine("import", *changes, scratch / "base.tar", LOCAL_BASE)
    (scratch / "base.tar").unlink()


def interpolate(text):
    """${NAME:-default} and $$ as Compose has them."""
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: os.environ.get(m[1]) or m[2], text)
    return text.replace("$$", "$")


def arguments_of(name, service):
    found = ["--network", "none" if service.get("network_mode") == "none" else PREFIX]
    if "network_mode" not in service:
        found += ["--network-alias", name]
    found += ["--read-only"] if service.get("read_only") else []
    for flag, key in [("--tmpfs", "tmpfs"), ("--cap-drop", "cap_drop"), ("--cap-add", "cap_add"),
                      ("--security-opt", "security_opt")]:
        for value in service.get(key, []):
            # podman has no ":true".
            found += [flag, value.removesuffix(":true")]
    for key, value in service.get("environment", {}).items():
        found += ["--env", f"{key}={value}"]
    for volume in service["volumes"]:
        source, target, *mode = interpolate(volume).split(":")
        if source[0] in "./~":
            source = (ROOT / pathlib.Path(source).expanduser()).resolve()
        else:
            source = f"{PREFIX}-{source}"
        found += ["--volume", ":".join([str(source), target, *mode])]
    for flag, key in [("--user", "user"), ("--workdir", "working_dir")]:
        found += [flag, service[key]] if key in service else []
    return found


def start(engine, name, service, *command, flags):
    entrypoint = [interpolate(word) for word in service.get("entrypoint", [])]
    first = ["--entrypoint", entrypoint[0]] if entrypoint else []
    return engine("run", *flags, *arguments_of(name, service), *first, interpolate(service["image"]),
                  *entrypoint[1:], *(command or service.get("command", [])), stdout=subprocess.PIPE).stdout


def wait_for(what, condition):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"images: {what}: not within {START_SECONDS} s")
        time.sleep(1)  # tidy: allow, polling


def check_images(engine):
    for target in ("server", "worker", "cli"):
        known = json.loads(engine.output("image", "inspect", f"jenner-{target}:{VERSION}"))[0]
        config = known["Config"]
        assert config["User"] == "10001:10001", config
        assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0", config
        assert target != "server" or config.get("Healthcheck") or known.get("Healthcheck"), "no HEALTHCHECK"
        print(f"image jenner-{target}: {known['Size'] / 1e6:.0f} MB")


def smoke(engine, services):
    def cli(*command):
        return start(engine, "cli", services["cli"], *command, flags=["--rm"])

    def is_ready():
        return subprocess.run([engine.name, "exec", f"{PREFIX}-coordinator", "jenner-ready"]).returncode == 0

    engine("network", "create", PREFIX)
    start(engine, "pki", services["pki"], flags=["--rm"])
    for name in ("coordinator", "worker-1", "worker-2"):
        start(engine, name, services[name], flags=["--detach", "--name", f"{PREFIX}-{name}"])
        if name == "coordinator":
            wait_for("the coordinator answers", is_ready)
        assert engine.output("exec", f"{PREFIX}-{name}", "id", "-u").strip() == "10001"
        engine("exec", f"{PREFIX}-{name}", "grep", "-E", r"^\S+ / \S+ ro[, ]", "/proc/mounts")  # read-only
    wait_for("two workers", lambda: cli("-o", "jsonl", "worker", "list").count('"LIVENESS_ALIVE"') == 2)
    print(cli("worker", "list"))
    print(cli("experiment", "create", "-f", "examples/spanish-capitals/experiment-smoke.yaml", "--wait"))


def clean_up(engine):
    for name in ("worker-1", "worker-2", "coordinator"):
        for verb in (["logs", "--tail", "20"], ["rm", "--force"]):
            subprocess.run([engine.name, *verb, f"{PREFIX}-{name}"])
    listed = subprocess.run([engine.name, "volume", "ls", "-q"], capture_output=True, text=True).stdout.split()
    for volume in listed:
        if volume.startswith(f"{PREFIX}-"):
            subprocess.run([engine.name, "volume", "rm", volume])
    subprocess.run([engine.name, "network", "rm", PREFIX])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="image of Debian 12, or debootstrap (default: that of the Dockerfile)")
    parser.add_argument("--no-build", action="store_true", help="the images are there")
    parser.add_argument("--keep", action="store_true", help="leave the containers running")
    options = parser.parse_args()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    with tempfile.TemporaryDirectory() as scratch:
        engine = Engine(pathlib.Path(scratch))
        if not options.no_build:
            base = options.base
            if base == "debootstrap":
                make_base(engine, pathlib.Path(scratch))
                base = LOCAL_BASE
            revision = run("git", "-C", ROOT, "rev-parse", "HEAD", stdout=subprocess.PIPE).stdout.strip()
            for target in ("server", "worker", "cli"):
                engine.build(target, base, revision)
        check_images(engine)
        try:
            smoke(engine, services)
        finally:
            if not options.keep:
                clean_up(engine)
    print("images: passed")


main()

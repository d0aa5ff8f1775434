"""What images hold, and what they and the services weigh: the figures of docs/deploy.md."""

import json
import os
import pathlib
import re
import subprocess
import time

from engine import ROOT, output

WORKER = ("jenner-worker", "jenner-trainer", "jenner-export")
CUDA = "worker-cuda"
PROGRAMS = {"server": ("jenner-server",), "worker": WORKER, "cli": ("jenner",), "bridge": ("jenner-bridge",),
            CUDA: WORKER}
REST_SECONDS = 5
NO_DEVICE = 18  # exit status of jenner-trainer
# Of NVIDIA's driver, which the container toolkit mounts; and of networks, for plugins that NVSHMEM and cuFile open if
# they are there.
OUTSIDE = r"lib(cuda|nvidia-ml)\.so\.1|lib(mlx5|ibverbs|rdmacm|fabric|pmix|ucp|ucs|mpi|oshmem|lustreapi|gdrapi)\b.*"


def check_images(engine, version, targets):
    """{target: megabytes}. Each runs as nobody in particular and says what it is."""
    sizes = {}
    for target in targets:
        known = engine.inspect("image", f"jenner-{target}:{version}")
        config = known["Config"]
        assert config["User"] == "10001:10001", config
        assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0", config
        assert target != "server" or config.get("Healthcheck") or known.get("Healthcheck"), "no HEALTHCHECK"
        sizes[target] = round(known["Size"] / 1e6)
        for name in PROGRAMS[target]:
            # All libraries are there.
            run_in(engine, f"jenner-{target}:{version}", name, "--help")
    if CUDA in targets:
        check_cuda(engine, f"jenner-{CUDA}:{version}")
    return sizes


def run_in(engine, image, program, *arguments, **more):
    return engine("run", "--rm", "--read-only", "--network", "none", "--entrypoint", program, image, *arguments,
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


def check_cuda(engine, image):
    """All that can be known of it without a GPU: libraries find what they need but for the driver's, and the trainer gets as far
    as asking for a driver."""
    libraries = run_in(engine, image, "find", "/usr/local", "-name", "*.so*", "-type", "f").stdout.split()
    # NVIDIA's find some of each other only because torch's, which find all of them, were loaded before.
    of_nvidia = {path for path in libraries if "/nvidia/" in path}
    there = {path.rsplit("/", 1)[1] for path in of_nvidia}
    missing = missing_of(engine, image, set(libraries) - of_nvidia)
    assert "libcuda.so.1" in missing, missing  # so the pattern is what ldd says
    missing |= missing_of(engine, image, of_nvidia) - there
    unknown = sorted(name for name in missing if not re.fullmatch(OUTSIDE, name))
    assert not unknown, unknown
    ended = run_in(engine, image, "jenner-trainer", "--device", "cuda:0", "--spec", "none", "--models-dir", "none",
                   "--out", "none", check=False)
    assert ended.returncode == NO_DEVICE and "driver" in ended.stdout, ended


def missing_of(engine, image, libraries):
    said = run_in(engine, image, "ldd", *sorted(libraries)).stdout
    return set(re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE))


def check_hardening(stack, service):
    known = stack.inspect(service)
    assert stack.engine.output("exec", stack.container(service), "id", "-u").strip() == "10001"
    root, = [line for line in stack.engine.output("exec", stack.container(service), "cat", "/proc/mounts").splitlines()
             if line.split()[1] == "/"]
    assert root.split()[3].split(",")[0] == "ro", root
    limits = stack.config()["services"][service]["deploy"]["resources"]["limits"]
    assert known["HostConfig"]["Memory"] == int(limits["memory"]), known["HostConfig"]
    assert known["HostConfig"]["NanoCpus"] == float(limits["cpus"]) * 1e9, known["HostConfig"]


def memory_at_rest(stack, services):
    """{service: bytes}: what the service's one process has for itself (PSS)."""
    time.sleep(REST_SECONDS)  # tidy: allow, rest is what is measured
    found = {}
    for service in services:
        pid = stack.inspect(service)["State"]["Pid"]
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        found[service] = 1024 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return found


def write_boms(engine, version, targets, folder):
    """NAME.cdx.json of each image. What it names must be what there is, so far as one can count it."""
    environment = output(ROOT / "tools/python-env", "sbom").strip()
    for target in targets:
        image = f"jenner-{target}:{version}"
        text = output(f"{environment}/venv/bin/python", ROOT / "deploy/docker/sbom", image,
                      env={**os.environ, "JENNER_ENGINE": engine.name})
        names = {one["purl"].split("@")[0].split("?")[0] for one in json.loads(text)["components"]}
        assert "pkg:deb/debian/libc6" in names, names
        assert ("pkg:pypi/torch" in names) == (target in ("worker", CUDA)), names
        assert ("pkg:pypi/nvidia-cublas" in names) == (target == CUDA), names
        assert ("pkg:cargo/tokenizers" in names) == (target in ("worker", CUDA, "cli")), names
        assert ("pkg:pypi/grpcio" in names) == (target == "bridge"), names
        (folder / f"jenner-{target}.cdx.json").write_text(text)


def report(path, figures):
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(path.read_text())

"""What images hold, and what they and the services weigh: the figures of docs/deploy.md."""

import json
import os
import pathlib
import time

from engine import ROOT, output

TARGETS = ("server", "worker", "cli", "bridge")
REST_SECONDS = 5


def check_images(engine, version):
    """{target: megabytes}. Each runs as nobody in particular and says what it is."""
    sizes = {}
    for target in TARGETS:
        known = engine.inspect("image", f"jenner-{target}:{version}")
        config = known["Config"]
        assert config["User"] == "10001:10001", config
        assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0", config
        assert target != "server" or config.get("Healthcheck") or known.get("Healthcheck"), "no HEALTHCHECK"
        sizes[target] = round(known["Size"] / 1e6)
    programs = {"server": ["jenner-server"], "worker": ["jenner-worker", "jenner-trainer", "jenner-export"], "cli": ["jenner"],
                "bridge": ["jenner-bridge"]}
    for target, names in programs.items():
        for name in names:
            # All libraries are there.
            engine.output("run", "--rm", "--read-only", "--network", "none", "--entrypoint", name,
                          f"jenner-{target}:{version}", "--help")
    return sizes


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


def write_boms(engine, version, folder):
    """NAME.cdx.json of each image. What it names must be what there is, so far as one can count it."""
    environment = output(ROOT / "tools/python-env", "sbom").strip()
    for target in TARGETS:
        image = f"jenner-{target}:{version}"
        text = output(f"{environment}/venv/bin/python", ROOT / "deploy/docker/sbom", image,
                      env={**os.environ, "JENNER_ENGINE": engine.name})
        names = {one["purl"].split("@")[0].split("?")[0] for one in json.loads(text)["components"]}
        assert "pkg:deb/debian/libc6" in names, names
        assert ("pkg:pypi/torch" in names) == (target == "worker"), names
        assert ("pkg:cargo/tokenizers" in names) == (target in ("worker", "cli")), names
        assert ("pkg:pypi/grpcio" in names) == (target == "bridge"), names
        (folder / f"jenner-{target}.cdx.json").write_text(text)


def report(path, figures):
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(path.read_text())

"""Packs the Debian packages, installs them in a Debian 12 of their own and runs them there as services.

    python3 tests/packages [--build build/release] [--packages DIR] [--keep]

Needs root, debootstrap, systemd-container (systemd-nspawn), Debian's archive, the model (tools/setup), a build of target
`shipped`, 5 GB of disk in TMPDIR. --packages: those are there. What is checked: each package installs with the
dependencies that it names and no more; programs load nothing that is missing; the services run under systemd as docs/release.md
says, with TLS, tokens and no rights, and an experiment (experiment-smoke.yaml) succeeds; an upgrade restarts them and keeps settings;
a purge leaves nothing but data; without a network all installs from files that were carried. Not part of ctest.
"""

import argparse
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
VERSION = re.search(r"project\(jenner VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
PROGRAMS = {"jenner": ["jenner"], "jenner-server": ["jenner-server"],
            "jenner-worker": ["jenner-worker", "jenner-trainer", "jenner-export"]}
SITE_CERTIFICATES = pathlib.Path("/usr/local/share/ca-certificates")
START_SECONDS = 90


def run(*command, **more):
    print("+", " ".join(map(str, command)), file=sys.stderr, flush=True)
    return subprocess.run([*map(str, command)], check=True, text=True, **more)


class Debian:
    """A Debian 12 below `root`, with this machine's proxy, certificate authorities and names of hosts."""

    def __init__(self, root):
        self.root = root
        run("debootstrap", "--variant=minbase", "--include=ca-certificates,dbus,systemd,systemd-sysv", "bookworm", root, stdout=subprocess.DEVNULL)
        if SITE_CERTIFICATES.is_dir() and any(SITE_CERTIFICATES.iterdir()):
            shutil.copytree(SITE_CERTIFICATES, root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
            self("update-ca-certificates", stdout=subprocess.DEVNULL)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        run("mount", "-t", "proc", "none", root / "proc")
        run("mount", "--bind", "/dev", root / "dev")

    def command(self, *words):
        return ["chroot", str(self.root), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *map(str, words)]

    def __call__(self, *words, **more):
        return run(*self.command(*words), **more)

    def output(self, *words):
        return self(*words, stdout=subprocess.PIPE).stdout

    def close(self):
        mounted = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        for place in reversed([place for place in mounted if place.startswith(f"{self.root}/")]):
            run("umount", place)


def install(debian, packages):
    debian("apt-get", "update", "-qq")
    (debian.root / "packages").mkdir()
    for name in PROGRAMS:
        (package,) = packages.glob(f"{name}_{VERSION}_*.deb")
        shutil.copy(package, debian.root / "packages")
    # As docs/release.md carries them to where there is no network; see without_network().
    (debian.root / "carry/partial").mkdir(parents=True)
    debian("sh", "-c", "apt-get install -qq -y --no-install-recommends --download-only -o Dir::Cache::archives=/carry/ /packages/*.deb",
           stdout=subprocess.DEVNULL)
    for name, programs in PROGRAMS.items():
        (package,) = (debian.root / "packages").glob(f"{name}_*.deb")
        debian("apt-get", "install", "-y", "-qq", "--no-install-recommends", f"/packages/{package.name}", stdout=subprocess.DEVNULL)
        for program in programs:
            assert debian.output(program, "--version").strip() == f"{program} {VERSION}"
            loaded = debian.output("ldd", f"/usr/bin/{program}")
            assert "not found" not in loaded, loaded
            for path in re.findall(r"=> (/\S+)", loaded):
                assert os.path.normpath(path).startswith(("/lib/", "/usr/lib/")), path
        for path in ("copyright", "LICENSE", "third-party.txt"):
            assert (debian.root / "usr/share/doc" / name / path).is_file(), path
        depends = debian.output("dpkg-query", "-W", "-f", "${Depends}", name)
        # Each library that is loaded is of the package or of one that it names; libc's own go without saying.
        assert "libc6 (>=" in depends and ("libgrpc" in depends), depends
        assert not (debian.root / "usr/lib/jenner").exists() or name == "jenner-worker"
        print(f"{name}: {package.stat().st_size / 1e6:.0f} MB, depends on {depends}")
    assert debian.output("dpkg", "--audit") == ""
    assert debian.output("dpkg", "-V", *PROGRAMS) == ""


class Booted:
    """That Debian with systemd as its first process, in a network of its own: systemd-nspawn."""

    def __init__(self, debian):
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--boot", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--private-network",
             f"--bind-ro={CACHE / 'models'}:/srv/jenner/models", "-D", debian.root], stdin=subprocess.DEVNULL)

    def __enter__(self):
        wait_for("systemd runs", lambda: self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"))
        return self

    def __exit__(self, *_):
        self.run("systemctl", "poweroff")
        try:
            self.nspawn.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            raise

    def run(self, *words):
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        leader = children[0] if children else "0"
        enter = ["nsenter", "-t", leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--", "env", "-i", "LC_ALL=C.UTF-8", "HOME=/root",
                 "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "JENNER_SERVER=127.0.0.1:7070", "JENNER_CA=/root/pki/ca.pem",
                 "JENNER_TOKEN_FILE=/root/token"]
        return subprocess.run([*enter, *map(str, words)], capture_output=True, text=True, check=False)

    def __call__(self, *words):
        print("#", " ".join(map(str, words)), file=sys.stderr, flush=True)
        done = self.run(*words)
        if done.returncode != 0:
            sys.exit(f"packages: exit code {done.returncode}: {done.stdout}{done.stderr}{self.run('journalctl', '-n', '50').stdout}")
        return done.stdout.strip()


def wait_for(what, condition):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"packages: {what}: not within {START_SECONDS} s")
        time.sleep(0.2)  # tidy: allow, polling


def options(service, *flags):
    """The text of a service's settings; @ stands for the folder of its certificates."""
    folder = f"/run/credentials/jenner-{service}.service/tls_"
    return f"JENNER_{service.upper()}_OPTIONS=\"{' '.join(flags)}\"\n".replace("@", folder)


def services(system, etc):
    """As docs/release.md says, with TLS and tokens."""
    for service in ("server", "worker"):
        assert system.run("systemctl", "is-enabled", f"jenner-{service}").stdout.strip() == "disabled"
        assert system.run("systemctl", "is-active", f"jenner-{service}").stdout.strip() == "inactive"
    system("jenner-server", "certs", "init", "--dir", "/root/pki", "--host", "head")
    system("jenner-server", "certs", "worker", "--dir", "/root/pki", "--name", "w1")
    system("sh", "-c", "cd /root/pki && cp ca.pem server.* /etc/jenner/server-tls && cp ca.pem worker-w1.* /etc/jenner/worker-tls")
    (etc / "server.conf").write_text(options("server", "--listen=0.0.0.0:7070", "--tls-cert=@server.pem", "--tls-key=@server.key",
                                             "--tls-client-ca=@ca.pem"))
    (etc / "worker.conf").write_text(options("worker", "--server=127.0.0.1:7070", "--name=w1", "--models-dir=/srv/jenner/models",
                                             "--ca=@ca.pem", "--cert=@worker-w1.pem", "--key=@worker-w1.key"))
    system("systemctl", "enable", "--now", "jenner-server", "jenner-worker")
    system("sh", "-c", "systemd-run --pipe --wait --quiet -p DynamicUser=yes -p User=jenner-server -p StateDirectory=jenner-server "
           "-p StateDirectoryMode=0700 jenner-server tokens add --data-dir /var/lib/jenner-server --name alice --role admin >/root/token")
    wait_for("the worker comes", lambda: '"LIVENESS_ALIVE"' in system.run("jenner", "-o", "jsonl", "worker", "list").stdout)
    for service in ("server", "worker"):
        status = system("cat", f"/proc/{main_process(system, service)}/status")
        assert "\nUid:\t0" not in status and "\nNoNewPrivs:\t1" in status and "\nCapEff:\t0000000000000000" in status, status
        assert system("stat", "-c", "%a", f"/var/lib/private/jenner-{service}") == "700"
    print(system("jenner", "experiment", "create", "--wait", "-f",
                 "/usr/share/doc/jenner/examples/spanish-capitals/experiment-smoke.yaml"))


def main_process(system, service):
    return system("systemctl", "show", "--property=MainPID", "--value", f"jenner-{service}")


def upgrade_and_purge(system, root):
    settings = root / "etc/jenner/server.conf"
    changed, before = settings.read_text(), main_process(system, "server")
    system("sh", "-c", "dpkg -i /packages/*.deb")
    assert settings.read_text() == changed
    assert main_process(system, "server") not in ("0", before), "not restarted"
    system("dpkg", "-r", "jenner-server")
    assert system.run("systemctl", "is-active", "jenner-server").stdout.strip() == "inactive"
    assert settings.read_text() == changed
    system("dpkg", "--purge", *PROGRAMS)
    assert not settings.exists() and not list((root / "usr").rglob("*jenner*")), "left behind"
    assert not list((root / "etc/systemd").rglob("*jenner*")), "left behind"
    assert (root / "var/lib/private/jenner-server/events.db").exists(), "data went with the package"


def without_network(system):
    """Removes what the packages brought, then installs all of it from files."""
    system("apt-get", "autoremove", "-y", "--purge")
    assert system.run("dpkg-query", "-W", "libgrpc++1.51").returncode != 0, "still there"
    system("sh", "-c", "apt-get install -y --no-install-recommends /carry/*.deb /packages/*.deb")
    assert system("jenner-trainer", "--version") == f"jenner-trainer {VERSION}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--packages", type=pathlib.Path, help="folder of the packages (default: made of --build)")
    parser.add_argument("--keep", action="store_true", help="leave that Debian where it is")
    given = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="jenner-packages-"))
    packages = given.packages or scratch / "packages"
    if not given.packages:
        run("cpack", "--config", given.build / "CPackConfig.cmake", "-G", "DEB", "-B", packages)
        shutil.rmtree(packages / "_CPack_Packages", ignore_errors=True)
    debian = None
    try:
        debian = Debian(scratch / "debian")
        install(debian, packages)
        debian.close()
        with Booted(debian) as system:
            services(system, debian.root / "etc/jenner")
            upgrade_and_purge(system, debian.root)
            without_network(system)
    finally:
        if debian:
            debian.close()
        if given.keep:
            print(f"packages: {scratch}")
        else:
            # Never into what is mounted there.
            assert str(scratch) not in pathlib.Path("/proc/mounts").read_text(), "still mounted"
            shutil.rmtree(scratch)
    print("packages: passed")


main()

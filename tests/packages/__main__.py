"""Packs the Debian packages, installs them in a Debian 12 of their own and runs an experiment there.

    python3 tests/packages [--build build/release] [--packages DIR] [--keep]

Needs root, debootstrap, Debian's archive, the model (tools/setup), a build of target `shipped`, 5 GB of disk in TMPDIR.
--packages: those are there. What is checked: each package installs with the dependencies that it names and no more;
programs run and load nothing that is missing; coordinator and worker, as a user without rights, run experiment-smoke.yaml
of the installed examples; settings that were changed survive an upgrade and go with a purge. Not checked, for no systemd
runs there: the units. Not part of ctest.
"""

import argparse
import contextlib
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
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
START_SECONDS = 60


def run(*command, **more):
    print("+", " ".join(map(str, command)), file=sys.stderr, flush=True)
    return subprocess.run([*map(str, command)], check=True, text=True, **more)


class Debian:
    """A Debian 12 below `root`, with this machine's proxy, certificate authorities and names of hosts."""

    def __init__(self, root):
        self.root = root
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root, stdout=subprocess.DEVNULL)
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
    for name, programs in PROGRAMS.items():
        (package,) = packages.glob(f"{name}_{VERSION}_*.deb")
        shutil.copy(package, debian.root / "packages")
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


@contextlib.contextmanager
def process(debian, *words):
    child = subprocess.Popen(debian.command(*NOBODY, *words), text=True)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(timeout=60)


def wait_for(what, condition):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"packages: {what}: not within {START_SECONDS} s")
        time.sleep(0.2)  # tidy: allow, polling


def experiment(debian):
    (debian.root / "srv/models").mkdir()
    run("mount", "--bind", "-o", "ro", CACHE / "models", debian.root / "srv/models")
    home = debian.root / "srv/home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    with process(debian, "jenner-server", "--data-dir=/srv/home/server", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0",
                 "--port-file=/srv/home/port") as coordinator:
        wait_for("the coordinator listens", lambda: (home / "port").exists() or coordinator.poll() is not None)
        assert coordinator.poll() is None, "the coordinator ended"
        server = f"127.0.0.1:{(home / 'port').read_text().strip()}"
        with process(debian, "jenner-worker", f"--server={server}", "--name=w1", "--models-dir=/srv/models",
                     "--work-dir=/srv/home/worker"):
            print(debian.output("jenner", "--server", server, "experiment", "create", "--wait", "-f",
                                "/usr/share/doc/jenner/examples/spanish-capitals/experiment-smoke.yaml"))


def settings(debian):
    path = debian.root / "etc/jenner/server.conf"
    changed = path.read_text() + "# changed here\n"
    path.write_text(changed)
    (package,) = (debian.root / "packages").glob("jenner-server_*.deb")
    debian("dpkg", "-i", f"/packages/{package.name}", stdout=subprocess.DEVNULL)
    assert path.read_text() == changed
    debian("dpkg", "-r", "jenner-server", stdout=subprocess.DEVNULL)
    assert path.read_text() == changed
    debian("dpkg", "--purge", "jenner-server", stdout=subprocess.DEVNULL)
    assert not path.exists()
    debian("dpkg", "--purge", "jenner-worker", "jenner", stdout=subprocess.DEVNULL)
    assert not list((debian.root / "usr").rglob("*jenner*")), "left behind"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--packages", type=pathlib.Path, help="folder of the packages (default: made of --build)")
    parser.add_argument("--keep", action="store_true", help="leave that Debian where it is")
    options = parser.parse_args()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="jenner-packages-"))
    packages = options.packages or scratch / "packages"
    if not options.packages:
        run("cpack", "--config", options.build / "CPackConfig.cmake", "-G", "DEB", "-B", packages)
        shutil.rmtree(packages / "_CPack_Packages", ignore_errors=True)
    debian = None
    try:
        debian = Debian(scratch / "debian")
        install(debian, packages)
        experiment(debian)
        settings(debian)
    finally:
        if debian:
            debian.close()
        if options.keep:
            print(f"packages: {scratch}")
        else:
            # Never into what is mounted there.
            assert str(scratch) not in pathlib.Path("/proc/mounts").read_text(), "still mounted"
            shutil.rmtree(scratch)
    print("packages: passed")


main()

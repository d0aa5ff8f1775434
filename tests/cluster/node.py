"""A node for the cluster: containerd, kubelet, scheduler, proxy and DNS, all in namespaces of this process, so that what they set
up (interfaces, rules, mounts) ends with it; cgroups are below one of its own."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import chart
from cluster import wait_for

INSIDE = "JENNER_CLUSTER_NAMESPACES"
PACKAGES = {"runc": "/usr/sbin/runc", "iptables": "/usr/sbin/iptables", "containernetworking-plugins": "/usr/lib/cni/ptp",
            "podman": "/usr/bin/podman"}
ADDRESS = "10.77.1.1"
PODS = "10.88.0.0/24"
NAME = "node"
PAUSE = "localhost/jenner-pause:1"
KUEUE = "localhost/kueue:test"
IMAGES = [f"localhost/jenner-{name}:{chart.version()}" for name in ("server", "worker", "bridge")]
# The kubelet sets these for the whole machine; here it sets files that lie over them.
SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
           "kernel/keys/root_maxbytes")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
CGROUP = "jenner-test-node"  # below it are those of the pods
CONTAINERD = """\
version = 3
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{folder}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
SystemdCgroup = false
"""
COREFILE = """\
.:53 {{
  bind {address}
  errors
  kubernetes cluster.local {{
    kubeconfig {kubeconfig}
  }}
}}
"""


def check(model):
    """Ends the program if something is missing."""
    if os.geteuid() != 0:
        sys.exit("cluster: pods need root")
    for package, path in PACKAGES.items():
        if not pathlib.Path(path).exists():
            sys.exit(f"cluster: {path} is missing: apt-get install {package}")
    for image in IMAGES:
        if subprocess.run(["podman", "image", "inspect", image], capture_output=True).returncode:
            sys.exit(f"cluster: podman has no image {image}: python3 tests/images --only-build")
    if not model.exists():
        sys.exit(f"cluster: {model} is missing: tools/models/fetch")
    if any((hierarchy / CGROUP).exists() for hierarchy in _hierarchies()):
        sys.exit(f"cluster: there is a cgroup {CGROUP}: such a test runs, or was killed")


def run_inside(folder, programs):
    """This command once more, in namespaces of its own: its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        _save_images(folder / "images", programs)
        for hierarchy in _hierarchies():
            (hierarchy / CGROUP).mkdir()
        return subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable,
                               *sys.orig_argv[1:]], env=os.environ | {INSIDE: str(folder)}).returncode
    finally:
        for hierarchy in _hierarchies():
            _remove_cgroups(hierarchy / CGROUP)
        subprocess.run(["podman", "image", "rm", "--force", PAUSE, KUEUE], capture_output=True)


def folder_inside():
    """What run_inside() got, where it was called."""
    return os.environ.get(INSIDE) and pathlib.Path(os.environ[INSIDE])


def _save_images(folder, programs):
    """Before the engine's own files are out of sight."""
    folder.mkdir()
    for image, text in [(PAUSE, f'FROM {IMAGES[0]}\nENTRYPOINT ["sleep", "infinity"]\n'),
                        (KUEUE, "FROM scratch\nCOPY kueue /manager\nUSER 65532:65532\n")]:
        _tool("podman", "build", "--tag", image, "--file", "-", programs.folder, input=text)
    for number, image in enumerate((PAUSE, KUEUE, *IMAGES)):
        _tool("podman", "save", "--output", folder / f"{number}.tar", image)


def _hierarchies():
    """One with version 2 of cgroups, one for each controller with version 1."""
    return [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [one for one in CGROUPS.iterdir() if one.is_dir()]


def _remove_cgroups(top):
    """Their processes were killed; it takes them a moment."""
    def are_removed():
        try:
            for folder in sorted(top.glob("**/"), reverse=True):
                folder.rmdir()
        except OSError:
            return False
        return True
    wait_for(f"{top} is empty", are_removed, 20)


def _tool(*command, **more):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **more)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def isolate(folder):
    """Interfaces; and mounts over what the programs write to that is not the node's own. Before there is a cluster."""
    for words in (["link", "set", "lo", "up"], ["link", "add", "node0", "type", "bridge"],
                  ["addr", "add", f"{ADDRESS}/24", "dev", "node0"], ["link", "set", "node0", "up"],
                  ["route", "add", "default", "dev", "node0"]):
        _tool("ip", *words)
    pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    _tool("mount", "--make-rshared", "/")
    names = pathlib.Path(os.path.realpath("/etc/resolv.conf"))
    for place in ("/run", "/var/log", "/var/lib"):
        _tool("mount", "-t", "tmpfs", "tmpfs", place)
    names.parent.mkdir(parents=True, exist_ok=True)
    names.touch()
    folder.mkdir()
    for name in SYSCTLS:
        over = folder / name.replace("/", ".")
        shutil.copy(f"/proc/sys/{name}", over)
        _tool("mount", "--bind", over, f"/proc/sys/{name}")
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {ADDRESS}\nsearch cluster.local\noptions ndots:5\n")
    _tool("mount", "--bind", resolv, names)


class Node:
    """Of a running Cluster, whose processes it adds to."""

    def __init__(self, cluster):
        self.cluster, self.folder = cluster, cluster.folder / "node"

    def start(self):
        self._start_containerd()
        self._start_kubelet()
        kubeconfig = f"--kubeconfig={self.cluster.kubeconfig}"
        self.cluster.run("kube-scheduler", kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1",
                          f"--cert-dir={self.folder}/scheduler")
        self.cluster.run("kube-proxy", kubeconfig, f"--hostname-override={NAME}", f"--cluster-cidr={PODS}",
                          "--conntrack-max-per-core=0", "--conntrack-min=0", "--oom-score-adj=0")
        corefile = self.folder / "Corefile"
        corefile.write_text(COREFILE.format(address=ADDRESS, kubeconfig=self.cluster.kubeconfig))
        self.cluster.run("coredns", "-conf", corefile)
        wait_for("the node is ready", self._is_ready)

    def _start_containerd(self):
        cni = self.folder / "cni"
        cni.mkdir()
        (cni / "pods.conflist").write_text(json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [{
            "type": "ptp", "ipam": {"type": "host-local", "dataDir": str(self.folder / "addresses"),
                                    "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}))
        config = self.folder / "containerd.toml"
        config.write_text(CONTAINERD.format(folder=self.folder, pause=PAUSE))
        # It looks for its shim there.
        os.environ["PATH"] = f"{self.cluster.programs.folder}:{os.environ['PATH']}"
        self.cluster.run("containerd", "--config", config)
        wait_for("containerd", pathlib.Path("/run/containerd/containerd.sock").exists)
        for archive in (self.cluster.folder / "images").iterdir():
            _tool(self.cluster.programs.folder / "ctr", "--namespace", "k8s.io", "images", "import", archive)
            archive.unlink()

    def _start_kubelet(self):
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock", "cgroupDriver": "cgroupfs",
            "failCgroupV1": False, "failSwapOn": False, "address": ADDRESS, "readOnlyPort": 0, "oomScoreAdj": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"}, "clusterDNS": [ADDRESS], "clusterDomain": "cluster.local",
            "podLogsDir": "/var/log/pods", "volumePluginDir": f"{self.folder}/volume-plugins", "cgroupRoot": f"/{CGROUP}", "evictionHard": {"memory.available": "100Mi"}, "resolvConf": "/etc/resolv.conf",
            "nodeStatusUpdateFrequency": "2s", "imageGCHighThresholdPercent": 100}))
        self.cluster.run("kubelet", f"--config={config}", f"--kubeconfig={self.cluster.kubeconfig}",
                          f"--hostname-override={NAME}", f"--node-ip={ADDRESS}", f"--root-dir={self.folder}/kubelet",
                          f"--cert-dir={self.folder}/kubelet/pki")

    def _is_ready(self):
        status, node, _ = self.cluster.request("GET", f"/api/v1/nodes/{NAME}")
        return status == 200 and any(one["type"] == "Ready" and one["status"] == "True"
                                     for one in node["status"].get("conditions", []))

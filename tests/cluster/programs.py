"""etcd, kube-apiserver and kube-controller-manager, built from their Go modules, and the definitions (CRDs) of others; for a
node also kubelet, containerd and what else it takes.

Everything is pinned by hash: programs/go.sum, and NODE_MODULES and CRDS below. It goes to $JENNER_CACHE/cluster-<hash of the pins>.
What the build takes besides, modules and Go's cache, is thrown away unless it has a folder of its own. Needs Go 1.26.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent / "programs"
CACHE = pathlib.Path(os.environ.get("JENNER_CACHE") or
                     pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "jenner")
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
NODE_PACKAGES = {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubelet", "kube-scheduler", "kube-proxy", "kubectl")}
# Module, hash of its content as in a go.sum, programs and where in it they are. Each is made of what its own go.sum names.
NODE_MODULES = [
    ("github.com/containerd/containerd/v2@v2.4.2", "h1:p6Qg+xbEz8lvwdhHDx0U469xENvp4LgGBx+E7djXkGw=",
     {name: f"./cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")}),
    ("sigs.k8s.io/kueue@v0.17.0", "h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I=", {"kueue": "./cmd/kueue"}),
    ("github.com/coredns/coredns@v1.15.0", "h1:OBT+OEyHVdUiVxPhrNlC5XZVq3RkSxzQXfZQ76gm5ck=", {"coredns": "."}),
]
# Module, its hash, where in it the definitions are.
CRDS = [
    ("github.com/cert-manager/cert-manager@v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
     "deploy/crds/cert-manager.io_*.yaml"),
    ("github.com/kedacore/keda/v2@v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
     "config/crd/bases/keda.sh_*.yaml"),
    ("github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
     "example/prometheus-operator-crd-full/*.yaml"),
]


class Programs:
    """`folder` / NAME for each of PACKAGES, and with `has_node` of what a node needs; `crds`, files of definitions."""

    def __init__(self, scratch=None, has_node=False):
        """`scratch`: an existing folder, for what the build takes."""
        pins = (HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes() + json.dumps(
            [PACKAGES, NODE_PACKAGES, CRDS, NODE_MODULES]).encode()
        self.folder = CACHE / f"cluster-{hashlib.sha256(pins).hexdigest()[:16]}"
        missing = [part for part in (".complete", ".node")[:1 + has_node] if not (self.folder / part).exists()]
        if missing:
            print("cluster: building the programs, which takes some minutes", file=sys.stderr, flush=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                builder = _Builder(self.folder, scratch or pathlib.Path(folder))
                for part in missing:
                    builder.make_cluster() if part == ".complete" else builder.make_node()
                    (self.folder / part).touch()
        self.crds = sorted((self.folder / "crds").glob("*.yaml"))


class _Builder:
    def __init__(self, folder, scratch):
        self.folder, self.scratch = folder, scratch
        self.environment = os.environ | {"GOMODCACHE": str(scratch / "modules"), "GOCACHE": str(scratch / "cache"),
                                         "GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}

    def make_cluster(self):
        self._build(HERE, PACKAGES)
        (self.folder / "crds").mkdir(exist_ok=True)
        for module, digest, pattern in CRDS:
            files = list(self._download(module, digest).glob(pattern))
            if not files:
                sys.exit(f"cluster: {module}: no {pattern}")
            for file in files:
                shutil.copy(file, self.folder / "crds")

    def make_node(self):
        self._build(HERE, NODE_PACKAGES)
        for module, digest, packages in NODE_MODULES:
            sources = self._download(module, digest)
            self._build(sources, packages)
            if "kueue" in packages:
                shutil.copytree(sources / "charts/kueue", self.folder / "kueue-chart", dirs_exist_ok=True)

    def _build(self, folder, packages):
        version = re.search(r"k8s\.io/kubernetes (v1\.(\d+)\.\d+)", (HERE / "go.mod").read_text())
        stamp = "k8s.io/component-base/version.git"
        flags = f"-s -w -X {stamp}Version={version[1]} -X {stamp}Major=1 -X {stamp}Minor={version[2]}"
        for name, package in packages.items():
            subprocess.run(["nice", "go", "build", "-trimpath", "-p", "2", "-ldflags", flags,
                            "-o", self.folder / name, package], cwd=folder, env=self.environment, check=True)

    def _download(self, module, digest):
        """Its folder."""
        got = subprocess.run(["go", "mod", "download", "-json", module], cwd=self.scratch, env=self.environment,
                             capture_output=True, text=True, check=True)
        known = json.loads(got.stdout)
        if known["Sum"] != digest:
            sys.exit(f"cluster: {module}: expected {digest}, found {known['Sum']}")
        return pathlib.Path(known["Dir"])

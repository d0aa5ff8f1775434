"""etcd, kube-apiserver and kube-controller-manager, built from their Go modules, and the definitions (CRDs) of others.

Everything is pinned by hash: programs/go.sum, and CRDS below. It goes to $JENNER_CACHE/cluster-<hash of the pins>.
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
# Module, hash of its content as in a go.sum, where in it the definitions are.
CRDS = [
    ("github.com/cert-manager/cert-manager@v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
     "deploy/crds/cert-manager.io_*.yaml"),
    ("github.com/kedacore/keda/v2@v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
     "config/crd/bases/keda.sh_*.yaml"),
    ("github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
     "example/prometheus-operator-crd-full/*.yaml"),
]


class Programs:
    """`folder` / NAME for each of PACKAGES; `crds`, files of definitions."""

    def __init__(self, scratch=None):
        """`scratch`: an existing folder, for what the build takes."""
        pins = (HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes() + json.dumps(CRDS).encode()
        self.folder = CACHE / f"cluster-{hashlib.sha256(pins).hexdigest()[:16]}"
        if not (self.folder / ".complete").exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                self._make(scratch or pathlib.Path(folder))
        self.crds = sorted((self.folder / "crds").glob("*.yaml"))

    def _make(self, scratch):
        print("cluster: building the programs, which takes some minutes", file=sys.stderr, flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "crds").mkdir(parents=True)
        environment = os.environ | {"GOMODCACHE": str(scratch / "modules"), "GOCACHE": str(scratch / "cache"),
                                    "GOFLAGS": "-mod=readonly -modcacherw", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        version = re.search(r"k8s\.io/kubernetes (v1\.(\d+)\.\d+)", (HERE / "go.mod").read_text())
        stamp = "k8s.io/component-base/version.git"
        flags = f"-s -w -X {stamp}Version={version[1]} -X {stamp}Major=1 -X {stamp}Minor={version[2]}"
        for name, package in PACKAGES.items():
            subprocess.run(["nice", "go", "build", "-trimpath", "-p", "2", "-ldflags", flags,
                            "-o", self.folder / name, package], cwd=HERE, env=environment, check=True)
        for module, digest, pattern in CRDS:
            got = subprocess.run(["go", "mod", "download", "-json", module], cwd=scratch, env=environment,
                                 capture_output=True, text=True, check=True)
            known = json.loads(got.stdout)
            if known["Sum"] != digest:
                sys.exit(f"cluster: {module}: expected {digest}, found {known['Sum']}")
            files = list(pathlib.Path(known["Dir"]).glob(pattern))
            if not files:
                sys.exit(f"cluster: {module}: no {pattern}")
            for file in files:
                shutil.copy(file, self.folder / "crds")
        (self.folder / ".complete").touch()

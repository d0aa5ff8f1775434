"""The chart on a real Kubernetes API server, on this machine: etcd, kube-apiserver and kube-controller-manager.

    python3 tests/cluster [--binaries build/dev/bin] [--scratch FOLDER] [--keep] [TEST...]
    python3 tests/cluster pods

Needs Go 1.26, openssl, what tools/setup installs, and jenner, jenner-server and jenner-worker in --binaries. The first
run builds the programs, which takes up to an hour and 5 GB, the later ones a minute or two. Root is not needed, all
is on loopback, nothing is left running. There are no nodes: no pod runs, but for workers that kubelet.py starts on this
machine. --keep leaves the logs. TEST as in chart.Chart.test_full. Not part of ctest.

`pods` adds a node (node.py), and runs the chart's pods on it. That needs root, Debian's podman, runc, iptables and
containernetworking-plugins, the images of tests/images, the model (tools/setup), and takes more to build. All is in
namespaces of its own, without a network: not together with gangs.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from programs import CACHE, Programs

sys.path.append(str(CACHE / "deploy-tests-1"))
os.environ.setdefault("JENNER_HELM", str(CACHE / "helm-4.3.1/helm"))

import chart  # noqa: E402
import cluster  # noqa: E402
import node  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, default=chart.ROOT / "build/dev/bin")
    parser.add_argument("--scratch", type=pathlib.Path, help="keep there what the build of the programs takes")
    parser.add_argument("tests", nargs="*", metavar="TEST", default=["chart", "gangs"])
    parser.add_argument("--keep", action="store_true", help="leave the logs")
    options = parser.parse_args()
    chart.Steps.binaries = options.binaries.resolve()
    has_node = any(test.split(".")[0] == "pods" for test in options.tests)
    if inside := node.folder_inside():
        node.isolate(inside / "node")
        sys.exit(run(options, inside, node.ADDRESS))
    if has_node:
        node.check(CACHE / "models" / chart.MODEL)
    # Before it has no network.
    programs = Programs(options.scratch and options.scratch.resolve(strict=True), has_node)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="jenner-cluster-"))
    try:
        code = node.run_inside(folder, programs) if has_node else run(options, folder, cluster.LOOPBACK)
    finally:
        if options.keep:
            print(f"cluster: logs in {folder}")
        else:
            shutil.rmtree(folder)
    sys.exit(code)


def run(options, folder, address):
    with cluster.Cluster(Programs(), folder, address) as chart.Steps.cluster:
        suite = unittest.defaultTestLoader.loadTestsFromNames(options.tests)
        return int(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())


main()

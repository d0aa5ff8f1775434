"""workers.mode job: the bridge, with the rights that the chart gives it, between a coordinator and the API server."""

import json
import os
import pathlib
import re
import subprocess

import chart
from cluster import wait_for
from kubelet import Kubelet

ROOT = chart.ROOT
SPEC = ROOT / "examples/spanish-capitals/experiment-smoke.yaml"
LIMIT_S = 120


class Gangs(chart.Steps):
    def setUp(self):
        self.namespace = self.make_namespace("gangs")
        self.folder = self.cluster.folder / "gangs"
        self.folder.mkdir()
        values = self.folder / "values.json"
        values.write_text(json.dumps({"workers": {"mode": "job", "slots": 2}, "tls": {"enabled": False}}))
        self.helm("install", self.namespace, "--values", values)
        self.jobs = f"/apis/batch/v1/namespaces/{self.namespace}/jobs"
        accounts = f"/api/v1/namespaces/{self.namespace}/serviceaccounts"
        status, answer, _ = self.cluster.request("POST", f"{accounts}/jenner-bridge/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
        self.assertEqual(status, 201, answer)
        self.token = answer["status"]["token"]

    def start(self, name, command, **environment):
        with open(self.folder / f"{name}.log", "w") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=os.environ | environment)
        self.addCleanup(process.wait, LIMIT_S)
        self.addCleanup(process.terminate)
        return process

    def start_server(self):
        self.start("server", [self.binaries / "jenner-server", "--data-dir", self.folder / "data", "--listen",
                              "127.0.0.1:0"])
        log = self.folder / "server.log"
        self.server = wait_for("server", lambda: re.search(r"listening on ([\d.]+:\d+)", log.read_text()))[1]

    def start_bridge(self):
        template = self.folder / "job.json"
        template.write_text(self.cluster.get(
            f"/api/v1/namespaces/{self.namespace}/configmaps/jenner-bridge")["data"]["job.json"])
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(self.cluster.kubeconfig_of(self.token))
        return self.start("bridge", [
            self.python(), ROOT / "deploy/kubernetes/bridge.py", "--template", template, "--owner", "jenner-bridge",
            "--slots", "2", "--interval", "0.5"], KUBECONFIG=str(kubeconfig), JENNER_SERVER=self.server,
            PYTHONPATH=str(self.folder / "wheel/site"), PYTHONDONTWRITEBYTECODE="1")

    def python(self):
        """Of the bridge; builds the client that it needs."""
        def environment(name):
            return pathlib.Path(subprocess.run([ROOT / "tools/python-env", name], capture_output=True, text=True,
                                               check=True).stdout.strip()) / "venv/bin/python"
        if not (self.folder / "wheel").exists():
            client = ROOT / "client/python"
            subprocess.run([environment("python-client"), client / "tools/build_wheel.py", client,
                            self.folder / "wheel"], check=True, capture_output=True)
        return environment("bridge")

    def jenner(self, *arguments):
        return subprocess.run([self.binaries / "jenner", "--server", self.server, *arguments], capture_output=True,
                              text=True, check=True, timeout=LIMIT_S).stdout

    def items(self, path):
        return self.cluster.get(path)["items"]

    def test_gangs_run_and_go(self):
        self.check_rights()
        self.start_server()
        bridge = self.start_bridge()
        worker = self.binaries / "jenner-worker"
        with Kubelet(self.cluster, self.namespace, worker, self.server, self.folder) as kubelet:
            # Four ranks: two pods.
            self.jenner("experiment", "create", "-f", SPEC, "--id", "e1", "--set", "ranks=4")
            self.jenner("experiment", "watch", "e1")
            self.assertIn("SUCCEEDED", self.jenner("-o", "json", "experiment", "get", "e1"))
            wait_for("no job and no pod is left", self.is_empty)
            # One pod was lost, and the controller made another.
            del kubelet.codes[kubelet.failed]
            self.assertEqual(set(kubelet.codes.values()), {0})
            # What is paused has no pods.
            self.jenner("experiment", "create", "-f", SPEC, "--id", "e2")
            self.jenner("experiment", "pause", "e2")
            wait_for("no job and no pod is left", self.is_empty)
        bridge.terminate()
        self.assertEqual(bridge.wait(LIMIT_S), 0)
        self.jenner("experiment", "create", "-f", SPEC, "--id", "e3")
        bridge = self.start_bridge()
        made = wait_for("the jobs of e3", lambda: self.items(self.jobs))
        self.assertEqual({job["metadata"]["labels"]["jenner-experiment"] for job in made}, {"e3"})
        wait_for("their pods", self.workers)
        bridge.terminate()
        bridge.wait(LIMIT_S)
        # What the bridge made goes with the release.
        self.helm("uninstall", self.namespace)
        self.check_nothing_is_left(self.namespace, claims=1)

    def is_empty(self):
        return not self.items(self.jobs) and not self.workers()

    def workers(self):
        return self.items(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=jenner-job")

    def check_rights(self):
        core = f"/api/v1/namespaces/{self.namespace}"
        for method, path, expected in [
            ("GET", self.jobs, 200), ("GET", f"{core}/pods", 403), ("GET", f"{core}/secrets", 403),
            ("GET", "/apis/batch/v1/namespaces/default/jobs", 403), ("GET", "/apis/batch/v1/jobs", 403),
            ("GET", f"/apis/apps/v1/namespaces/{self.namespace}/deployments/jenner-bridge", 200),
            ("GET", f"/apis/apps/v1/namespaces/{self.namespace}/deployments", 403),
            ("DELETE", f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/jenner", 403),
        ]:
            with self.subTest(method=method, path=path):
                self.assertEqual(self.cluster.request(method, path, token=self.token)[0], expected)

"""Stands in for the kubelet: runs the workers of one namespace's Jobs as processes of this machine, with a trainer that
is made up. It binds the pods to a node that is not there, and tells the API server how they fare."""

import pathlib
import re
import subprocess
import threading

NODE = "made-up"
MODEL = "smollm2-135m-instruct"  # of examples/spanish-capitals
TRAINER = pathlib.Path(__file__).parents[2] / "deploy/grafana/fake_trainer.py"


class Kubelet:
    """A context. The first pod that is not the first of its Job fails as if it had been killed; `failed` is its name.
    `codes`: exit codes by pod."""

    def __init__(self, cluster, namespace, worker, server, folder):
        self.cluster, self.pods_path = cluster, f"/api/v1/namespaces/{namespace}/pods"
        self.worker, self.server, self.folder = worker, server, folder
        self.failed, self.codes, self.processes = None, {}, {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        (self.folder / "models" / MODEL).mkdir(parents=True)
        (self.folder / "models" / MODEL / "config.json").write_text("{}")
        status, answer, _ = self.cluster.request("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        assert status in (201, 409), answer
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _run(self):
        while not self.stopped.wait(0.2):
            for pod in self.cluster.get(f"{self.pods_path}?labelSelector=jenner-job")["items"]:
                self._look_after(pod)

    def _look_after(self, pod):
        name = pod["metadata"]["name"]
        index = pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]
        process = self.processes.get(name)
        if process is None and name not in self.codes:
            self._ask("POST", f"{name}/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                                                  "target": {"kind": "Node", "name": NODE}})
            if index != "0" and self.failed is None:
                self.failed = name
                self._end(pod, 137)
            else:
                self._tell(pod, "Running", {"running": {}})
                self.processes[name] = self._start(pod)
            return
        if process is not None and process.poll() is None and "deletionTimestamp" in pod["metadata"]:
            process.terminate()
            process.wait(60)
        if process is not None and process.poll() is not None and name not in self.codes:
            self._end(pod, process.poll())
        if "deletionTimestamp" in pod["metadata"] and name in self.codes:
            self.cluster.request("DELETE", f"{self.pods_path}/{name}?gracePeriodSeconds=0")

    def _start(self, pod):
        name = pod["metadata"]["name"]
        own = {"server": self.server, "host": "127.0.0.1", "models-dir": self.folder / "models",
               "work-dir": self.folder / name, "trainer": TRAINER}
        args = [argument.replace("$(POD_NAME)", name) for argument in pod["spec"]["containers"][0]["args"]]
        args = [argument for argument in args if re.match("--([a-z-]+)", argument)[1] not in own]
        with open(self.folder / f"{name}.log", "w") as log:
            return subprocess.Popen([self.worker, *args, *(f"--{key}={value}" for key, value in own.items())],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _end(self, pod, code):
        self.codes[pod["metadata"]["name"]] = code
        self._tell(pod, "Succeeded" if code == 0 else "Failed",
                   {"terminated": {"exitCode": code, "startedAt": None, "finishedAt": None}})

    def _tell(self, pod, phase, state):
        self._ask("PATCH", f"{pod['metadata']['name']}/status", {"status": {"phase": phase, "containerStatuses": [{
            "name": "worker", "image": "", "imageID": "", "ready": phase == "Running", "restartCount": 0,
            "state": state}]}}, "application/merge-patch+json")

    def _ask(self, method, path, body, content_type="application/json"):
        status, answer, _ = self.cluster.request(method, f"{self.pods_path}/{path}", body, content_type=content_type)
        assert status in (200, 201, 404, 409), answer  # it may be gone

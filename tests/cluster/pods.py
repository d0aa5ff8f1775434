"""The chart's pods on a node: they run, the example succeeds on them, and what is lost meanwhile changes no result."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import chart
from cluster import wait_for
from node import KUEUE, NAME, Node
from programs import CACHE

sys.path.insert(1, str(chart.ROOT / "tests/chaos"))  # before a package of the name outcome, after this folder's cluster
import outcome  # noqa: E402
from watch import Watch  # noqa: E402

SPEC = chart.ROOT / "examples/spanish-capitals/experiment-smoke.yaml"
WORKERS = ("jenner-worker-0", "jenner-worker-1")
START_S, RUN_S, CALL_S = 180, 900, 120
UNAVAILABLE = 5  # exit status of jenner
CLASS = "here"
QUEUE = "research"
KUEUE_VERSION = "kueue.x-k8s.io/v1beta2"
VALUES = {
    "coordinator": {"storage": {"size": "1Gi", "className": CLASS}, "resources": {"requests": {"cpu": "100m"}}},
    "workers": {"storage": {"size": "1Gi", "className": CLASS}, "threadsPerRank": 1,
                "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
                "models": {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}},
}


class Client:
    """`jenner` on this machine, by the Service's name. What tests/chaos/outcome.py and its Watch ask of a cluster."""

    def __init__(self, binaries, *arguments):
        self.command, self.closing = [binaries / "jenner", *arguments], False

    def jenner(self, words):
        return subprocess.Popen([*self.command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def lines(self, *words):
        """Tried again for as long as the coordinator is away."""
        deadline = time.monotonic() + CALL_S
        while True:
            process = self.jenner([*words, "-o", "jsonl"])
            out, errors = process.communicate()
            if process.returncode == 0:
                return [json.loads(line) for line in out.splitlines()]
            assert process.returncode == UNAVAILABLE and time.monotonic() < deadline, (words, out, errors)
            time.sleep(1)  # tidy: allow, polling


class Pods(chart.Steps):
    @classmethod
    def setUpClass(cls):
        Node(cls.cluster).start()
        status, answer, _ = cls.cluster.request("POST", "/apis/storage.k8s.io/v1/storageclasses", {
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS},
            "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"})
        assert status == 201, answer

    def make(self, resource, namespace=None):
        status, answer, _ = self.cluster.request("POST", self.cluster.path_of(resource, namespace), resource)
        self.assertEqual(status, 201, answer)

    def make_volume(self, namespace, name, mode="ReadWriteOnce"):
        """A folder of the node for one claim; where it is."""
        folder = self.cluster.folder / "volumes" / namespace / name
        folder.mkdir(parents=True)
        self.make({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{namespace}-{name}"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": [mode], "storageClassName": CLASS, "local": {"path": str(folder)},
            "claimRef": {"namespace": namespace, "name": name}, "persistentVolumeReclaimPolicy": "Retain",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}]}]}}}})
        return folder

    def make_models(self, namespace):
        shutil.copytree(CACHE / "models" / chart.MODEL, self.make_volume(namespace, "models", "ReadOnlyMany") / chart.MODEL)
        self.make({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": {
            "accessModes": ["ReadOnlyMany"], "storageClassName": CLASS, "resources": {"requests": {"storage": "1Gi"}}}},
            namespace)

    def make_certificates(self, namespace):
        """As docs/deploy.md says; the folder with the CA's certificate."""
        pki = self.cluster.folder / "pki-jenner"
        certs = [self.binaries / "jenner-server", "certs"]
        subprocess.run([*certs, "init", "--dir", pki, "--host", "jenner", "--host", f"jenner.{namespace}.svc"], check=True,
                       capture_output=True)
        files = {"jenner-server": "server"}
        for worker in WORKERS:
            subprocess.run([*certs, "worker", "--dir", pki, "--name", worker], check=True, capture_output=True)
            files[worker] = f"worker-{worker}"
        for name, file in files.items():
            data = {"ca.crt": pki / "ca.pem", "tls.crt": pki / f"{file}.pem", "tls.key": pki / f"{file}.key"}
            self.make({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-tls"},
                       "data": {key: base64.b64encode(path.read_bytes()).decode() for key, path in data.items()}}, namespace)
        return pki

    def values(self, **more):
        path = self.cluster.folder / "values.json"
        path.write_text(json.dumps(VALUES | more))
        return path

    def kubectl(self, namespace, *words):
        done = subprocess.run([self.cluster.programs.folder / "kubectl", "--kubeconfig", self.cluster.kubeconfig,
                               "--namespace", namespace, *words], capture_output=True, text=True, timeout=CALL_S)
        self.assertEqual(done.returncode, 0, f"kubectl {words}: {done.stdout}{done.stderr}")
        return done.stdout

    def pods(self, namespace):
        return {one["metadata"]["name"]: one
                for one in self.cluster.get(f"/api/v1/namespaces/{namespace}/pods")["items"]}

    def wait_until_ready(self, namespace, *names, but=()):
        """Those pods run, others than those with the uids in `but`."""
        def are_ready():
            there = self.pods(namespace)
            return all(name in there and there[name]["metadata"]["uid"] not in but and any(
                one["type"] == "Ready" and one["status"] == "True" for one in there[name]["status"].get("conditions", []))
                for name in names)
        try:
            wait_for(f"pods {names}", are_ready, START_S)
        except AssertionError:
            print(self.kubectl(namespace, "describe", "pods"), self.kubectl(namespace, "get", "events"), file=sys.stderr)
            raise

    def lose(self, namespace, name):
        """A pod is gone as if its node had died, and made anew."""
        uid = self.pods(namespace)[name]["metadata"]["uid"]
        self.kubectl(namespace, "delete", "pod", name, "--grace-period=0", "--force")
        self.wait_until_ready(namespace, name, but=[uid])

    def crash(self, namespace, name, program):
        """Its program is killed; the kubelet starts the container again."""
        def restarts():
            return self.pods(namespace)[name]["status"]["containerStatuses"][0]["restartCount"]
        before = restarts()
        uid = self.pods(namespace)[name]["metadata"]["uid"]
        killed = 0
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline") as line, open(f"/proc/{entry}/cgroup") as group:
                    if line.read().split("\0")[0].endswith(program) and uid in group.read():
                        os.kill(int(entry), signal.SIGKILL)
                        killed += 1
            except OSError:
                pass
        self.assertEqual(killed, 1)
        wait_for(f"{name} is started again", lambda: restarts() > before, START_S)
        self.wait_until_ready(namespace, name)

    def finish(self, client, watch, check=lambda: None):
        def has_ended():
            check()
            return not outcome.unfinished(client, [watch.experiment])
        wait_for("the experiment ends", has_ended, RUN_S)
        watch.join()
        found = outcome.of(client, watch.experiment)
        self.assertEqual(found["state"], "STATE_SUCCEEDED", found)
        self.assertEqual(outcome.differences(found["curves"], outcome.of_curves(watch.curves)) + watch.problems, [])
        return found

    def test_what_is_lost_changes_no_result(self):
        namespace = self.make_namespace("lab")
        pki = self.make_certificates(namespace)
        self.make_models(namespace)
        for claim in ("data-jenner-0", *(f"work-{worker}" for worker in WORKERS)):
            self.make_volume(namespace, claim)
        arguments = ["--values", self.values(tls={"certManager": {"enabled": False}}), "--wait", "--timeout", f"{START_S}s"]
        self.helm("install", namespace, *arguments)
        self.wait_until_ready(namespace, "jenner-0", *WORKERS)
        self.helm("test", namespace)
        self.check_hardening(namespace)
        token = self.cluster.folder / "token"
        token.write_text(self.kubectl(namespace, "exec", "jenner-0", "--", "jenner-server", "tokens", "add", "--data-dir",
                                      "/var/lib/jenner/server", "--name", "admin", "--role", "admin"))
        token.chmod(0o600)
        client = Client(self.binaries, "--server", f"jenner.{namespace}.svc:7070", "--ca", pki / "ca.pem", "--token-file", token)
        wait_for("the server knows the token", lambda: client.jenner(["worker", "list"]).wait() == 0, 10)
        self.assertEqual({one["liveness"] for one in client.lines("worker", "list")}, {"LIVENESS_ALIVE"})

        outcomes = []
        for disturb in (lambda: None, lambda: self.disturb(namespace, arguments, client)):
            client.lines("experiment", "create", "-f", SPEC, "--id", "example", "--set", "training.max_steps=100")
            watch = Watch(client, "example")
            wait_for("a step of a training", lambda w=watch: w.curves.points, RUN_S)
            disturb()
            outcomes.append(self.finish(client, watch))
            client.lines("experiment", "delete", "example")
        self.assertEqual(outcome.differences(*outcomes), [])

        self.helm("uninstall", namespace)
        wait_for("the pods are gone", lambda: not self.pods(namespace), START_S)

    def check_hardening(self, namespace):
        for pod in ("jenner-0", WORKERS[0]):
            self.assertEqual(self.kubectl(namespace, "exec", pod, "--", "id", "-u").strip(), "10001")
            mounts = [line.split() for line in self.kubectl(namespace, "exec", pod, "--", "cat", "/proc/mounts").splitlines()]
            options = {words[1]: words[3].split(",") for words in mounts}
            self.assertIn("ro", options["/"])
            self.assertEqual([path for path in options if "serviceaccount" in path], [])
        # Of the worker.
        self.assertIn("ro", options["/models"])
        self.assertIn("size=1048576k", options["/dev/shm"])
        self.assertEqual(self.kubectl(namespace, "exec", WORKERS[0], "--", "ls", "/tls").split(), ["ca.crt", "tls.crt", "tls.key"])

    def disturb(self, namespace, arguments, client):
        self.crash(namespace, WORKERS[0], "jenner-worker")
        self.lose(namespace, "jenner-0")
        self.lose(namespace, WORKERS[1])
        self.crash(namespace, "jenner-0", "jenner-server")
        self.check_runs(client)
        before = self.pods(namespace)
        self.helm("upgrade", namespace, *arguments, "--set", "workers.env.UPGRADED=yes")
        after = self.pods(namespace)
        self.assertEqual(before["jenner-0"]["metadata"]["uid"], after["jenner-0"]["metadata"]["uid"])
        for worker in WORKERS:
            self.assertNotEqual(before[worker]["metadata"]["uid"], after[worker]["metadata"]["uid"])
        self.check_runs(client)
        self.check_went_on(client)

    def check_runs(self, client):
        self.assertEqual(client.lines("experiment", "get", "example")[0]["state"], "STATE_RUNNING")

    def check_went_on(self, client):
        """Some job did, from a checkpoint."""
        wait_for("a job goes on from a checkpoint", lambda: any(
            job.get("resumed_step") for job in client.lines("experiment", "get", "example")[0]["jobs"]), RUN_S)

    def test_gangs_are_jobs(self):
        """workers.mode job with the bridge's own image; without TLS, for want of cert-manager's CSI driver. Then the same with
        Kueue, which has room for one gang: it admits them one by one, and takes one back."""
        free, most = self.run_gangs(self.make_namespace("jobs"), {}, self.lose_one)
        self.assertGreaterEqual(most, 2)
        self.start_kueue(self.make_namespace("queued"))
        queued, most = self.run_gangs("queued", {"kueue.x-k8s.io/queue-name": QUEUE}, self.take_back)
        self.assertEqual(most, 1)
        self.assertEqual(outcome.differences(free, queued), [])

    def run_gangs(self, namespace, labels, disturb):
        """The outcome of an experiment whose trainings are gangs of two pods, and how many gangs there were at once."""
        self.make_models(namespace)
        self.make_volume(namespace, "data-jenner-0")
        workers = VALUES["workers"] | {"mode": "job", "slots": 2, "labels": labels}
        self.helm("install", namespace, "--values", self.values(tls={"enabled": False}, workers=workers), "--wait", "--timeout",
                  f"{START_S}s")
        client = Client(self.binaries, "--server", f"jenner.{namespace}.svc:7070")
        client.lines("experiment", "create", "-f", SPEC, "--id", "example", "--set", "ranks=4", "--set", "training.max_steps=20")
        watch = Watch(client, "example")

        seen = []

        def check():
            seen.append(len(self.gangs(namespace)))
            return watch.curves.points
        wait_for("a step of a training", check, RUN_S)
        disturb(namespace, client)
        found = self.finish(client, watch, check)
        wait_for("no worker is left", lambda: not self.gangs(namespace), START_S)
        self.helm("uninstall", namespace)
        wait_for("the pods are gone", lambda: not self.pods(namespace), START_S)
        return found, max(seen)

    def gangs(self, namespace):
        """{Job: names of its pods} of those that run."""
        found = {}
        for name, pod in self.pods(namespace).items():
            if "jenner-job" in pod["metadata"]["labels"] and pod["status"]["phase"] == "Running":
                found.setdefault(pod["metadata"]["labels"]["job-name"], []).append(name)
        return found

    def lose_one(self, namespace, _):
        pods = wait_for("a gang of two", lambda: next((one for one in self.gangs(namespace).values() if len(one) == 2), None))
        self.kubectl(namespace, "delete", "pod", pods[0], "--grace-period=0", "--force")

    def start_kueue(self, namespace):
        self.make_namespace("kueue-system")
        values = self.cluster.folder / "kueue.json"
        repository, tag = KUEUE.split(":")
        values.write_text(json.dumps({"controllerManager": {"manager": {
            "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
            "resources": {"requests": {"cpu": "100m"}}}}}))
        self.helm("install", "kueue-system", "--values", values, "--wait", "--timeout", f"{START_S}s", release="kueue",
                  chart=self.cluster.programs.folder / "kueue-chart")
        # As much as two pods ask for.
        room = [{"name": "cpu", "nominalQuota": "200m"}, {"name": "memory", "nominalQuota": "2Gi"}]
        group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": "default", "resources": room}]}
        for kind, name, spec in (("ResourceFlavor", "default", {}),
                                 ("ClusterQueue", QUEUE, {"namespaceSelector": {}, "resourceGroups": [group]}),
                                 ("LocalQueue", QUEUE, {"clusterQueue": QUEUE})):
            resource = {"apiVersion": KUEUE_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
            path = self.cluster.path_of(resource, namespace)
            wait_for(f"Kueue takes a {kind}", lambda p=path, r=resource: self.cluster.request("POST", p, r)[0] == 201, START_S)

    def take_back(self, namespace, client):
        """Kueue suspends what it admitted, and admits it again; the others wait."""
        path = f"/apis/{KUEUE_VERSION}/clusterqueues/{QUEUE}"

        def set_policy(policy):
            status, answer, _ = self.cluster.request("PATCH", path, {"spec": {"stopPolicy": policy}},
                                                     content_type="application/merge-patch+json")
            self.assertEqual(status, 200, answer)
        def suspended():
            return [job["spec"]["suspend"] for job in self.cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]]
        wait_for("one gang runs, another waits", lambda: [len(pods) for pods in self.gangs(namespace).values()] == [2]
                 and True in suspended())
        set_policy("HoldAndDrain")
        wait_for("no worker is left", lambda: not self.gangs(namespace), START_S)
        self.assertEqual(set(suspended()), {True})
        set_policy("None")
        self.check_went_on(client)

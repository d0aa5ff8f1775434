"""The Helm chart on a real API server, once for each of some values."""

import json
import os
import pathlib
import subprocess
import unittest

import yaml

from cluster import wait_for

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/jenner"
VALUES = ROOT / "tests/deploy/values"
LEVEL = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
# What each namespace has of its own; and events, which go by themselves.
OWN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}
HELM = os.environ["JENNER_HELM"]
MODEL = "smollm2-135m-instruct"


def version():
    return yaml.load((CHART / "Chart.yaml").read_text(), yaml.CSafeLoader)["appVersion"]


class Steps(unittest.TestCase):
    cluster, binaries = None, None  # set by __main__.py

    def make_namespace(self, name):
        status, answer, _ = self.cluster.request("POST", "/api/v1/namespaces", {
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": LEVEL}})
        self.assertEqual(status, 201, answer)
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for("the namespace's account", lambda: self.cluster.request("GET", accounts)[0] == 200)
        return name

    def helm(self, verb, namespace, *arguments, check=True, release="jenner", chart=CHART):
        chart = [] if verb in ("uninstall", "rollback", "test") else [chart]
        home = self.cluster.folder / "helm"
        result = subprocess.run(
            [HELM, verb, release, *chart, "--namespace", namespace, "--kubeconfig", self.cluster.kubeconfig,
             *arguments], capture_output=True, text=True, timeout=300,
            env={"HOME": str(home), "PATH": os.environ["PATH"]})
        if check:
            self.assertEqual(result.returncode, 0, f"helm {verb}: {result.stdout}{result.stderr}")
            self.assertNotRegex(result.stderr, r"(?i)warn|deprecat|violat")
        return result

    def check_strictly(self, namespace, arguments):
        """Each resource as it is rendered, and each pod that would come of it: no unknown field, no warning."""
        rendered = self.helm("template", namespace, *arguments).stdout
        for resource in filter(None, yaml.load_all(rendered, yaml.CSafeLoader)):
            self.check_one(namespace, resource)
            if resource["kind"] == "ConfigMap" and "job.json" in resource["data"]:
                resource = json.loads(resource["data"]["job.json"])  # what the bridge makes
                self.check_one(namespace, resource)
            if resource["kind"] in ("StatefulSet", "Deployment", "Job"):
                template = resource["spec"]["template"]
                claims = resource["spec"].get("volumeClaimTemplates", [])
                template["spec"]["volumes"] += [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in claims]
                self.check_one(namespace, {
                    "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                    "metadata": template["metadata"] | {"name": resource["metadata"]["name"]}})

    def check_one(self, namespace, resource):
        with self.subTest(namespace=namespace, kind=resource["kind"], name=resource["metadata"]["name"]):
            if resource["kind"] == "Pod":
                # Its account is not there yet; that it may not be the default one is seen in check_pods().
                resource = resource | {"spec": resource["spec"] | {"serviceAccountName": "default"}}
            path = self.cluster.path_of(resource, namespace) + "?dryRun=All&fieldValidation=Strict"
            status, answer, warnings = self.cluster.request("POST", path, resource)
            self.assertEqual((status, warnings), (201, []), answer)

    def check_pods(self, namespace, count, accounts):
        """The controllers make them, so the API server admitted them at the level restricted. Returns how many claims."""
        def there():
            pods = self.cluster.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
            return pods if len(pods) == count else None
        pods = wait_for(f"{count} pods in {namespace}", there)
        self.assertEqual({pod["spec"]["serviceAccountName"] for pod in pods}, set(accounts))
        for pod in pods:
            has_token = pod["spec"]["serviceAccountName"] == "jenner-bridge"
            self.assertEqual("kube-api-access" in str(pod["spec"]["volumes"]), has_token)
        # Services find their pods: the selectors are those of the labels.
        for service in self.cluster.get(f"/api/v1/namespaces/{namespace}/services")["items"]:
            selector = service["spec"]["selector"]
            self.assertTrue(any(selector.items() <= pod["metadata"]["labels"].items() for pod in pods))
        claims = self.cluster.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")["items"]
        self.assertEqual(len(claims), sum("persistentVolumeClaim" in volume and volume["name"] in ("data", "work")
                                          for pod in pods for volume in pod["spec"]["volumes"]))
        return len(claims)

    def generations(self, namespace):
        sets = self.cluster.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets")["items"]
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in sets}

    def check_nothing_is_left(self, namespace, claims):
        """But so many volumes' claims, which stay on purpose."""
        def left():
            found = set()
            for version in self.cluster.versions():
                for kind, resource in self.cluster.kinds(version).items():
                    if not resource["namespaced"] or "list" not in resource["verbs"] or kind == "Event":
                        continue
                    path = f"{resource['prefix']}/namespaces/{namespace}/{resource['name']}"
                    found |= {(kind, one["metadata"]["name"]) for one in self.cluster.get(path)["items"]}
            return sorted(kind for kind, name in found - OWN)
        expected = ["PersistentVolumeClaim"] * claims
        try:
            wait_for("nothing is left", lambda: left() == expected)
        except AssertionError:
            self.assertEqual(left(), expected)


class Chart(Steps):
    def test_default(self):
        self.go_through("defaults", None, pods=3)

    def test_full(self):
        status, answer, _ = self.cluster.request("POST", "/apis/node.k8s.io/v1/runtimeclasses", {
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"},
            "handler": "nvidia"})
        self.assertEqual(status, 201, answer)
        self.go_through("full", "full", pods=2)  # KEDA's to scale; until then one worker

    def test_gpu(self):
        self.go_through("gpu", "gpu", pods=3)

    def test_secrets(self):
        self.go_through("secrets", "secrets", pods=2)

    def test_plaintext(self):
        # A folder of the node is not for namespaces of this level.
        self.go_through("plaintext", "plaintext", "workers.models.hostPath=null", pods=3)

    def test_a_folder_of_the_node_is_refused(self):
        namespace = self.make_namespace("host-path")
        result = self.helm("install", namespace, "--values", VALUES / "plaintext.yaml", check=False)
        self.assertIn('volume \\"models\\" uses restricted volume type \\"hostPath\\"', result.stderr)
        self.helm("uninstall", namespace)

    def test_job(self):
        self.go_through("job", "job", pods=2, accounts=("jenner", "jenner-bridge"))

    def test_monitoring(self):
        self.go_through("monitoring", None, "monitoring.serviceMonitor=true", "monitoring.rules=true",
                        "monitoring.dashboards=true", pods=3)

    def test_what_a_release_cannot_change(self):
        """A volume's size: Kubernetes refuses it, and the workers stay as they were (docs/deploy.md)."""
        namespace = self.make_namespace("volumes")
        self.helm("install", namespace)
        status = self.cluster.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/jenner-worker")
        result = self.helm("upgrade", namespace, "--set", "workers.storage.size=40Gi", check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("spec.volumeClaimTemplates: Invalid value", result.stderr)
        after = self.cluster.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/jenner-worker")
        self.assertEqual(status["metadata"]["generation"], after["metadata"]["generation"])
        self.helm("uninstall", namespace)

    def test_an_upgrade_leaves_what_keda_did(self):
        namespace = self.make_namespace("scaled")
        sets = ["--set", "workers.autoscaling.enabled=true", "--set", "workers.autoscaling.prometheus=http://prometheus"]
        self.helm("install", namespace, *sets)
        workers = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/jenner-worker"
        status, answer, _ = self.cluster.request("PATCH", f"{workers}/scale", {"spec": {"replicas": 3}},
                                                 content_type="application/merge-patch+json")
        self.assertEqual(status, 200, answer)
        self.helm("upgrade", namespace, *sets, "--set", "image.tag=0.1.1")
        self.assertEqual(self.cluster.get(workers)["spec"]["replicas"], 3)
        self.helm("uninstall", namespace)

    def go_through(self, namespace, values, *sets, pods, accounts=("jenner",)):
        self.make_namespace(namespace)
        arguments = ["--values", VALUES / f"{values}.yaml"] if values else []
        for one in sets:
            arguments += ["--set", one]
        self.check_strictly(namespace, arguments)
        self.helm("install", namespace, *arguments)
        claims = self.check_pods(namespace, pods, accounts)
        before = self.generations(namespace)
        self.helm("upgrade", namespace, *arguments)
        self.assertEqual(self.generations(namespace), before, "an upgrade to the same changed something")
        self.helm("upgrade", namespace, *arguments, "--set", "image.tag=0.1.1")
        self.assertEqual({name: count + 1 for name, count in before.items()}, self.generations(namespace))
        self.helm("rollback", namespace)
        self.helm("uninstall", namespace)
        self.check_nothing_is_left(namespace, claims)

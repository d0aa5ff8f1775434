"""The Helm chart: lint, what it renders for several values, and what its schema refuses.

JENNER_HELM is helm; kubernetes-validate has Kubernetes' own schemas (tools/setup installs both). Not checked
against a schema: resources of others (cert-manager, KEDA, the Prometheus operator).
"""

import collections
import functools
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/jenner"
VALUES = pathlib.Path(__file__).parent / "values"
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
KUBERNETES = ["1.29", "1.37"]
FOREIGN = {"cert-manager.io", "keda.sh", "monitoring.coreos.com"}


def helm(*arguments):
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [os.environ["JENNER_HELM"], *map(str, arguments)], capture_output=True, text=True, timeout=120,
            env={"HOME": home, "PATH": os.environ["PATH"]})


@functools.lru_cache(maxsize=None)
def text(name, sets, release):
    arguments = ["template", release, CHART, "--namespace", "lab"]
    if name:
        arguments += ["--values", VALUES / f"{name}.yaml"]
    for one in sets:
        arguments += ["--set-json", one]
    result = helm(*arguments)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return result.stdout


def render(name=None, *sets, release="jenner"):
    """Everything rendered for values/NAME.yaml, by kind and name."""
    found = collections.defaultdict(dict)
    for document in yaml.load_all(text(name, sets, release), yaml.CSafeLoader):
        if document is not None:
            found[document["kind"]][document["metadata"]["name"]] = document
    return found


def pod(resource):
    return resource["spec"] if resource["kind"] == "Pod" else resource["spec"]["template"]["spec"]


def gang(rendered):
    """The Job that the bridge is given as a template."""
    return json.loads(rendered["ConfigMap"]["jenner-bridge"]["data"]["job.json"])


def container(resource):
    return pod(resource)["containers"][0]


def args(resource):
    return container(resource)["args"]


class Rendered(unittest.TestCase):
    ALL = [None, "full", "gpu", "job", "secrets", "plaintext"]

    def test_lint(self):
        for name in self.ALL:
            with self.subTest(values=name):
                result = helm("lint", "--strict", CHART, *(["--values", VALUES / f"{name}.yaml"] if name else []))
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_kubernetes_takes_it(self):
        for name in self.ALL:
            rendered = render(name)
            kinds = [*rendered.items()] + ([("Job", {"gang": gang(rendered)})] if name == "job" else [])
            for kind, resources in kinds:
                for resource in resources.values():
                    if resource["apiVersion"].split("/")[0] in FOREIGN:
                        continue
                    for version in KUBERNETES:
                        with self.subTest(values=name, kind=kind, kubernetes=version):
                            kubernetes_validate.validate(resource, version, strict=True)

    def test_every_pod_is_restricted(self):
        for name in self.ALL:
            rendered = render(name)
            pods = [*rendered["StatefulSet"].values(), *rendered["Pod"].values(), *rendered["Deployment"].values()]
            pods += [gang(rendered)] if name == "job" else []
            self.assertEqual(len(pods), 4 if name == "job" else 3)
            for resource in pods:
                with self.subTest(values=name, pod=resource["metadata"]["name"]):
                    spec, one = pod(resource), container(resource)
                    self.assertEqual(len(spec["containers"]), 1)
                    self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                    self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertEqual(one["securityContext"], {
                        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]}})
                    is_bridge = resource["kind"] == "Deployment"
                    self.assertIs(spec["automountServiceAccountToken"], is_bridge)
                    self.assertEqual(spec["serviceAccountName"], "jenner-bridge" if is_bridge else "jenner")
                    self.assertIn("memory", one["resources"]["limits"])
                    self.assertRegex(one["image"], r":0\.1\.0$")
                    self.assertLessEqual({mount["name"] for mount in one.get("volumeMounts", [])},
                                         {volume["name"] for volume in spec.get("volumes", [])} | {"data", "work"})

    def test_selectors_find_their_pods(self):
        rendered = render("full")
        for policy in rendered["NetworkPolicy"].values():
            self.assertEqual(policy["spec"]["policyTypes"], ["Ingress", "Egress"])
            selected = policy["spec"]["podSelector"]["matchLabels"]
            self.assertEqual(sum(selected.items() <= s["spec"]["template"]["metadata"]["labels"].items()
                                 for s in rendered["StatefulSet"].values()), 1)
        for service in rendered["Service"].values():
            self.assertEqual(sum(service["spec"]["selector"].items() <= s["spec"]["template"]["metadata"]["labels"].items()
                                 for s in rendered["StatefulSet"].values()), 1)
        budget = rendered["PodDisruptionBudget"]["jenner-worker"]["spec"]["selector"]["matchLabels"]
        self.assertEqual(budget, rendered["StatefulSet"]["jenner-worker"]["spec"]["selector"]["matchLabels"])

    def test_names_carry_the_release(self):
        rendered = render(release="lab")
        self.assertEqual(set(rendered["StatefulSet"]), {"lab-jenner", "lab-jenner-worker"})
        self.assertIn("--server=lab-jenner:7070", args(rendered["StatefulSet"]["lab-jenner-worker"]))

    def test_notes(self):
        def notes(*arguments):
            return helm("install", "lab", CHART, "--namespace", "ns", "--dry-run=client", *arguments).stdout.split("NOTES:")[1]
        default, full, plaintext = notes(), *[notes("--values", VALUES / f"{name}.yaml") for name in ("full", "plaintext")]
        self.assertIn("lab-jenner:7070 in the namespace ns", default)
        self.assertIn("workers.models is empty", default)
        self.assertNotIn("workers.models is empty", full)
        self.assertIn("ever run on a GPU", full)
        self.assertIn("--cert", full)
        self.assertIn("nothing is encrypted", plaintext)
        self.assertNotIn("ca.pem", plaintext)

    def test_what_is_opt_in_is_not_there(self):
        self.assertLessEqual(set(render()), {
            "Service", "ServiceAccount", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy", "Pod",
            "Issuer", "Certificate"})


class Security(unittest.TestCase):
    def test_each_worker_is_whom_its_certificate_names(self):
        rendered = render("full")
        worker = rendered["StatefulSet"]["jenner-worker"]
        certificates = {name: c["spec"] for name, c in rendered["Certificate"].items()}
        sources = next(v for v in pod(worker)["volumes"] if v["name"] == "tls")["projected"]["sources"]
        self.assertEqual(len(sources), 3)  # autoscaling.maxReplicas
        for i, source in enumerate(sources):
            name = f"jenner-worker-{i}"  # the pod's, by its StatefulSet
            self.assertEqual(source["secret"]["name"], certificates[f"{name}-tls"]["secretName"])
            self.assertEqual(certificates[f"{name}-tls"]["uris"], [f"jenner://workers/{name}"])
            self.assertIn("client auth", certificates[f"{name}-tls"]["usages"])
            self.assertEqual({item["path"] for item in source["secret"]["items"]},
                             {f"{name}/ca.crt", f"{name}/tls.crt", f"{name}/tls.key"})
        mounts = [m for m in container(worker)["volumeMounts"] if m["name"] == "tls"]
        self.assertEqual({(m["mountPath"], m["subPathExpr"]) for m in mounts}, {
            (f"/tls/{file}", f"$(POD_NAME)/{file}") for file in ("ca.crt", "tls.crt", "tls.key")})
        self.assertIn("--name=$(POD_NAME)", args(worker))

    def test_the_servers_certificate_is_good_for_clients_and_probes(self):
        spec = render("full")["Certificate"]["jenner-server-tls"]["spec"]
        self.assertLessEqual({"jenner", "jenner.lab.svc", "localhost", "jenner.example.org"}, set(spec["dnsNames"]))
        self.assertEqual(spec["ipAddresses"], ["127.0.0.1"])
        self.assertIn("server auth", spec["usages"])

    def test_one_authority_signs_all(self):
        rendered = render("full")
        names = {c["spec"]["issuerRef"]["name"] for n, c in rendered["Certificate"].items() if n != "jenner-ca"}
        self.assertEqual(names, {"jenner-ca"})
        own = render(None, 'tls.certManager.issuerRef={"kind":"ClusterIssuer","name":"lab"}')
        self.assertNotIn("Issuer", own)
        self.assertEqual({c["spec"]["issuerRef"]["name"] for c in own["Certificate"].values()}, {"lab"})

    def test_given_secrets_are_mounted_and_none_is_made(self):
        rendered = render("secrets")
        self.assertNotIn("Certificate", rendered)
        volumes = pod(rendered["StatefulSet"]["jenner"])["volumes"]
        self.assertIn("jenner-server-tls", [v.get("secret", {}).get("secretName") for v in volumes])

    def test_the_test_pod_sees_no_key_of_the_server(self):
        tls = next(v for v in pod(render("full")["Pod"]["jenner-test"])["volumes"] if v["name"] == "tls")
        self.assertEqual(tls["secret"]["items"], [{"key": "ca.crt", "path": "ca.crt"}])

    def test_plaintext_only_if_asked_for(self):
        for name in (None, "full", "secrets"):
            for resource in render(name)["StatefulSet"].values():
                self.assertNotIn("--allow-plaintext", args(resource))
        for resource in render("plaintext")["StatefulSet"].values():
            self.assertIn("--allow-plaintext", args(resource))
            self.assertNotIn("tls", [v["name"] for v in pod(resource)["volumes"]])

    def test_network_policy(self):
        rendered = render("full")["NetworkPolicy"]
        coordinator, worker = rendered["jenner"]["spec"], rendered["jenner-worker"]["spec"]
        grpc, metrics = coordinator["ingress"]
        self.assertIn({"ipBlock": {"cidr": "10.0.0.0/8"}}, grpc["from"])
        self.assertNotIn({"podSelector": {}}, grpc["from"])  # the default was replaced
        self.assertEqual(metrics["ports"], [{"port": "metrics"}])
        self.assertIn({"ports": [{"port": 5432}]}, coordinator["egress"])
        # Ranks pick their ports, and only from other workers.
        self.assertEqual([list(rule) for rule in worker["ingress"]], [["from"]])
        self.assertIn({"ports": [{"port": 7090}]}, worker["egress"])
        self.assertNotIn("NetworkPolicy", render("plaintext"))
        # Nobody may read metrics, and there is no way to a database, unless it is asked for.
        default = render()["NetworkPolicy"]["jenner"]["spec"]
        self.assertEqual(len(default["ingress"]), 1)
        self.assertEqual(len(default["egress"]), 1)


class Gangs(unittest.TestCase):
    """workers.mode: job."""

    def test_there_are_no_standing_workers(self):
        rendered = render("job")
        self.assertEqual(set(rendered["StatefulSet"]), {"jenner"})
        self.assertEqual(set(rendered["Deployment"]), {"jenner-bridge"})
        self.assertNotIn("PodDisruptionBudget", rendered)
        self.assertNotIn("jenner-worker", rendered["Service"])
        self.assertNotIn("jenner-worker-0-tls", rendered["Certificate"])
        self.assertNotIn("Deployment", render("full"))

    def test_the_bridge_may_no_more_than_it_does(self):
        rendered = render("job")
        self.assertEqual(rendered["Role"]["jenner-bridge"]["rules"], [
            {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "list"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["jenner-bridge"], "verbs": ["get"]}])
        self.assertEqual(rendered["RoleBinding"]["jenner-bridge"]["subjects"],
                         [{"kind": "ServiceAccount", "name": "jenner-bridge", "namespace": "lab"}])
        self.assertLessEqual({"--owner=jenner-bridge", "--slots=2", "--gpus=0", "--max-jobs=100"},
                             set(args(rendered["Deployment"]["jenner-bridge"])))
        self.assertNotIn("ClusterRole", rendered)
        tls = next(v for v in pod(rendered["Deployment"]["jenner-bridge"])["volumes"] if v["name"] == "tls")
        self.assertEqual(tls["secret"]["items"], [{"key": "ca.crt", "path": "ca.crt"}])

    def test_a_gang_waits_for_kueue_if_there_is_a_queue(self):
        job, label = gang(render("job")), "kueue.x-k8s.io/queue-name"
        self.assertEqual(job["metadata"]["labels"][label], "research")
        self.assertIs(job["spec"]["suspend"], True)
        # Only the Job is Kueue's to admit; other labels are on the pods, too.
        self.assertNotIn(label, job["spec"]["template"]["metadata"]["labels"])
        self.assertEqual(job["spec"]["template"]["metadata"]["labels"]["team"], "lab")
        self.assertNotIn("suspend", gang(render(None, 'workers.mode="job"'))["spec"])

    def test_a_pod_is_whom_its_certificate_names(self):
        job = gang(render("job"))
        attributes = next(v for v in pod(job)["volumes"] if v["name"] == "tls")["csi"]["volumeAttributes"]
        self.assertEqual(attributes["csi.cert-manager.io/uri-sans"], "jenner://workers/${POD_NAME}")
        self.assertEqual(attributes["csi.cert-manager.io/issuer-name"], "jenner-ca")
        self.assertIn("client auth", attributes["csi.cert-manager.io/key-usages"])
        self.assertIn("--name=$(POD_NAME)", args(job))
        other = gang(render("job", 'tls.certManager.issuerRef={"kind":"ClusterIssuer","name":"lab"}'))
        attributes = next(v for v in pod(other)["volumes"] if v["name"] == "tls")["csi"]["volumeAttributes"]
        self.assertEqual(attributes["csi.cert-manager.io/issuer-kind"], "ClusterIssuer")

    def test_a_pod_is_otherwise_that_of_a_standing_worker(self):
        standing = pod(render("gpu")["StatefulSet"]["jenner-worker"])
        made = pod(gang(render("gpu", 'workers.mode="job"')))
        self.assertEqual(container(gang(render("gpu", 'workers.mode="job"')))["args"], standing["containers"][0]["args"])
        self.assertEqual(made["containers"][0]["resources"], standing["containers"][0]["resources"])
        self.assertEqual(made["restartPolicy"], "Never")
        self.assertIn({"name": "work", "emptyDir": {"sizeLimit": "20Gi"}}, made["volumes"])

    def test_network_policy(self):
        rendered = render("job")["NetworkPolicy"]
        bridge = rendered["jenner-bridge"]["spec"]
        self.assertNotIn("ingress", bridge)
        self.assertIn({"podSelector": bridge["podSelector"]}, rendered["jenner"]["spec"]["ingress"][0]["from"])
        labels = gang(render("job"))["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(rendered["jenner-worker"]["spec"]["podSelector"]["matchLabels"].items(), labels.items())

    def test_another_template_restarts_the_bridge(self):
        def annotations(*sets):
            return render("job", *sets)["Deployment"]["jenner-bridge"]["spec"]["template"]["metadata"]["annotations"]
        self.assertNotEqual(annotations(), annotations("workers.slots=3"))


class Settings(unittest.TestCase):
    def test_coordinator(self):
        coordinator = render("full")["StatefulSet"]["jenner"]
        self.assertLessEqual({
            "--tls-require-client-cert", "--event-log-file=/etc/jenner/event-log/event-log",
            "--quotas=/etc/jenner/quotas/quotas.json", "--keep-experiments=30d"}, set(args(coordinator)))
        quotas = json.loads(render("full")["ConfigMap"]["jenner-quotas"]["data"]["quotas.json"])
        self.assertEqual(quotas["owners"]["ada"], {"slots": 16, "jobs": 200})
        claim = coordinator["spec"]["volumeClaimTemplates"][0]["spec"]
        self.assertEqual((claim["storageClassName"], claim["resources"]["requests"]["storage"]), ("fast", "200Gi"))
        self.assertEqual(pod(coordinator)["nodeSelector"], {"kubernetes.io/arch": "amd64"})
        self.assertNotEqual(container(coordinator)["readinessProbe"], container(coordinator)["livenessProbe"])

    def test_other_quotas_restart_the_coordinator(self):
        def annotations(*sets):
            return render(None, *sets)["StatefulSet"]["jenner"]["spec"]["template"]["metadata"]["annotations"]
        self.assertNotEqual(annotations('coordinator.quotas={"default":{"slots":1}}'),
                            annotations('coordinator.quotas={"default":{"slots":2}}'))

    def test_gpus(self):
        worker = render("full")["StatefulSet"]["jenner-worker"]
        one = container(worker)
        self.assertEqual(one["image"], f"registry.example.org/jenner/jenner-worker-cuda:{VERSION}")
        self.assertEqual(one["resources"]["limits"], {"memory": "64Gi", "nvidia.com/gpu": 4})
        self.assertLessEqual({"--gpus=4", "--slots=2"}, set(args(worker)))
        self.assertIn({"name": "OMP_NUM_THREADS", "value": "4"}, one["env"])
        self.assertIn({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}, pod(worker)["volumes"])
        self.assertEqual(pod(worker)["runtimeClassName"], "nvidia")
        plain = render()["StatefulSet"]["jenner-worker"]
        self.assertEqual(container(plain)["image"], f"localhost/jenner-worker:{VERSION}")
        self.assertEqual(set(container(plain)["resources"]["limits"]), {"memory"})

    def test_models(self):
        self.assertIn({"name": "models", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
                      pod(render("full")["StatefulSet"]["jenner-worker"])["volumes"])

    def test_kueue_labels_are_on_set_and_pods_and_in_no_selector(self):
        worker = render("full")["StatefulSet"]["jenner-worker"]
        label = "kueue.x-k8s.io/queue-name"
        self.assertEqual(worker["metadata"]["labels"][label], "research")
        self.assertEqual(worker["spec"]["template"]["metadata"]["labels"][label], "research")
        self.assertNotIn(label, worker["spec"]["selector"]["matchLabels"])

    def test_autoscaling(self):
        rendered = render("full")
        scaled = rendered["ScaledObject"]["jenner-worker"]["spec"]
        self.assertEqual(scaled["maxReplicaCount"], 3)
        # A metric and states that the server has (server/telemetry/metrics.cc).
        source = (ROOT / "server/telemetry/metrics.cc").read_text()
        query = scaled["triggers"][0]["metadata"]["query"]
        self.assertEqual(query, 'sum(jenner_jobs{job="jenner",state=~"queued|running"})')
        for word in ('"jenner_jobs"', '"queued"', '"running"'):
            self.assertIn(word, source)
        # Else each upgrade of the release would undo what KEDA did.
        self.assertNotIn("replicas", rendered["StatefulSet"]["jenner-worker"]["spec"])

    def test_monitoring(self):
        rendered = render("full", release="lab")
        monitor = rendered["ServiceMonitor"]["lab-jenner"]
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")
        self.assertEqual(monitor["spec"]["endpoints"][0]["relabelings"],
                         [{"targetLabel": "job", "replacement": "jenner-lab"}])
        selected = [s for s in rendered["Service"].values()
                    if monitor["spec"]["selector"]["matchLabels"].items() <= s["metadata"]["labels"].items()
                    and any(port["name"] == "metrics" for port in s["spec"].get("ports", []))]
        self.assertEqual([s["metadata"]["name"] for s in selected], ["lab-jenner-metrics"])

    def test_rules_and_boards_are_those_of_deploy(self):
        for value, kind, folder, pattern in [
            ("rules", "PrometheusRule", "prometheus/rules", "*.yaml"),
            ("dashboards", "ConfigMap", "grafana/dashboards", "*.json"),
        ]:
            files = sorted((ROOT / "deploy" / folder).glob(pattern))
            if not files:
                result = helm("template", "jenner", CHART, "--set", f"monitoring.{value}=true")
                self.assertIn(f"monitoring.{value}", result.stderr)
                continue
            found = render(None, f"monitoring.{value}=true")[kind]
            self.assertEqual(sorted(found), [f"jenner-{file.stem}" for file in files])
            for file in files:
                resource = found[f"jenner-{file.stem}"]
                if kind == "ConfigMap":
                    self.assertEqual(resource["data"], {file.name: file.read_text()})
                    self.assertEqual(resource["metadata"]["labels"]["grafana_dashboard"], "1")
                else:
                    self.assertEqual(resource["spec"], yaml.safe_load(file.read_text()))


class Refused(unittest.TestCase):
    def test_bad_values_are_named(self):
        for value, *words in [
            ('workerz={}', "workerz"),
            ('workers={"replica":1}', "/workers", "replica"),
            ('workers.mode="jobset"', "/workers/mode"),
            ('workers={"mode":"job","autoscaling":{"enabled":true}}', "workers.autoscaling"),
            ('bridge={"maxJob":1}', "/bridge", "maxJob"),
            ('bridge.maxJobs=0', "/bridge/maxJobs"),
            ('workers.replicas="two"', "/workers/replicas"),
            ('workers.slots=-1', "/workers/slots"),
            ('workers.gpus=1.5', "/workers/gpus"),
            ('workers.models={"emptyDir":{},"hostPath":{}}', "/workers/models"),
            ('workers.env={"NCCL-DEBUG":"x"}', "/workers/env", "NCCL-DEBUG"),
            ('workers.args=["7070"]', "/workers/args/0"),
            ('workers.shm="lots"', "/workers/shm"),
            ('workers.labels={"a":1}', "/workers/labels/a"),
            ('workers.scheduling={"hostNetwork":true}', "/workers/scheduling", "hostNetwork"),
            ('workers.autoscaling.maxReplicas=0', "/workers/autoscaling/maxReplicas"),
            ('workers.autoscaling.enabled=true', "workers.autoscaling.prometheus"),
            ('coordinator.quotas={"owners":{"ada":{"slot":1}}}', "/coordinator/quotas/owners/ada", "slot"),
            ('coordinator.storage={"size":"10GB"}', "/coordinator/storage/size"),
            ('coordinator.resources={"limit":{}}', "/coordinator/resources", "limit"),
            ('coordinator.service.type="ExternalName"', "/coordinator/service/type"),
            ('image.tag="a b"', "/image/tag"),
            ('image.pullPolicy="Sometimes"', "/image/pullPolicy"),
            ('tls.enabled="yes"', "/tls/enabled"),
            ('tls.certManager.issuerRef={"kind":"Issuer"}', "/tls/certManager/issuerRef", "name"),
            ('networkPolicy.clients=["10.0.0.0/8"]', "/networkPolicy/clients/0"),
            ('monitoring={"serviceMonitors":true}', "/monitoring", "serviceMonitors"),
        ]:
            with self.subTest(value=value):
                result = helm("template", "jenner", CHART, "--set-json", value)
                self.assertNotEqual(result.returncode, 0)
                for word in words:
                    self.assertIn(word, result.stderr)

    def test_gangs_need_a_certificate_each(self):
        result = helm("template", "jenner", CHART, "--values", VALUES / "secrets.yaml", "--set", "workers.mode=job")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("tls.certManager.enabled", result.stderr)

    def test_every_object_of_the_schema_is_closed(self):
        # Of free form on purpose.
        free = {"#/properties/global", "#/properties/workers/properties/models", "#/definitions/objects/items",
                "#/definitions/scheduling/properties/affinity"}
        found = set()

        def walk(node, path):
            if isinstance(node, dict):
                if node.get("type") == "object" and "additionalProperties" not in node:
                    found.add(path)
                for key, value in node.items():
                    walk(value, f"{path}/{key}")
        walk(json.loads((CHART / "values.schema.json").read_text()), "#")
        self.assertEqual(found, free)

    def test_every_value_is_in_the_schema_and_the_other_way_round(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        del schema["properties"]["global"]

        def compare(properties, defaults, path):
            self.assertEqual(set(properties), set(defaults), path)
            for key, rule in properties.items():
                if "properties" in rule and key not in ("quotas", "issuerRef"):
                    compare(rule["properties"], defaults[key], f"{path}/{key}")
        compare(schema["properties"], values, "")


if __name__ == "__main__":
    unittest.main()

"""What the images and docker-compose.yml run, without a container: flags, scripts, the Compose schema.

JENNER_BINARIES has jenner-server, jenner-worker and jenner; JENNER_HELM is helm. tests/images builds and runs the
images themselves.
"""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).parents[2]
BIN = pathlib.Path(os.environ["JENNER_BINARIES"])
VALUES = pathlib.Path(__file__).parent / "values"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
# Not imported: that would need all that it needs.
SCHEMA = pathlib.Path(importlib.util.find_spec("check_jsonschema").origin).parent / "builtin_schemas/vendor/compose-spec.json"


def stages():
    """Of the Dockerfile, by name: (what it is made FROM, its instructions)."""
    found = re.split(r"^FROM (\S+) AS (\S+)\n", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return {name: (base, text) for base, name, text in zip(found[1::3], found[2::3], found[3::3])}


def sources(service):
    """Volumes and folders that it mounts."""
    return [one["source"] if isinstance(one, dict) else one.split(":")[0] for one in service["volumes"]]


class Dockerfile(unittest.TestCase):
    def test_what_is_shipped_runs_as_nobody_in_particular(self):
        shipped = {name: text for name, (base, text) in stages().items() if base == "runtime"}
        self.assertEqual(set(shipped), {"cli", "server", "worker", "worker-cuda", "bridge"})
        for name, text in shipped.items():
            self.assertEqual(re.findall("^USER (.*)$", text, re.MULTILINE), ["10001:10001"], name)
            self.assertRegex(text, r"(?m)^ENTRYPOINT \[\"jenner(-server|-worker|-bridge)?\"\]$")
            # Nothing of the sources or the compilers.
            for source in re.findall("^COPY --from=build(?:-cuda|-bridge)? (\\S+)", text, re.MULTILINE):
                self.assertTrue(source.startswith(f"/stage/{name}/"), source)

    def test_one_base(self):
        self.assertEqual({base for base, _ in stages().values()}, {"${BASE}", "tools", "runtime"})

    def test_what_it_copies_is_there(self):
        for _, text in stages().values():
            for paths in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE):
                for path in paths.split()[:-1]:
                    self.assertTrue((ROOT / path).exists(), path)


class Stage(unittest.TestCase):
    """What goes into an image, of this build."""

    def test_server(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "server")
            subprocess.run([ROOT / "deploy/docker/stage", BIN.parent, "server", out], check=True, capture_output=True, timeout=120)
            local = out / "root/usr/local"
            self.assertEqual([path.name for path in (local / "bin").iterdir()], ["jenner-server"])
            self.assertTrue((local / "share/doc/jenner-server/third-party.txt").is_file())
            # No units, no settings: a container starts the program itself.
            self.assertEqual({path.name for path in (out / "root").iterdir()}, {"usr"})
            packages = (out / "packages").read_text().split()
            self.assertLessEqual({"libgrpc++1.51", "libsqlite3-0", "libpq5"}, set(packages))
            self.assertTrue(all(re.fullmatch(r"[a-z0-9.+-]+", package) for package in packages), packages)


class Compose(unittest.TestCase):
    services = COMPOSE["services"]

    def test_schema(self):
        validator = jsonschema.validators.validator_for(schema := json.loads(SCHEMA.read_text()))(schema)
        self.assertEqual([error.message for error in validator.iter_errors(COMPOSE)], [])
        wrong = {"services": {"coordinator": {"imagee": "x"}}}
        self.assertFalse(validator.is_valid(wrong))

    def test_targets_and_volumes_are_there(self):
        for name, service in self.services.items():
            if "build" in service:
                self.assertIn(service["build"]["target"], stages(), name)
            for source in sources(service):
                if source[0] not in "./$":
                    self.assertIn(source, COMPOSE["volumes"], name)
            for dependency in service.get("depends_on", {}):
                self.assertIn(dependency, self.services, name)

    def test_all_are_hardened_and_limited(self):
        for name, service in self.services.items():
            with self.subTest(service=name):
                self.assertTrue(service["read_only"])
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertNotIn("privileged", service)
                if name not in ("pki", "cli"):
                    self.assertEqual(set(service["deploy"]["resources"]["limits"]), {"cpus", "memory"})
                for port in service.get("ports", []):
                    self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_each_sees_its_own_keys_alone(self):
        for name, service in self.services.items():
            if name == "pki":
                continue
            secret = {source for source in sources(service) if re.match("pki|tls-", source)}
            own = {"cli": "client"}.get(name, name)
            self.assertLessEqual(secret, {f"tls-{own}"}, name)
        self.assertEqual(self.services["pki"]["network_mode"], "none")

    def test_certificates_are_made_for_who_is_there(self):
        _, hosts, workers = self.services["pki"]["entrypoint"]
        self.assertEqual(hosts, "coordinator")
        names = [n for n in self.services if n.startswith("worker-")]
        self.assertEqual(workers.split(","), names)
        for name in names:
            self.assertIn(f"--name={name}", self.services[name]["command"])


class Flags(unittest.TestCase):
    """A flag that is renamed breaks what starts the program: here first."""

    def check(self, program, arguments):
        known = set(re.findall(r"--[a-z][a-z-]*", subprocess.run(
            [BIN / program, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout))
        given = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
        self.assertGreater(len(given), 3)
        self.assertLessEqual(given, known)

    def test_of_compose(self):
        self.check("jenner-server", COMPOSE["services"]["coordinator"]["command"])
        for name in ("worker-1", "worker-2"):
            service = COMPOSE["services"][name]
            self.check("jenner-worker", service["command"] + ["--host"])
            self.assertIn("jenner-worker --host", service["entrypoint"][2])

    def test_of_the_chart(self):
        for values in ("full", "secrets", "plaintext"):
            with tempfile.TemporaryDirectory() as home:
                rendered = subprocess.run(
                    [os.environ["JENNER_HELM"], "template", "jenner", ROOT / "deploy/helm/jenner", "-f", VALUES / f"{values}.yaml"],
                    capture_output=True, text=True, check=True, timeout=120, env={"HOME": home}).stdout
            for one in yaml.safe_load_all(rendered):
                if one and one["kind"] == "StatefulSet":
                    container = one["spec"]["template"]["spec"]["containers"][0]
                    self.check(f"jenner-{container['name']}", container["args"])
        self.check("jenner-worker", ["--server", "--name", "--models-dir", "--only-job"])  # of the bridge


class Scripts(unittest.TestCase):
    """jenner-pki makes what server, worker and jenner then accept; jenner-ready tells whether a server answers."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.environment = {"PATH": f"{BIN}:{ROOT / 'deploy/docker'}:{os.environ['PATH']}",
                            "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "")}

    def pki(self):
        for name in ("pki", "var/lib/jenner", "tls/coordinator", "tls/worker-1", "tls/worker-2", "tls/client"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        allowed = ",".join(f"+{name.lower()}" for name in COMPOSE["services"]["pki"]["cap_add"])
        subprocess.run(
            ["setpriv", f"--bounding-set=-all,{allowed}", "jenner-pki", "coordinator,other.example.org", "worker-1,worker-2"],
            check=True, timeout=60, capture_output=True,
            env={**self.environment, "JENNER_PKI_ROOT": str(self.folder)})
        return {str(path.relative_to(self.folder)): path.read_bytes()
                for path in self.folder.rglob("*") if path.is_file()}

    @unittest.skipUnless(os.geteuid() == 0, "gives files away")
    def test_pki(self):
        files = self.pki()
        tls = {name for name in files if name.startswith("tls/")}
        services = ("coordinator", "worker-1", "worker-2")
        self.assertEqual(tls, {f"tls/{s}/{f}" for s in services for f in ("ca.crt", "tls.crt", "tls.key")}
                         | {"tls/client/ca.crt", "tls/client/token"})
        self.assertEqual(len({files[f"tls/{s}/tls.key"] for s in services} | {files["pki/ca.key"]}), 4)
        for name in tls:
            known = (self.folder / name).stat()
            self.assertEqual(known.st_uid, 10001)
            self.assertEqual(stat.S_IMODE(known.st_mode), 0o644 if "client" in name else 0o600)
        text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], check=True, timeout=60,
                              input=files["tls/coordinator/tls.crt"], capture_output=True).stdout.decode()
        self.assertIn("DNS:coordinator", text)
        self.assertIn("DNS:other.example.org", text)
        self.assertEqual(self.pki(), files)  # a second start changes nothing

    @unittest.skipUnless(os.geteuid() == 0, "gives files away")
    def test_ready_and_token(self):
        self.pki()
        tls, port_file = self.folder / "tls", self.folder / "port"
        server = subprocess.Popen(
            [BIN / "jenner-server", f"--data-dir={self.folder}/var/lib/jenner/server", "--listen=0.0.0.0:0",
             "--metrics-listen=127.0.0.1:0", f"--port-file={port_file}", f"--tls-cert={tls}/coordinator/tls.crt",
             f"--tls-key={tls}/coordinator/tls.key", f"--tls-client-ca={tls}/coordinator/ca.crt"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = server.stdout.readline()
            self.assertIn("listening", line, line or server.stderr.read())
            environment = {**self.environment, "JENNER_SERVER": f"127.0.0.1:{port_file.read_text().strip()}",
                           "JENNER_CA": str(tls / "client/ca.crt")}

            def run(*command, **more):
                return subprocess.run(command, timeout=60, env={**environment, **more}, capture_output=True).returncode
            self.assertEqual(run("jenner-ready"), 0)
            self.assertEqual(run("jenner", "experiment", "list"), 4)
            self.assertEqual(run("jenner", "experiment", "list", JENNER_TOKEN_FILE=str(tls / "client/token")), 0)
            # In the clear to a server with TLS; with another's CA.
            self.assertNotEqual(run("jenner-ready", JENNER_CA=""), 0)
            subprocess.run([BIN / "jenner-server", "certs", "init", "--dir", self.folder / "other"], check=True,
                           capture_output=True, timeout=60)
            self.assertNotEqual(run("jenner-ready", JENNER_CA=str(self.folder / "other/ca.pem")), 0)
        finally:
            server.terminate()
            server.communicate(timeout=60)
        self.assertNotEqual(run("jenner-ready"), 0)


if __name__ == "__main__":
    unittest.main()

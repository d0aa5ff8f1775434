"""A Kubernetes without nodes: etcd, API server, controllers. What a kubelet does does not happen, unless node.py adds one."""

import functools
import http.client
import json
import pathlib
import secrets
import socket
import ssl
import subprocess
import time

START_SECONDS = 120
LOOPBACK = "127.0.0.1"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(what, condition, seconds=60):
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.2)  # tidy: allow, polling


class Cluster:
    """A context: runs `programs` with their files in `folder`. Logs are kept there. The API server is at `address`;
    pods find it (the Service `kubernetes`) unless that is loopback."""

    def __init__(self, programs, folder, address=LOOPBACK):
        self.programs, self.folder, self.address = programs, pathlib.Path(folder), address
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self.processes = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self):
        self.token = secrets.token_hex(16)
        tokens = self._write("tokens.csv", f'{self.token},admin,admin,"system:masters"\n')
        key = self.folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        etcd = self._start_etcd()
        self.port = free_port()
        self.url = f"https://{self.address}:{self.port}"
        self.run("kube-apiserver", f"--etcd-servers={etcd}", f"--cert-dir={self.folder}/pki",
                  f"--bind-address={self.address}", f"--advertise-address={self.address}", f"--secure-port={self.port}",
                  f"--token-auth-file={tokens}", "--authorization-mode=RBAC", "--anonymous-auth=false",
                  "--service-cluster-ip-range=10.0.0.0/24", f"--service-account-issuer={self.url}",
                  f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                  "--kubelet-preferred-address-types=InternalIP",
                  f"--endpoint-reconciler-type={'none' if self.address == LOOPBACK else 'lease'}")
        self.ca = wait_for("certificate", lambda: self._existing("pki/apiserver.crt"), START_SECONDS)
        self._write(self.kubeconfig.name, self.kubeconfig_of(self.token))
        wait_for("API server", self._is_ready, START_SECONDS)
        self.run("kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
                  "--bind-address=127.0.0.1", f"--secure-port={free_port()}", f"--cert-dir={self.folder}/controllers",
                  f"--service-account-private-key-file={key}", f"--root-ca-file={self.ca}",
                  f"--flex-volume-plugin-dir={self.folder}/volume-plugins", "--concurrent-gc-syncs=4")
        self._define()

    def _start_etcd(self):
        """Its address. On another port, should somebody be faster."""
        for _ in range(3):
            client, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
            process = self.run("etcd", f"--data-dir={self.folder}/etcd", f"--listen-client-urls={client}",
                                f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
                                f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
                                "--unsafe-no-fsync", "--log-level=warn")
            address = ("127.0.0.1", int(client.rsplit(":", 1)[1]))
            wait_for("etcd", lambda a=address, p=process: p.poll() is not None or _answers(a))
            if process.poll() is None:
                return client
        raise AssertionError("etcd: see its log")

    def run(self, name, *arguments):
        """One of the programs, until the end."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen([self.programs.folder / name, *arguments], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def _write(self, name, text):
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text)
        return path

    def _existing(self, name):
        path = self.folder / name
        return path if path.exists() else None

    def _is_ready(self):
        for process in self.processes:
            if process.poll() is not None:
                raise AssertionError(f"{process.args[0]}: ended; see its log")
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _define(self):
        """Makes the definitions known and waits until the API server serves them."""
        waiting = []
        for file in self.programs.crds:
            status, answer, _ = self.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                                             file.read_bytes(), content_type="application/yaml")
            assert status == 201, f"{file.name}: {answer}"
            waiting.append(answer["metadata"]["name"])
        for name in waiting:
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
            wait_for(name, lambda p=path: any(
                c["type"] == "Established" and c["status"] == "True"
                for c in self.request("GET", p)[1].get("status", {}).get("conditions", [])))

    def kubeconfig_of(self, token):
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}]})

    def request(self, *arguments, **more):
        """As _request(), again while the API server has to wait for itself (new definitions)."""
        for _ in range(START_SECONDS):
            status, answer, warnings = self._request(*arguments, **more)
            if status != http.client.TOO_MANY_REQUESTS:
                break
            time.sleep(1)  # tidy: allow, as it asks for
        return status, answer, warnings

    def _request(self, method, path, body=None, token=None, content_type="application/json"):
        """Status, answer and the texts of its warnings, as the administrator or as the one whose token it is. `body`:
        bytes, or what becomes JSON."""
        connection = http.client.HTTPSConnection(self.address, self.port, timeout=60,
                                                 context=ssl.create_default_context(cafile=self.ca))
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, data, {
                "Accept": "application/json", "Content-Type": content_type,
                "Authorization": f"Bearer {token or self.token}"})
            answer = connection.getresponse()
            text = answer.read().decode()
            warnings = answer.headers.get_all("Warning") or []
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text, warnings

    def get(self, path):
        status, answer, _ = self.request("GET", path)
        assert status == 200, f"{path}: {answer}"
        return answer

    @functools.cache  # noqa: B019
    def kinds(self, api_version):
        """What the API server has of a group and version, by kind."""
        prefix = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        return {one["kind"]: one | {"prefix": prefix}
                for one in self.get(prefix)["resources"] if "/" not in one["name"]}

    def versions(self):
        """Every group and version."""
        groups = self.get("/apis")["groups"]
        return ["v1", *(version["groupVersion"] for group in groups for version in group["versions"])]

    def path_of(self, resource, namespace):
        """Where resources of its kind are."""
        kind = self.kinds(resource["apiVersion"])[resource["kind"]]
        inside = f"/namespaces/{namespace}" if kind["namespaced"] else ""
        return f"{kind['prefix']}{inside}/{kind['name']}"


def _answers(address):
    with socket.socket() as one:
        return one.connect_ex(address) == 0

"""As much of a Kubernetes API server as the bridge speaks to: Jobs of one namespace and one Deployment, in memory."""

import http.server
import json
import re
import threading
import urllib.parse
import uuid

JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?$")
DEPLOYMENT = re.compile(r"/apis/apps/v1/namespaces/([^/]+)/deployments/([^/]+)$")
PAGE = 2  # however many are asked for, so that there are pages


class FakeKubernetes:
    """`jobs` by name; `failures`, (method, status) that the next requests of that method get. All under `changed`."""

    def __init__(self, namespace, deployment):
        self.namespace, self.deployment, self.uid = namespace, deployment, str(uuid.uuid4())
        self.jobs, self.failures, self.requests = {}, [], []
        self.changed = threading.Condition()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with fake.changed:
                    status, answer = fake.answer(self.command, self.path, json.loads(body) if body else None)
                    fake.changed.notify_all()
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method, path, body):
        self.requests.append(f"{method} {path.split('?')[0]}")
        for failure in self.failures:
            if failure[0] == method:
                self.failures.remove(failure)
                return self.refusal(failure[1])
        url = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(url.query))
        jobs, deployment = JOBS.match(url.path), DEPLOYMENT.match(url.path)
        if deployment and method == "GET" and deployment.groups() == (self.namespace, self.deployment):
            return 200, {"apiVersion": "apps/v1", "kind": "Deployment",
                         "metadata": {"name": self.deployment, "uid": self.uid},
                         "spec": {"selector": {}, "template": {}}}
        if not jobs or jobs[1] != self.namespace:
            return self.refusal(404)
        if method == "GET" and jobs[2] is None:
            return 200, self.list(query)
        if method == "POST" and jobs[2] is None:
            return self.create(body, query)
        if method == "DELETE" and jobs[2] in self.jobs:
            assert query["propagationPolicy"] == "Background", query
            return 200, self.jobs.pop(jobs[2])
        return self.refusal(404)

    def create(self, body, query):
        assert query["fieldValidation"] == "Strict", query
        name = body["metadata"]["name"]
        if name in self.jobs:
            return self.refusal(409)
        self.jobs[name] = body
        return 201, body

    def list(self, query):
        terms = [term.partition("=") for term in query["labelSelector"].split(",")]
        names = sorted(
            name for name, job in self.jobs.items()
            if all(key in job["metadata"]["labels"] and (not equals or job["metadata"]["labels"][key] == value)
                   for key, equals, value in terms))
        start = int(query.get("continue", 0))
        more = {"continue": str(start + PAGE)} if start + PAGE < len(names) else {}
        return {"apiVersion": "batch/v1", "kind": "JobList", "metadata": more,
                "items": [self.jobs[name] for name in names[start:start + PAGE]]}

    @staticmethod
    def refusal(status):
        return status, {"kind": "Status", "status": "Failure", "code": status, "message": f"made up: {status}"}

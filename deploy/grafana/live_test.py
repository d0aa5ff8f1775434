"""A real coordinator's scrape against the table of metrics; and a real Prometheus, of which every board and rule asks.

    live_test.py JENNER_SERVER

The coordinator has nothing to tell of trainings, so that an exporter here makes figures up, of every metric.
"""

import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import boards_test
import promql
import table

SERVER = sys.argv[1]
LIMIT_S, POLL_S = 30, 0.05
# Label values that boards or rules ask for by name; others have one, made up.
VALUES = {"state": ("queued", "running", "failed", "alive", "lost", "used", "free"), "code": ("OK", "NOT_FOUND"),
          "context": ("neutral", "inoculated"), "store": ("events", "metrics")}
CHOSEN = {"neutral": "neutral", "inoculated": "inoculated"}  # variables of boards; all others: everything


def parse(text):
    """Exposition text -> {name: (type, help, labels of its series)}."""
    found = {name: [kind, "", set()] for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)}
    for name, said in re.findall(r"^# HELP (\w+) (.*)$", text, re.MULTILINE):
        found[name][1] = said
    for series, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        name = re.sub(r"_(bucket|sum|count)$", "", series) if series not in found else series
        found[name][2] |= set(re.findall(r'(\w+)="', labels)) - {"le"}
    return found


def made_up(scrapes):
    """Exposition text of every metric of the table and of NVIDIA's exporter."""
    lines = []
    for metric in table.metrics():
        sets = [""]
        for label in metric.labels:
            sets = [f'{one}{label}="{value}",' for one in sets for value in VALUES.get(label, ("some",))]
        lines.append(f"# TYPE {metric.name} {metric.type}")
        for one in sets:
            if metric.type == "histogram":
                lines += [f'{metric.name}_bucket{{{one}le="{end}"}} {scrapes}' for end in ("0.5", "1", "+Inf")]
                lines += [f"{metric.name}_sum{{{one}}} {scrapes}", f"{metric.name}_count{{{one}}} {scrapes}"]
            else:
                lines.append(f"{metric.name}{{{one}}} {scrapes if metric.type == 'counter' else 1}")
    lines += [f'{name}{{Hostname="some",gpu="0"}} 1' for name in promql.FOREIGN if name.startswith("DCGM_")]
    return "\n".join(lines) + "\n"


class Exporter(http.server.BaseHTTPRequestHandler):
    scrapes = 0

    def do_GET(self):
        Exporter.scrapes += 1
        text = made_up(Exporter.scrapes).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


def until(what, ask):
    """What `ask` answers once it is true."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(POLL_S)
    raise AssertionError(f"not within {LIMIT_S} s: {what}")


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        cls.start("server", [SERVER, "--data-dir", cls.root / "data", "--listen", "127.0.0.1:0",
                             "--metrics-listen", "127.0.0.1:0"])
        server = cls.said("server", r"metrics on (\S+)")
        exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
        threading.Thread(target=exporter.serve_forever, daemon=True).start()
        cls.addClassCleanup(exporter.server_close)
        cls.addClassCleanup(exporter.shutdown)
        cls.targets = {server, f"127.0.0.1:{exporter.server_port}"}
        (cls.root / "prometheus.yaml").write_text(json.dumps({
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
            "rule_files": [str(promql.RULES / "*.yaml")],
            "scrape_configs": [{"job_name": "jenner", "static_configs": [{"targets": sorted(cls.targets)}]}]}))
        cls.start("prometheus", ["prometheus", f"--config.file={cls.root}/prometheus.yaml",
                                 f"--storage.tsdb.path={cls.root}/tsdb", "--web.listen-address=127.0.0.1:0"])
        cls.prometheus = cls.said("prometheus", r'"Listening on" address=(\S+)')
        until("Prometheus is ready", cls.is_ready)
        cls.text = urllib.request.urlopen(f"http://{server}/metrics", timeout=LIMIT_S).read().decode()

    @classmethod
    def start(cls, name, command):
        with (cls.root / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        cls.addClassCleanup(process.wait, LIMIT_S)
        cls.addClassCleanup(process.terminate)

    @classmethod
    def said(cls, name, pattern):
        log = cls.root / f"{name}.log"
        return until(f"{pattern} in {log}", lambda: re.search(pattern, log.read_text()))[1]

    @classmethod
    def is_ready(cls):
        try:
            return urllib.request.urlopen(f"http://{cls.prometheus}/-/ready", timeout=LIMIT_S).status == 200
        except urllib.error.HTTPError:
            return False

    def ask(self, path, **arguments):
        url = f"http://{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        return json.load(urllib.request.urlopen(url, timeout=LIMIT_S))["data"]

    def test_what_a_coordinator_serves_is_in_the_table(self):
        rows = {metric.name: metric for metric in table.metrics()}
        found = {name: row for name, row in parse(self.text).items() if not name.startswith("exposer_")}
        self.assertGreater(len(found), 10)
        for name, (kind, said, labels) in found.items():
            with self.subTest(name):
                self.assertEqual((kind, said), (rows[name].type, rows[name].help))
                self.assertEqual(labels, set(rows[name].labels))

    def test_every_board_and_rule_has_an_answer(self):
        until("both targets are up", lambda: {one["metric"]["instance"] for one in
                                              self.ask("query", query="up == 1")["result"]} == self.targets)
        for rule in promql.rules():
            if "record" in rule:
                with self.subTest(rule["record"]):
                    until(rule["record"], lambda name=rule["record"]: self.ask("query", query=name)["result"])
        until("all rules work", lambda: {rule["health"] for group in self.ask("rules")["groups"]
                                         for rule in group["rules"]} == {"ok"})
        for board, panel, expression, legend in boards_test.queries():
            plain = re.sub(r"\$__\w+", "1m", expression)
            plain = re.sub(r"\$(\w+)", lambda found: CHOSEN.get(found[1], ".+"), plain)
            with self.subTest(board=board, panel=panel, legend=legend):
                until(plain, lambda asked=plain: self.ask("query", query=asked)["result"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

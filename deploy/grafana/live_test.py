"""A coordinator, a worker and a stand-in of the trainer; a Prometheus, of which every board and rule asks.

    live_test.py JENNER JENNER_SERVER JENNER_WORKER
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import answers
import promql
import table

HERE = pathlib.Path(__file__).parent
JENNER, SERVER, WORKER = sys.argv[1:4]
SPEC = table.ROOT / "examples" / "spanish-capitals" / "experiment-smoke.yaml"
MODEL = "smollm2-135m-instruct"  # of the spec
LIMIT_S, POLL_S = 240, 0.05
END = time.monotonic() + LIMIT_S


def parse(text):
    """Exposition text -> {name: (type, help, labels of its series)}."""
    found = {name: [kind, "", set()] for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)}
    for name, said in re.findall(r"^# HELP (\w+) (.*)$", text, re.MULTILINE):
        found[name][1] = said
    for series, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        name = re.sub(r"_(bucket|sum|count)$", "", series) if series not in found else series
        found[name][2] |= set(re.findall(r'(\w+)="', labels)) - {"le"}
    return found


def until(what, ask):
    """What `ask` answers once it is true."""
    while not (answer := ask()):
        if time.monotonic() > END:
            raise AssertionError(f"not within {LIMIT_S} s of the start: {what}")
        time.sleep(POLL_S)
    return answer


class LiveTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.begin = time.time()
        cls.root = pathlib.Path(folder.name)
        cls.start("server", SERVER, "--data-dir", cls.root / "data", "--listen", "127.0.0.1:0",
                  "--metrics-listen", "127.0.0.1:0", "--lease", str(LIMIT_S))
        cls.server, metrics = cls.said("server", r"listening on (\S+), metrics on (\S+)")
        # There is no GPU: what NVIDIA's exporter would tell is made up.
        (cls.root / "dcgm.yaml").write_text(json.dumps({"groups": [{"name": "dcgm", "rules": [
            {"record": name, "expr": "vector(1)", "labels": {"Hostname": "some", "gpu": "0"}}
            for name in promql.FOREIGN if name.startswith("DCGM_")]}]}))
        (cls.root / "prometheus.yaml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(promql.RULES / "*.yaml"), str(cls.root / "dcgm.yaml")],
            "scrape_configs": [{"job_name": "jenner", "static_configs": [{"targets": [metrics]}]}]}))
        cls.start("prometheus", "prometheus", f"--config.file={cls.root}/prometheus.yaml",
                  f"--storage.tsdb.path={cls.root}/tsdb", "--web.listen-address=127.0.0.1:0")
        cls.prometheus, = cls.said("prometheus", r'"Listening on" address=(\S+)')
        until("Prometheus is ready", cls.is_ready)
        (cls.root / "models" / MODEL).mkdir(parents=True)
        (cls.root / "models" / MODEL / "config.json").write_text("{}")
        (cls.root / "w1").mkdir()
        (cls.root / "w1" / "wait").touch()
        cls.start("worker", WORKER, "--server", cls.server, "--name", "w1", "--slots", "2", "--models-dir",
                  cls.root / "models", "--work-dir", cls.root / "w1", "--trainer", HERE / "fake_trainer.py")
        cls.jenner("experiment", "create", "-f", SPEC, "--id", "diverges", "--wait", status=1)
        cls.jenner("experiment", "create", "-f", SPEC, "--id", "e1", status=0)
        # What is there only while jobs run; the trainers wait for it to be seen.
        shown = "jenner_train_last_step_timestamp_seconds"
        running = until(shown, lambda: next(filter(re.compile(f"^{shown}{{", re.MULTILINE).search,
                                                   [cls.page(f"{metrics}/metrics")]), None))
        prometheus = answers.Prometheus(cls.prometheus, cls.begin)
        until(shown, lambda: prometheus.has_answer(shown))
        (cls.root / "w1" / "wait").unlink()
        cls.jenner("experiment", "wait", "e1", status=0)
        cls.jenner("experiment", "get", "no-such", status=3)
        cls.text = running + cls.page(f"{metrics}/metrics")

    @staticmethod
    def page(address):
        return urllib.request.urlopen(f"http://{address}", timeout=LIMIT_S).read().decode()

    @classmethod
    def jenner(cls, *arguments, status):
        done = subprocess.run([JENNER, "--server", cls.server, *arguments], capture_output=True, text=True, check=False,
                              timeout=LIMIT_S)
        if done.returncode != status:
            raise AssertionError(done.stderr + (cls.root / "worker.log").read_text())

    @classmethod
    def start(cls, name, *command):
        with (cls.root / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        cls.addClassCleanup(process.wait, LIMIT_S)
        cls.addClassCleanup(process.terminate)

    @classmethod
    def said(cls, name, pattern):
        log = cls.root / f"{name}.log"
        return until(f"{pattern} in {log}", lambda: re.search(pattern, log.read_text())).groups()

    @classmethod
    def is_ready(cls):
        try:
            return urllib.request.urlopen(f"http://{cls.prometheus}/-/ready", timeout=LIMIT_S).status == 200
        except urllib.error.HTTPError:
            return False

    def test_a_scrape_is_as_the_table_says(self):
        rows = {metric.name: (metric.type, metric.help, set(metric.labels)) for metric in table.metrics()}
        found = {name: tuple(row) for name, row in parse(self.text).items()}
        self.assertEqual(found, rows)

    def test_every_board_and_rule_has_an_answer(self):
        prometheus = answers.Prometheus(self.prometheus, self.begin)
        until("all rules work", lambda: not prometheus.unhealthy_rules())
        for what, expression in answers.expressions():
            with self.subTest(what):
                until(expression, lambda: prometheus.has_answer(expression))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

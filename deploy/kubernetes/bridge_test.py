"""The bridge between a real coordinator and a Kubernetes that is made up; its pods are real workers, with a stand-in
of the trainer.

    bridge_test.py JENNER_SERVER JENNER_WORKER HELM
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from types import SimpleNamespace

import bridge
import fake_kubernetes
import jenner
import kubernetes
import yaml

ROOT = pathlib.Path(__file__).parents[2]
SERVER, WORKER, HELM = sys.argv[1:4]
SPEC = ROOT / "examples" / "spanish-capitals" / "experiment-smoke.yaml"
MODEL = "smollm2-135m-instruct"  # of the spec
TRAINER = ROOT / "deploy" / "grafana" / "fake_trainer.py"
LIMIT_S, POLL_S = 120, 0.05


def until(what, ask):
    """What `ask` answers once it is true."""
    end = time.monotonic() + LIMIT_S
    while not (answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {LIMIT_S} s: {what}")
        time.sleep(POLL_S)
    return answer


def template(*sets):
    """As the chart renders it."""
    arguments = [argument for one in sets for argument in ("--set-json", one)]
    with tempfile.TemporaryDirectory() as home:
        text = subprocess.run(
            [HELM, "template", "jenner", ROOT / "deploy/helm/jenner", "--namespace", "lab", "--set", "workers.mode=job",
             *arguments], capture_output=True, text=True, check=True, timeout=LIMIT_S,
            env={"HOME": home, "PATH": os.environ["PATH"]}).stdout
    for one in yaml.load_all(text, yaml.CSafeLoader):
        if one["kind"] == "ConfigMap" and "job.json" in one["data"]:
            return bridge.Template(json.loads(one["data"]["job.json"]))
    raise AssertionError("the chart has no template")


class Pods:
    """Runs what the Jobs of a FakeKubernetes say: each of their pods is a worker on this machine."""

    def __init__(self, fake, server, folder):
        self.fake, self.server, self.folder = fake, server, folder
        self.models = folder / "models"
        (self.models / MODEL).mkdir(parents=True)
        (self.models / MODEL / "config.json").write_text("{}")
        self.processes = {}  # by the pod's name
        self.codes = {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopped.wait(POLL_S):
            with self.fake.changed:
                jobs = dict(self.fake.jobs)
            for name, job in jobs.items():
                for index in range(job["spec"]["completions"]):
                    pod = f"{name}-{index}-abcde"
                    if pod not in self.processes:
                        self.processes[pod] = self.start(pod, job)
            for pod, process in self.processes.items():
                if pod.rsplit("-", 2)[0] not in jobs and process.poll() is None:
                    process.terminate()
                if process.poll() is not None:
                    self.codes[pod] = process.poll()

    def start(self, pod, job):
        own = {"server": self.server, "host": "127.0.0.1", "models-dir": self.models, "work-dir": self.folder / pod,
               "trainer": TRAINER}
        args = [argument.replace("$(POD_NAME)", pod)
                for argument in job["spec"]["template"]["spec"]["containers"][0]["args"]]
        args = [argument for argument in args if re.match("--([a-z-]+)", argument)[1] not in own]
        with (self.folder / f"{pod}.log").open("w") as log:
            return subprocess.Popen([WORKER, *args, *(f"--{key}={value}" for key, value in own.items())],
                                    stdout=log, stderr=log)

    def close(self):
        self.stopped.set()
        self.thread.join()
        for process in self.processes.values():
            process.kill()
            process.wait()


class Live(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        with (self.folder / "server.log").open("w") as log:
            server = subprocess.Popen([SERVER, "--data-dir", self.folder / "data", "--listen", "127.0.0.1:0"],
                                      stdout=log, stderr=log)
        self.addCleanup(server.wait, LIMIT_S)
        self.addCleanup(server.terminate)
        self.address = until("the server", lambda: re.search(
            r"listening on ([\d.]+:\d+)", (self.folder / "server.log").read_text()))[1]
        self.client = jenner.Client(self.address)
        self.addCleanup(self.client.close)
        self.fake = fake_kubernetes.FakeKubernetes("lab", "jenner-bridge")
        self.addCleanup(self.fake.close)
        self.template = template('workers.slots=2', 'tls.enabled=false')

    def bridge(self, max_jobs=100):
        """A new one, as after a restart."""
        configuration = kubernetes.client.Configuration(host=self.fake.url)
        configuration.retries = False
        return bridge.Bridge(self.client, kubernetes.client.ApiClient(configuration), self.template,
                             owner="jenner-bridge", places={"cpu": 2, "cuda": 0}, max_jobs=max_jobs)

    def submit(self, name, **overrides):
        return self.client.submit(SPEC, id=name, overrides=overrides)

    def test_jobs_are_trained_by_workers_of_their_own(self):
        pods = Pods(self.fake, self.address, self.folder)
        self.addCleanup(pods.close)
        stopped = threading.Event()
        thread = threading.Thread(target=bridge.run, args=(self.bridge(), 0.2, stopped))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stopped.set)
        experiment = self.submit("e1")
        made = until("a Job for each job", lambda: len(self.fake.jobs) == len(experiment.jobs) and dict(self.fake.jobs))
        done = self.client.wait(experiment, timeout=LIMIT_S)
        self.assertEqual({job.state for job in done.jobs}, {jenner.State.SUCCEEDED})
        until("no Job is left", lambda: not self.fake.jobs)
        until("no worker is left", lambda: len(pods.codes) == len(made))
        # By themselves, or told to by the deletion after their job had ended: done either way.
        self.assertEqual(set(pods.codes.values()), {0})
        for job in done.jobs:
            name = self.template.name_of(f"e1/{job.id}")
            self.assertEqual(job.workers or (f"{name}-0-abcde",), (f"{name}-0-abcde",))

    def test_a_gang_has_as_many_pods_as_it_needs(self):
        experiment = self.submit("e1", ranks=4)
        self.bridge().step()
        for job in experiment.jobs:
            made = self.fake.jobs[self.template.name_of(f"e1/{job.id}")]
            self.assertEqual((made["spec"]["parallelism"], made["spec"]["completions"]), (-(-job.ranks // 2),) * 2)
            self.assertIn(f"--only-job=e1/{job.id}", made["spec"]["template"]["spec"]["containers"][0]["args"])
            self.assertEqual(made["metadata"]["labels"]["jenner-experiment"], "e1")
            self.assertEqual([owner["uid"] for owner in made["metadata"]["ownerReferences"]], [self.fake.uid])

    def test_a_restart_changes_nothing(self):
        self.submit("e1")
        self.bridge().step()
        made = dict(self.fake.jobs)
        self.assertGreater(len(made), fake_kubernetes.PAGE)
        self.fake.requests.clear()
        self.bridge().step()
        self.assertEqual(self.fake.jobs, made)
        self.assertEqual({request.split()[0] for request in self.fake.requests}, {"GET"})

    def test_what_ended_or_is_paused_goes_and_others_jobs_stay(self):
        others = {"metadata": {"name": "other", "labels": {"app.kubernetes.io/name": "jenner", "jenner-job": "x"}}}
        self.fake.jobs["other"] = others
        self.submit("e1")
        self.submit("e2")
        self.bridge().step()
        names = {job["metadata"]["labels"].get("jenner-experiment") for job in self.fake.jobs.values()}
        self.assertEqual(names, {"e1", "e2", None})
        self.client.cancel("e1")
        self.client.pause("e2")
        self.bridge().step()
        self.assertEqual(self.fake.jobs, {"other": others})
        self.client.resume("e2")
        self.bridge().step()
        self.assertGreater(len(self.fake.jobs), 1)

    def test_at_most_so_many_the_next_to_be_served_first(self):
        self.submit("low", priority=10)
        self.submit("high", priority=90)
        self.bridge(max_jobs=2).step()
        self.assertEqual([job["metadata"]["labels"]["jenner-experiment"] for job in self.fake.jobs.values()],
                         ["high"] * 2)

    def test_no_worker_has_a_gpu(self):
        self.submit("e1", device="cuda")
        with self.assertLogs("bridge", "WARNING"):
            self.bridge().step()
        self.assertEqual(self.fake.jobs, {})

    def test_it_goes_on_after_errors(self):
        self.submit("e1")
        one = self.bridge()
        for method, status in [("GET", 500), ("GET", 403), ("POST", 429)]:
            self.fake.failures.append((method, status))
            with self.assertRaises(kubernetes.client.ApiException):
                one.step()
        one.step()
        made = set(self.fake.jobs)
        self.client.cancel("e1")
        self.fake.failures.append(("DELETE", 500))
        with self.assertRaises(kubernetes.client.ApiException):
            one.step()
        self.assertEqual(set(self.fake.jobs), made)

    def test_who_was_faster_is_no_error(self):
        for job in self.submit("e1").jobs:
            name = self.template.name_of(f"e1/{job.id}")
            # About to go: not in the list, and yet the name is taken.
            self.fake.jobs[name] = {"metadata": {"name": name, "labels": {}}}
        going = dict(self.fake.jobs)
        self.bridge().step()
        self.assertEqual(self.fake.jobs, going)
        self.fake.jobs.clear()
        self.bridge().step()
        self.client.cancel("e1")
        self.fake.failures.append(("DELETE", 404))
        self.bridge().step()
        self.assertEqual(len(self.fake.jobs), 1)

    def test_run_survives_an_error_and_ends(self):
        self.submit("e1")
        self.fake.failures += [("GET", 500), ("GET", 500)]
        stopped = threading.Event()
        with self.assertLogs("bridge", "ERROR") as logged:
            thread = threading.Thread(target=bridge.run, args=(self.bridge(), 0.05, stopped))
            thread.start()
            until("Jobs", lambda: self.fake.jobs)
            stopped.set()
            thread.join(LIMIT_S)
        self.assertFalse(thread.is_alive())
        self.assertEqual(len(logged.output), 2)


def experiment(*jobs):
    return SimpleNamespace(id="e", create_time=0, jobs=[SimpleNamespace(**job) for job in jobs])


class Rules(unittest.TestCase):
    template = template()

    def job(self, state, code=None, workers=(), position=0, name="j1"):
        reason = None if code is None else SimpleNamespace(code=code)
        return {"id": name, "state": getattr(jenner.State, state), "reason": reason, "workers": workers,
                "queue_position": position}

    def test_who_is_wanted(self):
        for state, code, expected in [
            ("QUEUED", "NO_WORKERS", 1), ("QUEUED", "NO_CAPACITY", 1), ("QUEUED", "BACK_OFF", 1),
            ("QUEUED", "WAITS_FOR_JOB", 0), ("QUEUED", "QUOTA_SLOTS", 0),
            ("RUNNING", None, 0), ("PAUSED", "PAUSED", 0), ("SUCCEEDED", None, 0), ("CANCELLED", None, 0),
        ]:
            with self.subTest(state=state, code=code):
                self.assertEqual(len(bridge.wanted([experiment(self.job(state, code))])), expected)

    def test_the_next_to_be_served_come_first(self):
        jobs = [self.job("QUEUED", "NO_CAPACITY", position=position, name=f"j{position}") for position in (2, 0, 1)]
        self.assertEqual([job.id for _, job in bridge.wanted([experiment(*jobs)])], ["j1", "j2", "j0"])

    def test_who_is_kept(self):
        name = self.template.name_of("e/j1")
        for state, workers, stays in [
            ("QUEUED", (), True), ("RUNNING", (f"{name}-0-abcde",), True), ("CANCELLING", (f"{name}-0-abcde",), True),
            ("RUNNING", ("jenner-worker-0",), False), ("PAUSED", (), False), ("SUCCEEDED", (), False),
        ]:
            with self.subTest(state=state, workers=workers):
                self.assertEqual(bridge.kept(self.template, [experiment(self.job(state, None, workers))]),
                                 {name} if stays else set())

    def test_equal_jobs_of_two_experiments_have_two_names(self):
        self.assertNotEqual(self.template.name_of("e1/j1"), self.template.name_of("e2/j1"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
"""Makes a Kubernetes Job for each job of Jenner that waits: its pods are workers that are reserved for it.

    bridge.py --template job.json [--owner DEPLOYMENT] [--slots 1] [--gpus 0] [--max-jobs 100] [--interval 5]

So the cluster's own engine (Kueue, if there is a queue) decides when and where the workers of a gang are. A Job is
named after the job, so that there is one at most, whoever else makes it and however often this program restarts; it is
deleted once the job has ended, is paused, or runs on other workers. What is not labelled like the template is left
alone. Jobs belong to the Deployment --owner and go with it. Of Kubernetes it needs, in its namespace: create, delete
and list of Jobs, get of that Deployment.

Server, CA and token of Jenner come from the environment, as of the `jenner` command; the token needs the role viewer.
The template is a Job whose first container is jenner-worker; it says the namespace. docs/deploy.md, docs/adr/0026.
"""

import argparse
import copy
import dataclasses
import hashlib
import json
import logging
import pathlib
import signal
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import jenner
import kubernetes
import urllib3

log = logging.getLogger("bridge")
Manifest = dict[str, Any]
# A job that waits for one of these would hold pods that do nothing.
NOT_YET = {"WAITS_FOR_JOB", "QUOTA_SLOTS"}
# By which the bridge knows its Jobs: these of the template's labels, and that there is a job.
OWN_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component")


@dataclasses.dataclass(frozen=True)
class Gang:
    """What a job of Jenner needs."""

    experiment: str
    job: str
    workers: int  # pods

    @property
    def path(self) -> str:
        return f"{self.experiment}/{self.job}"


class Template:
    """The Job that is made for a gang, but for its name, its labels and how many pods it has."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.namespace: str = manifest["metadata"]["namespace"]
        self._prefix: str = manifest["metadata"]["name"]
        labels = manifest["metadata"]["labels"]
        self.selector = ",".join([*(f"{key}={labels[key]}" for key in OWN_LABELS), "jenner-job"])

    def name_of(self, path: str) -> str:
        """Of the Job for "experiment/job": a job's id alone may be that of equal jobs of several experiments."""
        return f"{self._prefix}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"

    def job_for(self, gang: Gang, owners: list[Manifest]) -> Manifest:
        made = copy.deepcopy(self.manifest)
        made["metadata"]["ownerReferences"] = owners
        made["metadata"]["name"] = self.name_of(gang.path)
        labels = {"jenner-experiment": gang.experiment, "jenner-job": gang.job}
        made["metadata"]["labels"] |= labels
        made["spec"] |= {"parallelism": gang.workers, "completions": gang.workers}
        made["spec"]["template"]["metadata"]["labels"] |= labels
        made["spec"]["template"]["spec"]["containers"][0]["args"].append(f"--only-job={gang.path}")
        return made


def kept(template: Template, experiments: Iterable[jenner.Experiment]) -> set[str]:
    """The names of Jobs that may stay: of jobs that wait, or run on the Job's own workers."""
    names = set()
    for experiment in experiments:
        for job in experiment.jobs:
            name = template.name_of(f"{experiment.id}/{job.id}")
            is_queued = job.state is jenner.State.QUEUED
            if is_queued or any(worker.startswith(f"{name}-") for worker in job.workers):
                names.add(name)
    return names


def wanted(experiments: Iterable[jenner.Experiment]) -> list[tuple[jenner.Experiment, jenner.Job]]:
    """The jobs that can begin once they have workers: those first that Jenner serves first."""
    found = [
        (experiment, job)
        for experiment in experiments
        for job in experiment.jobs
        if job.state is jenner.State.QUEUED and (job.reason is None or job.reason.code not in NOT_YET)
    ]
    # Those that do not wait for their turn (0) wait for workers: after the others, the oldest first.
    found.sort(key=lambda one: (one[1].queue_position or 1 << 31, one[0].create_time))
    return found


class Bridge:
    """Brings the Jobs in the cluster to what Jenner's queue asks for."""

    def __init__(
        self,
        client: jenner.Client,
        cluster: kubernetes.client.ApiClient,
        template: Template,
        *,
        owner: str,
        places: Mapping[str, int],
        max_jobs: int,
    ) -> None:
        """`owner`: a Deployment; "": none. `places`: ranks that a pod takes, by a spec's device ("cpu", "cuda")."""
        self._client, self._template = client, template
        self._batch = kubernetes.client.BatchV1Api(cluster)
        self._apps = kubernetes.client.AppsV1Api(cluster)
        self._owner, self._places, self._max_jobs = owner, places, max_jobs

    def step(self) -> None:
        """Once.

        Raises:
            jenner.JennerError, kubernetes.client.ApiException, urllib3.exceptions.HTTPError: what could not be
                done now; what was done stays done.
        """
        # In this order: a Job of a job that is made meanwhile is not taken for one whose job is gone.
        there = self._list()
        experiments = self._client.list(limit=0)
        stay = kept(self._template, experiments)
        for name in sorted(there - stay):
            self._delete(name)
        there &= stay
        for experiment, job in wanted(experiments):
            if len(there) >= self._max_jobs:
                break
            if self._template.name_of(f"{experiment.id}/{job.id}") in there:
                continue
            gang = self._gang(experiment, job)
            if gang is not None:
                there.add(self._create(gang))

    def _gang(self, experiment: jenner.Experiment, job: jenner.Job) -> Gang | None:
        spec = self._client.get(experiment.id).spec
        device = (spec or {}).get("device", "cpu")
        places = self._places.get(device, 0)
        if places == 0:
            log.warning("%s/%s: no worker here has room for a rank on %s", experiment.id, job.id, device)
            return None
        return Gang(experiment.id, job.id, -(-job.ranks // places))

    def _list(self) -> set[str]:
        names: set[str] = set()
        token = None
        while True:
            page = self._batch.list_namespaced_job(
                self._template.namespace, label_selector=self._template.selector, limit=500, _continue=token
            )
            names |= {one.metadata.name for one in page.items if one.metadata.deletion_timestamp is None}
            token = page.metadata._continue
            if not token:
                return names

    def _owners(self) -> list[Manifest]:
        if not self._owner:
            return []
        owner = self._apps.read_namespaced_deployment(self._owner, self._template.namespace)
        return [{"apiVersion": "apps/v1", "kind": "Deployment", "name": self._owner, "uid": owner.metadata.uid}]

    def _create(self, gang: Gang) -> str:
        manifest = self._template.job_for(gang, self._owners())
        name: str = manifest["metadata"]["name"]
        try:
            self._batch.create_namespaced_job(self._template.namespace, manifest, field_validation="Strict")
            log.info("%s: %d workers for %s", name, gang.workers, gang.path)
        except kubernetes.client.ApiException as error:
            if error.status != 409:  # it is there, or about to go
                raise
        return name

    def _delete(self, name: str) -> None:
        try:
            self._batch.delete_namespaced_job(name, self._template.namespace, propagation_policy="Background")
            log.info("%s: deleted", name)
        except kubernetes.client.ApiException as error:
            if error.status != 404:
                raise


def run(bridge: Bridge, interval: float, stopped: threading.Event) -> None:
    """Until `stopped`: a step each `interval` seconds, after an error up to 16 times as long."""
    pause = interval
    while not stopped.is_set():
        try:
            bridge.step()
            pause = interval
        except (jenner.JennerError, kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as error:
            log.error("%s", str(error).replace("\n", " ")[:500])
            pause = min(2 * pause, 16 * interval)
        stopped.wait(pause)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", type=pathlib.Path, required=True, help="file with the Job that is made")
    parser.add_argument("--owner", default="", help="the Deployment that Jobs belong to")
    parser.add_argument("--slots", type=int, default=1, help="ranks on the CPU that one pod takes")
    parser.add_argument("--gpus", type=int, default=0, help="ranks on GPUs that one pod takes")
    parser.add_argument("--max-jobs", type=int, default=100, help="Jobs at once; the others' jobs wait for their turn")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between looks at Jenner's queue")
    flags = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    kubernetes.config.load_config()  # a kubeconfig, else that of a pod
    bridge = Bridge(
        jenner.Client(),
        kubernetes.client.ApiClient(),
        Template(json.loads(flags.template.read_text())),
        owner=flags.owner,
        places={"cpu": flags.slots, "cuda": flags.gpus},
        max_jobs=flags.max_jobs,
    )
    run(bridge, flags.interval, stopped)


if __name__ == "__main__":
    main()

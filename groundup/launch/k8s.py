"""Kubernetes: a JobSet (jobset.x-k8s.io/v1alpha2) of one pod a host, whose names are known before they run.

jobset.json  for `kubectl apply`; the pods share the volume that the run's folder is on
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from groundup.errors import ConfigError
from groundup.launch._base import NOTICE_SECONDS, Job, ask

API = "jobset.x-k8s.io/v1alpha2"
GROUP = "hosts"


@dataclass(frozen=True)
class K8s:
    """`image` has groundup and its libraries; `claim` is a PersistentVolumeClaim, mounted at the folder of the runs."""

    image: str
    claim: str
    namespace: str = "default"
    gpus: int = 0

    def files(self, job: Job) -> dict[str, str]:
        """The manifest."""
        return {"jobset.json": json.dumps(self.manifest(job), indent=1)}

    def manifest(self, job: Job) -> dict[str, Any]:
        """The JobSet as a tree. A pod that fails ends all, and all are made anew, `restarts` times."""
        name = self._name(job)
        first = f"{name}-{GROUP}-0-0.{name}"
        resources = {"limits": {"nvidia.com/gpu": str(self.gpus)}} if self.gpus else {}
        container = {
            "name": "groundup",
            "image": self.image,
            "workingDir": str(job.folder),
            "command": ["bash", "-c", "exec " + job.command(first, "$JOB_COMPLETION_INDEX")],
            "ports": [{"containerPort": job.port}],
            "resources": resources,
            "volumeMounts": [{"name": "runs", "mountPath": str(job.runs)}, {"name": "shm", "mountPath": "/dev/shm"}],
        }
        pod = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": NOTICE_SECONDS,
            "containers": [container],
            "volumes": [
                {"name": "runs", "persistentVolumeClaim": {"claimName": self.claim}},
                {"name": "shm", "emptyDir": {"medium": "Memory"}},
            ],
        }
        spec = {
            "parallelism": job.hosts,
            "completions": job.hosts,
            "completionMode": "Indexed",
            "backoffLimit": 0,
            "template": {"spec": pod},
        }
        return {
            "apiVersion": API,
            "kind": "JobSet",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": "groundup"}},
            "spec": {
                "failurePolicy": {"maxRestarts": job.restarts},
                "network": {"enableDNSHostnames": True},
                "replicatedJobs": [{"name": GROUP, "replicas": 1, "template": {"spec": spec}}],
            },
        }

    def submit(self, job: Job) -> str:
        """Apply the manifest, unless a JobSet of that name is there. Raises ResourceError."""
        where = ["--namespace", self.namespace]
        there = ask(
            ["kubectl", "get", "jobset", self._name(job), "--ignore-not-found", "--output=name", *where], "--k8s"
        )
        if there:
            return f"{there} is there already; `kubectl delete` it first to submit another: the run goes on"
        return ask(["kubectl", "apply", "--filename", str(job.place / "jobset.json"), *where], "--k8s")

    def _name(self, job: Job) -> str:
        """A name that DNS takes. Raises ConfigError for one of which nothing is left, or that is too long for pods."""
        name = re.sub(r"[^a-z0-9]+", "-", job.label.lower()).strip("-")
        if len(name) > 40:
            raise ConfigError(f"--name {job.name}: Kubernetes needs names of pods below 63 letters; use a shorter one")
        return name

"""A Ray cluster: a Ray job that reserves the hosts and starts torchrun on each.

ray.json     what the Ray job reads; it is `python -m groundup.launch._on_ray ray.json`
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import ResourceError
from groundup.launch._base import Job, ask


@dataclass(frozen=True)
class Ray:
    """The cluster's dashboard: `http://HOST:8265`. `gpus` are reserved on each host, else a CPU for each rank."""

    address: str
    gpus: int = 0
    ray: str = ""
    """Ray's own command; empty: the one beside this interpreter."""

    def files(self, job: Job) -> dict[str, str]:
        """What each host runs, and what is reserved on it."""
        each = {"GPU": self.gpus, "CPU": 1} if self.gpus else {"CPU": job.ranks}
        needs = {
            "hosts": job.hosts,
            "each": each,
            "command": job.command('"$first"', "$number"),
            "folder": str(job.folder),
        }
        return {"ray.json": json.dumps(needs, indent=1)}

    def submit(self, job: Job) -> str:
        """Submit, unless a job of that name waits or runs; one that ended is followed by another.

        Raises ResourceError.
        """
        number = 1
        while (state := self._state(f"{job.label}-{number}")) is not None:
            if state in ("PENDING", "RUNNING"):
                return f"job {job.label}-{number} is {state.lower()} already; stop it first to submit another"
            number += 1
        script = f"cd {shlex.quote(str(job.folder))} && exec python -m groundup.launch._on_ray {job.place / 'ray.json'}"
        name = f"{job.label}-{number}"
        words = ["job", "submit", f"--address={self.address}", f"--submission-id={name}", "--no-wait"]
        ask([self._command, *words, "--", "bash", "-c", script], "--ray")
        return f"job {name} is submitted; its log: ray job logs {name} --address={self.address}"

    @property
    def _command(self) -> str:
        return self.ray or str(Path(sys.executable).parent / "ray")

    def _state(self, name: str) -> str | None:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED; None where there is no such job. Raises ResourceError."""
        listed = ask([self._command, "job", "list", f"--address={self.address}"], "--ray")
        if f"'{name}'" not in listed and f'"{name}"' not in listed:
            return None
        told = ask([self._command, "job", "status", name, f"--address={self.address}"], "--ray").upper()
        for state in ("PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"):
            if state in told:
                return state
        raise ResourceError(f"--ray: the cluster says of {name}: {told!r}; look at its dashboard")

"""What is to be started, the same everywhere, and what each launcher does with it."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from groundup.errors import ResourceError

PORT = 29400
"""Where the ranks of the first host are met: torchrun's own default."""

NOTICE_SECONDS = 120
"""How long before it is ended a job is told, where the cluster can tell it: time to save."""


@dataclass(frozen=True)
class Job:
    """`groundup run` on `hosts` machines, with `ranks` processes on each. Folders are the same on all of them."""

    name: str
    """Of the run."""
    words: tuple[str, ...]
    """What follows `groundup run`."""
    runs: Path
    folder: Path
    """Where the command is started: paths in `words` are relative to it."""
    python: str
    hosts: int = 1
    ranks: int = 1
    least: int = 1
    """Hosts that it may go on with, when some do not come back."""
    restarts: int = 3
    """Times that all ranks are started again after one of them died."""
    port: int = PORT
    modules: str = ""
    """PYTHONPATH, where groundup is not installed but lies in a folder."""

    @property
    def place(self) -> Path:
        """Where the launcher's files and the logs of all ranks go."""
        return self.runs / self.name / "launch"

    @property
    def label(self) -> str:
        """Under which the cluster knows it."""
        return f"groundup-{self.name}"

    def command(self, first: str, number: str) -> str:
        """The shell command of one host: the shell's words for the host that all meet at, and for its own number.

        Number 0 is the one met at. torch's own guess fails where a host's name stands for loopback, as on Debian.
        """
        nodes = f"{self.least}:{self.hosts}" if self.least < self.hosts else str(self.hosts)
        paths = ["env", f"PYTHONPATH={self.modules}"] if self.modules else []
        torchrun = [
            *paths, self.python, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={self.ranks}",
            "--rdzv-backend=c10d", f"--rdzv-id={self.label}", f"--max-restarts={self.restarts}",
            f"--log-dir={self.place / 'logs'}", "--tee=3",
        ]  # fmt: skip
        run = ["-m", "groundup", "run", *self.words, "--name", self.name, "--runs", str(self.runs), "--quiet"]
        meeting = f"--rdzv-endpoint={first}:{self.port} --rdzv-conf=is_host=$(({number} == 0))"
        return f"{shlex.join(torchrun)} {meeting} {shlex.join(run)}"


class Launcher(Protocol):
    """One way to start a job. Writing its files needs no cluster; handing them over twice starts one job."""

    def files(self, job: Job) -> dict[str, str]:
        """Name -> text of what the cluster is given."""

    def submit(self, job: Job) -> str:
        """Hand over the files that were written; what came of it, in a line. Raises ResourceError."""


def write(launcher: Launcher, job: Job) -> list[Path]:
    """Put the files of a job in its place."""
    job.place.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in launcher.files(job).items():
        paths.append(job.place / name)
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def ask(words: Sequence[str], what: str) -> str:
    """What a cluster's own tool answers. Raises ResourceError, with its words, where it is missing or refuses."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise ResourceError(
            f"{what} needs {words[0]!r}, which is not here; use --dry-run, and submit elsewhere"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ResourceError(f"{what}: `{shlex.join(words)}` failed: {said}; mend that and launch again")
    return done.stdout.strip()

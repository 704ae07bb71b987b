"""What importing costs: nobody waits for torch to read a help page."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from syntax import ROOT, Source

TORCH_FREE = (
    "cli",
    "config",
    "corpus",
    "errors",
    "events",
    "pipeline",
    "recipe",
    "store",
    "tasks",
    "tokenizer",
    "tokens",
)
"""Rooms and files that a command reads before it knows whether there is anything to do."""

HELP_SECONDS = 0.3


def test_what_opens_the_door_loads_no_torch(package: list[Source]) -> None:
    """One process imports them one after the other, and names the first that brings torch along."""
    names = [source.module for source in package if source.module.partition(".")[2].partition(".")[0] in TORCH_FREE]
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n"
        "        sys.exit(f'{name} imports torch')\n"
    )
    done = python("-c", script, *names)
    assert done.returncode == 0, done.stderr


def test_help_loads_no_torch() -> None:
    """`-X importtime` lists every module on standard error."""
    done = python("-X", "importtime", "-m", "groundup", "--help")
    assert done.returncode == 0, done.stderr
    assert "chat" in done.stdout
    heavy = {"torch", "numpy", "pyarrow", "daft", "tokenizers", "matplotlib"}
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "groundup.cli" in loaded
    assert not heavy & loaded


@pytest.mark.skipif(sys.platform == "win32", reason="counts processor time of child processes, which Windows does not")
def test_help_is_quick() -> None:
    """The processor time of the best of five: a busy machine does not change it as it changes the wall clock."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    seconds = []
    for _ in range(5):
        before = spent()
        assert python("-m", "groundup", "--help").returncode == 0
        seconds.append(spent() - before)
    assert min(seconds) < HELP_SECONDS


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter from the root of the repository, so that the package is found."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=Path(ROOT),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

"""Starts torchrun on this machine, as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("cases.py")


def torchrun(n: int, *words: object, seconds: float = 600.0, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`torchrun --nproc-per-node n WORDS` on one thread a rank, to its end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(
        [*command, *map(str, words)], env=environment, cwd=cwd, capture_output=True, text=True, timeout=seconds
    )


def figures(n: int, dtype: str, *patterns: str, steps: int = 20, seconds: float = 600.0) -> dict[str, dict[str, Any]]:
    """What `cases.py` says of each case whose name a pattern matches. All of them go through one torchrun."""
    done = torchrun(n, CASES, dtype, steps, *patterns, seconds=seconds)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row.pop("case"): row for row in rows}

"""Programs that a model wrote, and tests that they must pass: run in the sandbox and nowhere else."""

import re
from functools import cache

from groundup.tools._sandbox import Limits, Outcome, Result, Sandbox

SECONDS = 10.0
"""A program has so long; the harness gives 3 (its `code_eval`), too few on a busy machine of two cores."""
FENCED = re.compile(r"```(?:\w+)?\n(.*?)(?:```|\Z)", re.DOTALL)


def passes(program: str, tests: str) -> float:
    """1.0 when the program and then its tests run to their end. Raises UnsupportedError where there is no sandbox."""
    return float(ran(program, tests).outcome is Outcome.FINISHED)


def ran(program: str, tests: str) -> Result:
    """What became of a program and its tests. Raises UnsupportedError where this machine has no sandbox."""
    return _sandbox().run(f"{program}\n{tests}", limits=Limits(seconds=SECONDS, memory_bytes=1 << 30))


def unfenced(reply: str) -> str:
    """The program of a reply: its first block between fences, else all of it.

    >>> unfenced("Here it is:\\n```python\\nx = 1\\n```\\nGood?")
    'x = 1\\n'
    """
    fenced = FENCED.search(reply)
    return fenced[1] if fenced else reply


@cache
def _sandbox() -> Sandbox:
    """The machine's cage, tried once."""
    return Sandbox()

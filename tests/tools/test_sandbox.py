"""Hostile programs in each cage that this machine has: none gets out, none hangs, each is told for what it is."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from groundup.errors import UnsupportedError
from groundup.tools._sandbox import Limits, Outcome, Sandbox
from tools.hostile import HOSTILE

QUICK = ("fork", "connect", "read the secret", "write outside", "kill another", "ctypes system", "10 GB", "leave early")
LIMITS = Limits(seconds=2.0, memory_bytes=256 << 20)


@dataclass(frozen=True)
class World:
    """What must be as it was: a file, a process, a server that nobody called."""

    secret: Path
    victim: "subprocess.Popen[str]"
    port: int

    def is_whole(self) -> bool:
        return self.secret.read_text() == "the secret words" and self.victim.poll() is None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    secret = tmp_path_factory.mktemp("home") / "secret"
    secret.write_text("the secret words")
    script = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); s.accept()"
    )
    victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert victim.stdout
    with victim:
        yield World(secret, victim, int(victim.stdout.readline()))
        victim.kill()


@pytest.fixture(scope="module", params=["bwrap", None])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    try:
        made = Sandbox(request.param)
    except UnsupportedError as error:
        pytest.skip(str(error))
    if request.param and made.cage != "bubblewrap":
        pytest.skip("needs bubblewrap, which is not installed here or may not run")
    return made


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in HOSTILE]
)
def test_no_program_gets_out(name: str, sandbox: Sandbox, world: World) -> None:
    """The victim accepts one call and ends: were it called, it would be gone."""
    program, right = HOSTILE[name]
    program = program.format(secret=str(world.secret), pid=world.victim.pid, port=world.port)
    started = time.monotonic()
    result = sandbox.run(program, limits=LIMITS)
    assert time.monotonic() - started < 30 + LIMITS.seconds
    assert result.outcome.value in right, f"{result.outcome}: {result.output[-300:]}{result.errors[-300:]}"
    assert "the secret words" not in result.output + result.errors
    assert world.is_whole()


def test_the_suite_is_large_enough() -> None:
    assert len(HOSTILE) >= 40


def test_an_honest_program_runs(sandbox: Sandbox) -> None:
    program = (
        "import collections, math, re, threading\n"
        "n = int(input())\n"
        "done = []\n"
        "threads = [threading.Thread(target=done.append, args=(k,)) for k in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(math.factorial(n), sorted(done), collections.Counter('aab').most_common(1), re.findall('[0-9]', 'a1'))\n"
        "if __name__ == '__main__': print('ünïcode 世界')"
    )
    result = sandbox.run(program, stdin="20\n")
    assert result.outcome is Outcome.FINISHED, result.errors
    assert result.output == "2432902008176640000 [0, 1, 2, 3] [('a', 2)] ['1']\nünïcode 世界\n"
    assert result.cage in ("bubblewrap", "namespaces", "filter") and result.cage == sandbox.cage


def test_an_error_is_told_with_its_line(sandbox: Sandbox) -> None:
    result = sandbox.run("x = 1\nassert x == 2, 'not two'")
    assert result.outcome is Outcome.FAILED
    assert "line 2" in result.errors and result.errors.endswith("AssertionError: not two\n")


def test_output_is_cut_at_its_limit(sandbox: Sandbox) -> None:
    result = sandbox.run("print('x' * 5000)", limits=Limits(output_bytes=1000))
    assert result.outcome is Outcome.OUTPUT and result.output == "x" * 1000

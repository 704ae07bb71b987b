"""Runs Python that nobody has read, as model-written code is: it computes, prints, and can do nothing else.

Two cages, the better first; `Sandbox.cage` says which one it is:

    bubblewrap    an empty read-only root with Python alone in it, a /tmp of its own, no network, own process numbers;
                  inside it the filter and the limits of `_cage.py`
    namespaces    the filter and the limits, no files at all, an empty root and no network by namespaces
    filter        the filter and the limits, no files at all: where the kernel refuses namespaces

Where none of them works (no Linux, no seccomp) nothing is run.
"""

import contextlib
import json
import os
import platform
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

from groundup.errors import ResourceError, UnsupportedError

INSIDE = Path(Path(__file__).parent, "_cage.py")
START_SECONDS = 30.0  # for the cage itself, which takes a tenth of one on a machine with nothing else to do
STARTED = (b"namespaces\n", b"filter\n")


class Outcome(Enum):
    """How a program ended."""

    FINISHED = "finished"
    """It ran to its end. (One that is bent on it can fake this, by reading the memory that it shares with the cage.)"""
    EXITED = "exited"
    """It left by itself before its end, whatever code it gave."""
    FAILED = "failed"
    """An exception ended it; refused system calls come as OSError."""
    MEMORY = "memory"
    """It asked for more memory than it may have."""
    TIME = "time"
    """It ran out of time: of the clock, or of the processor."""
    OUTPUT = "output"
    """It printed more than it may."""
    KILLED = "killed"
    """A signal ended it: a crash, or a call that no filter lets pass."""


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    seconds: float = 5.0
    """By the clock, and of the processor."""
    memory_bytes: int = 512 << 20
    """Of address space."""
    file_bytes: int = 1 << 20
    """In one file, where it has files."""
    output_bytes: int = 64 << 10
    """Printed, on both streams together."""


@dataclass(frozen=True)
class Result:
    """What a program did."""

    outcome: Outcome
    output: str
    errors: str
    seconds: float
    cage: str


class Sandbox:
    """The best cage of this machine, tried once when it is made."""

    def __init__(self, bubblewrap: str | None = "bwrap") -> None:
        """`bubblewrap` is the program's name or path; None does without. Raises UnsupportedError where none works."""
        found = shutil.which(bubblewrap) if bubblewrap else None
        if platform.system() != "Linux":
            raise UnsupportedError(f"no sandbox works on {platform.system()}; run model-written code on Linux")
        self._bubblewrap = None
        self.cage = ""
        """"bubblewrap", "namespaces" or "filter"."""
        for wrapper in dict.fromkeys((found, None)):
            self._bubblewrap = wrapper
            try:
                result = self.run("print(6 * 7)", limits=Limits(seconds=60.0))
            except ResourceError:
                continue
            if result.outcome is Outcome.FINISHED and result.output == "42\n":
                self.cage = result.cage
                return
        raise UnsupportedError(
            f"no sandbox works on this {sys.platform} machine: bubblewrap is missing or may not run, and the kernel "
            "takes no filter; install bubblewrap. Model-written code is not run without a sandbox"
        )

    def run(self, program: str, stdin: str = "", limits: Limits | None = None) -> Result:
        """Run `program` to its end or its limits; never raises for what it does.

        Raises ResourceError where the cage itself could not be set up.
        """
        limits = limits or Limits()
        try:
            compile(program, "program.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return Result(Outcome.FAILED, "", f"{type(error).__name__}: {error}", 0.0, self.cage)
        nonce = secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="groundup-cage-") as root:
            Path(root).chmod(0o555)
            reading, writing = os.pipe()
            request = {
                "program": program,
                "stdin": stdin,
                "report": writing,
                "nonce": nonce,
                "root": root,
                "files": self._bubblewrap is not None,
                "limits": _rlimits(limits),
            }
            started = time.monotonic()
            process = subprocess.Popen(
                [*self._wrapping(), _python(), "-I", "-S", "-B", "-X", "utf8", str(INSIDE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(writing,),
                env={},
                cwd="/",
                start_new_session=True,
            )
            os.close(writing)
            try:
                texts, told, why = _watch(process, json.dumps(request).encode(), reading, limits)
            finally:
                os.close(reading)
        seconds = time.monotonic() - started
        output, errors = (text.decode("utf-8", errors="replace") for text in texts)
        if not told.startswith(STARTED) and why is None:
            raise ResourceError(f"the sandbox could not be set up: {errors.strip()[-300:] or 'no reason was given'}")
        cage = "bubblewrap" if self._bubblewrap else told.partition(b"\n")[0].decode() or self.cage
        outcome = why or _outcome(process.returncode, told.endswith(nonce.encode()), errors)
        return Result(outcome, output, errors, seconds, cage)

    def _wrapping(self) -> list[str]:
        if self._bubblewrap is None:
            return []
        words = [
            self._bubblewrap, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
            "--uid", "65534", "--gid", "65534", "--hostname", "cage", "--dev", "/dev", "--remount-ro", "/dev",
            "--size", str(16 << 20), "--tmpfs", "/tmp",
        ]  # fmt: skip
        for place in dict.fromkeys((*_libraries(), str(INSIDE.parent))):
            words += ["--ro-bind", place, place]
        for link in ("/lib", "/lib64", "/bin"):
            if Path(link).is_symlink():
                words += ["--symlink", str(Path(link).readlink()), link]
        return [*words, "--remount-ro", "/", "--chdir", "/tmp", "--"]


def _python() -> str:
    """The interpreter itself, not that of a virtual environment: what is installed there is not for the program."""
    return str(Path(sys.executable).resolve())


def _libraries() -> list[str]:
    """What Python needs to start."""
    places = [sys.base_prefix, str(Path(_python()).parent.parent), "/usr/lib", "/usr/lib64", "/lib", "/lib64"]
    real = [str(Path(place).resolve()) for place in places if Path(place).is_dir()]
    return [place for place in dict.fromkeys(real) if place != "/"]


def _rlimits(limits: Limits) -> dict[str, int]:
    """For setrlimit. A second more of the processor than of the clock: the clock is the one that is told apart."""
    return {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_CPU": int(limits.seconds) + 2,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_NOFILE": 32,
        "RLIMIT_CORE": 0,
        "RLIMIT_STACK": 64 << 20,
    }


def _watch(
    process: "subprocess.Popen[bytes]", request: bytes, report: int, limits: Limits
) -> tuple[Sequence[bytes], bytes, Outcome | None]:
    """Feed the process, read what it prints, end it at its limits: both streams, its report, and why it was ended."""
    assert process.stdin and process.stdout and process.stderr
    texts, room = (bytearray(), bytearray()), [limits.output_bytes]
    flooded, lock = threading.Event(), threading.Lock()

    def read(stream: IO[bytes], text: bytearray) -> None:
        while chunk := os.read(stream.fileno(), 1 << 14):
            with lock:
                text += chunk[: room[0]]
                room[0] -= min(len(chunk), room[0])
                if not room[0]:
                    flooded.set()
                    _end(process)

    readers = [
        threading.Thread(target=read, args=pair, daemon=True)
        for pair in ((process.stdout, texts[0]), (process.stderr, texts[1]))
    ]
    for reader in readers:
        reader.start()
    why = None
    told = b""
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(request)
            process.stdin.close()
        if select.select([report], [], [], START_SECONDS)[0]:
            told = os.read(report, 64)  # the cage is closed: the program's own time begins
            process.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        why = Outcome.TIME
    finally:
        _end(process)
        process.wait()
    for reader in readers:
        reader.join()
    process.stdout.close()
    process.stderr.close()
    while more := os.read(report, 4096):
        told = (told + more)[-4096:]
    return (bytes(texts[0]), bytes(texts[1])), told, Outcome.OUTPUT if flooded.is_set() else why


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and its group. In the cage there can be no other process; bubblewrap's ends with it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _outcome(code: int, finished: bool, errors: str) -> Outcome:
    last = errors.rstrip().rpartition("\n")[2]
    if code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        return Outcome.TIME
    if last.startswith("MemoryError"):
        return Outcome.MEMORY
    if finished and code == 0:
        return Outcome.FINISHED
    if code < 0 or code > 128:
        return Outcome.KILLED
    return Outcome.FAILED if code == 1 and "Traceback" in errors else Outcome.EXITED

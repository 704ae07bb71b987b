"""What this machine can do, found by running things: a kernel that imports may still be slow, or not run at all."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import get_args

import psutil
import torch

from groundup.corpus.crew import usable_cores
from groundup.layers.attention import Backend, Sight, attend

PROBE_SECONDS = 0.25
"""Longest that one matmul size may take before the probe stops growing it."""
THREADS_SECONDS, THREADS_ROUNDS, THREADS_GAIN = 0.03, 3, 1.3
"""How long a number of threads is tried in each round, and how much faster fewer must be to be taken."""


@dataclass(frozen=True)
class Machine:
    """Rates in FLOP/s, sizes in bytes, times in seconds."""

    device: str
    device_name: str
    cores: int
    memory: int
    disk: int
    matmul: dict[str, float]
    attention: dict[str, float]
    threads: int | None = None
    """Threads that numeric work pays with, where that was tried; None: one for each core."""
    asked: str | None = None
    """The precision that the user has set; None: the measurement decides."""

    @property
    def precision(self) -> str:
        """What was asked for, else the fastest kind that is safe: half precision must repay its casts by 1.3x."""
        if self.asked is not None:
            return self.asked
        best = max(("fp32", "bf16"), key=lambda kind: self.matmul.get(kind, 0.0) * (1.0 if kind == "fp32" else 1 / 1.3))
        if self.device == "cuda" and self.matmul.get("fp16", 0.0) > 1.5 * self.matmul.get(best, 0.0):
            return "fp16"
        return best

    @property
    def rate(self) -> float:
        """FLOP/s of a matrix product in the chosen precision: the denominator of the measured MFU."""
        return self.matmul[self.precision]


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def settle(processes: int = 1) -> None:
    """Set this process up for long numeric work: a thread for each usable core, shared by so many like it."""
    torch.set_num_threads(max(1, usable_cores() // processes))


def pick_device() -> str:
    """The best device that runs a product: cuda, mps, else cpu."""
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if there:
            try:
                torch.ones(8, 8, device=name).matmul(torch.ones(8, 8, device=name)).sum().item()
            except RuntimeError:
                continue
            return name
    return "cpu"


def probe(folder: Path, threads: bool = False) -> Machine:
    """Measure this machine; `folder` is where runs will live (its disk is looked at). Takes one to three seconds.

    With `threads` it is found out how many of them pay, and from then on this process has no more.
    """
    device = pick_device()
    alone = torch.get_num_threads() == usable_cores()  # else this is one of several ranks here, each with its share
    paying = threads_that_pay() if threads and alone and device == "cpu" else None
    matmul = {name: _matmul_rate(device, dtype) for name, dtype in DTYPES.items()}
    partial = Machine(device, "", 0, 0, 0, matmul, {})
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return Machine(
        device=device,
        device_name=torch.cuda.get_device_name() if device == "cuda" else processor(),
        cores=usable_cores(),
        memory=torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available,
        disk=shutil.disk_usage(there).free,
        matmul=matmul,
        attention=_attention_seconds(device, DTYPES[partial.precision]),
        threads=paying,
    )


def threads_that_pay() -> int:
    """Have this process take no more threads than speed up many short steps, and say how many those are.

    Each short step waits for its slowest thread, so where another process keeps a core busy, fewer threads are faster.
    """
    most = torch.get_num_threads()
    x = torch.zeros(1 << 19)
    tried = sorted({most, most - 1, most // 2, 1} - {0}, reverse=True)
    rates: dict[int, list[float]] = {n: [] for n in tried}
    for _ in range(THREADS_ROUNDS):
        for n in tried:
            torch.set_num_threads(n)
            x.add_(1.0)
            start, steps = time.perf_counter(), 0
            while time.perf_counter() - start < THREADS_SECONDS:
                x.add_(1.0)
                steps += 1
            rates[n].append(steps / (time.perf_counter() - start))
    typical = {n: median(found) for n, found in rates.items()}
    best = max(tried, key=lambda n: typical[n])
    taken = best if typical[best] > THREADS_GAIN * typical[most] else most
    torch.set_num_threads(taken)
    return taken


def seconds_of(work: Callable[[], object], device: str, repeats: int = 3) -> float:
    """Fewest seconds of `work`, after one go that is not counted; the device's queue emptied before and after."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


def _matmul_rate(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a square product, at the largest size that stays under PROBE_SECONDS; 0.0 if it does not run.

    Grown from small: an fp16 product of 2048 takes many seconds on processors that emulate it.
    """
    best = 0.0
    size = 128
    while size <= (8192 if device == "cuda" else 1024):
        try:
            a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
            seconds = seconds_of(lambda a=a, b=b: a @ b, device, repeats=2)  # type: ignore[misc]
        except RuntimeError:
            return best
        best = max(best, 2 * size**3 / seconds)
        if seconds > PROBE_SECONDS / 8:
            break
        size *= 2
    return best


def _attention_seconds(device: str, dtype: torch.dtype) -> dict[str, float]:
    """Seconds of one forward and backward of each attention path; a path that fails is left out."""
    rows = 8 if device == "cpu" else 32
    found = {}
    sight = Sight(torch.arange(256, device=device)[None], 256)
    for name in get_args(Backend):
        q, k, v = (torch.randn(rows, 4, 256, 64, device=device, dtype=dtype, requires_grad=True) for _ in range(3))

        def work(name: Backend = name, q: torch.Tensor = q, k: torch.Tensor = k, v: torch.Tensor = v) -> None:
            attend(q, k, v, sight, name).sum().backward()

        try:
            work()
            found[name] = seconds_of(work, device)
        except (RuntimeError, NotImplementedError):
            continue
    return found


def processor() -> str:
    """The name of this machine's processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    import platform

    return platform.processor() or platform.machine()

"""Worker processes that survive what they read: a document that crashes or hangs its worker costs that document only.

The parent watches where each worker stands. When one dies, or stays on one item for too long, the parent starts another
and gives it the same job again with the place marked as a fault, which the job then steps over.
"""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from groundup.errors import ResourceError

Phase = Literal["reading", "judging"]
PHASES: tuple[Phase, ...] = ("reading", "judging")
CHECK_SECONDS = 0.5
IDLE = -1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a worker was lost on an item: while it was read, or while it was judged."""

    phase: Phase
    reason: Literal["crashed", "timed_out"]


class Beat:
    """Where a worker stands, in memory that it shares with its parent: item, phase, time since when."""

    def __init__(self, cells: Any) -> None:
        self._cells = cells

    def at(self, item: int, phase: Phase) -> None:
        """Work on this item begins."""
        self._cells[0], self._cells[1], self._cells[2] = item, PHASES.index(phase), time.monotonic()

    def rest(self) -> None:
        """No item is worked on; nothing is timed."""
        self._cells[0] = self._cells[2] = IDLE

    @property
    def place(self) -> tuple[int, Phase]:
        """The item in work (-1 when none is) and its phase."""
        return int(self._cells[0]), PHASES[int(self._cells[1])]

    @property
    def seconds(self) -> float:
        """How long the item has been in work; 0.0 when none is."""
        since = self._cells[2]
        return time.monotonic() - since if since != IDLE else 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """A number and a payload for the workers' function, and the faults of items that it must step over."""

    number: int
    payload: Any
    faults: dict[int, Fault] = field(default_factory=dict)


Work = Callable[[Job, Beat], Any]


def usable_cores() -> int:
    """Cores this process may run on (its affinity, not the machine's count)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Crew:
    """Some worker processes, started as they are needed; `crew(...)` makes one and ends it."""

    def __init__(self, workers: int, item_seconds: float) -> None:
        self._size, self._item_seconds = workers, item_seconds
        self._workers: list[_Worker] = []

    def run(self, work: Work, payloads: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """The number and result of each payload, in the order in which they end. `work` is a function of a module.

        Raises what `work` raises, and ResourceError when the same place costs a worker twice.
        """
        waiting = deque(Job(number, payload) for number, payload in enumerate(payloads))
        pending = len(waiting)
        while pending:
            for worker in self._idle(len(waiting)):
                worker.give(work, waiting.popleft())
            for worker in self._ready():
                outcome = worker.take()
                if isinstance(outcome, _Lost):
                    self._workers.remove(worker)
                    waiting.appendleft(_marked(outcome))
                    continue
                pending -= 1
                yield outcome

    def close(self) -> None:
        """End every worker at once."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _idle(self, needed: int) -> list["_Worker"]:
        idle = [worker for worker in self._workers if worker.job is None]
        while len(idle) < needed and len(self._workers) < self._size:
            self._workers.append(_Worker())
            idle.append(self._workers[-1])
        return idle[:needed]

    def _ready(self) -> list["_Worker"]:
        """Busy workers with a result, dead ones, and late ones, which are killed here."""
        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        ready = [busy[connection] for connection in wait(list(busy), CHECK_SECONDS)]  # type: ignore[index]
        for worker in busy.values():
            if worker not in ready and worker.beat.seconds > self._item_seconds:
                worker.late = True
                worker.end()
                ready.append(worker)
        return ready


@contextmanager
def crew(workers: int, item_seconds: float) -> Iterator[Crew]:
    """At most `workers` processes, each of which may spend `item_seconds` on one item; ended on the way out."""
    made = Crew(workers, item_seconds)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True, slots=True)
class _Lost:
    job: Job
    item: int
    fault: Fault
    exit_code: int | None


class _Worker:
    """One process, from the parent's side."""

    def __init__(self) -> None:
        # Not forked: the parent may hold threads and locks of torch or Daft.
        context = multiprocessing.get_context("spawn")
        cells = context.RawArray("d", [IDLE, 0.0, IDLE])
        self.beat = Beat(cells)
        self.connection, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, cells), daemon=True)
        self.process.start()
        far.close()
        self.job: Job | None = None
        self.late = False

    def give(self, work: Work, job: Job) -> None:
        """Hand over a job. A worker that has died is noticed when its result is taken."""
        self.job = job
        try:
            self.connection.send((work, job))
        except OSError:
            self.process.join()

    def take(self) -> "tuple[int, Any] | _Lost":
        """The result of the job, or what is known of the worker's end. Raises what the job raised."""
        job, self.job = self.job, None
        assert job is not None
        try:
            good, result = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            item, phase = self.beat.place
            return _Lost(job, item, Fault(phase, "timed_out" if self.late else "crashed"), self.process.exitcode)
        if not good:
            raise result
        return job.number, result

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.join()


def _marked(lost: _Lost) -> Job:
    """The job again, with the place of the loss marked. Raises ResourceError when that cannot help."""
    known = lost.job.faults.get(lost.item)
    if lost.item < 0 or (known is not None and (known.phase == "reading" or known.phase == lost.fault.phase)):
        raise ResourceError(
            f"a worker process of the corpus ended with exit code {lost.exit_code}; "
            "if the machine ran out of memory, use fewer workers"
        )
    return replace(lost.job, faults={**lost.job.faults, lost.item: lost.fault})


def _serve(connection: Connection, cells: Any) -> None:
    """The life of a worker: jobs in, results out, until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    beat = Beat(cells)
    while True:
        try:
            work, job = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, work(job, beat))
        except Exception as error:
            answer = (False, error)
        beat.rest()
        try:
            connection.send(answer)
        except OSError:
            return

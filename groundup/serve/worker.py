"""The engine in a thread of its own: its one owner, so that the event loop never waits for a forward pass.

Everything that touches the engine goes through one inbox of things to do; what comes out is posted to the event loop
once a step. Requests beyond those that run and may wait are refused at the door.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from groundup.infer.engine import Engine, Event
from groundup.infer.schedule import Request

T = TypeVar("T")

Deliver = Callable[[int, Event | Exception], None]
"""Called in the event loop with the number of the request in its job and what happened: an event, or why it ended."""

MOST_RETRY_SECONDS = 30


class FullError(Exception):
    """As many requests run and wait as may; `seconds` is when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"try again in {seconds} s")
        self.seconds = seconds


@dataclass(eq=False)
class Job:
    """Requests that belong together, such as the `n` choices of one reply."""

    requests: Sequence[Request]
    deliver: Deliver
    began: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    left: int = 0


class Worker:
    """Runs the jobs of one engine. All methods but those with an underscore are called from the event loop."""

    def __init__(self, engine: Engine, *, waiting: int) -> None:
        """At most `waiting` requests wait beside those that have a row. Start it with `start`."""
        self._engine = engine
        self._limit = engine.rows + waiting
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs: dict[int, tuple[Job, int]] = {}
        self._open = 0
        self._lock = threading.Lock()
        self._job_seconds = 1.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def open(self) -> int:
        """Requests that run or wait."""
        return self._open

    def start(self) -> None:
        """Begin to work, and to deliver to the event loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Cancel what still runs and end the thread. Raises RuntimeError when it does not end."""
        self._inbox.put(None)
        self._thread.join(timeout=60)
        if self._thread.is_alive():
            raise RuntimeError("the engine's thread did not end")

    def submit(self, requests: Sequence[Request], deliver: Deliver) -> Job:
        """Run requests. Raises ConfigError as `Engine.check` does, and FullError when there are too many already."""
        for request in requests:
            self._engine.check(request)
        self._take(len(requests))
        job = Job(requests, deliver, left=len(requests))
        self._inbox.put(lambda: self._begin(job))
        return job

    def cancel(self, job: Job) -> None:
        """Nobody waits for a job any more; one that is done is left alone."""
        job.cancelled = True
        self._inbox.put(lambda: self._drop(job))

    async def call(self, work: Callable[[Engine], T]) -> T:
        """What `work` returns, or raises, given the engine; it runs between two steps. Raises FullError as `submit`."""
        self._take(1)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            if answer.cancelled():
                return
            if error is None:
                answer.set_result(result)  # type: ignore[arg-type]
            else:
                answer.set_exception(error)

        def run() -> None:
            try:
                self._post(partial(settle, work(self._engine), None))
            except Exception as error:
                self._post(partial(settle, None, error))
            with self._lock:
                self._open -= 1

        self._inbox.put(run)
        return await answer

    def _work(self) -> None:
        while True:
            try:
                if not self._obey():
                    break
                self._hand_out(self._engine.step())
            except Exception as error:  # out of memory, or a bug: those who wait must hear of it
                self._fail(error)
        self._fail(RuntimeError("the server is shutting down"))

    def _obey(self) -> bool:
        """Do what the inbox asks, waiting for something to do while the engine has nothing; False: stop."""
        while True:
            try:
                task = self._inbox.get(block=not self._engine.busy)
            except queue.Empty:
                return True
            if task is None:
                return False
            task()

    def _begin(self, job: Job) -> None:
        if job.cancelled:
            self._close(job, job.left)
            return
        for number, request in enumerate(job.requests):
            try:
                self._jobs[self._engine.submit(request)] = (job, number)
            except Exception as error:
                self._close(job, 1)
                self._post(partial(_deliver, [(job, number, error)]))

    def _drop(self, job: Job) -> None:
        for request_id in [request_id for request_id, (owner, _) in self._jobs.items() if owner is job]:
            self._engine.cancel(request_id)
            del self._jobs[request_id]
            self._close(job, 1)

    def _hand_out(self, events: Sequence[Event]) -> None:
        """Give each event to its job, all of them with one call into the event loop."""
        letters = [(*self._jobs[event.request_id], event) for event in events if event.request_id in self._jobs]
        for job, _, event in letters:
            if event.done:
                del self._jobs[event.request_id]
                self._close(job, 1)
        self._post(partial(_deliver, letters))

    def _fail(self, error: Exception) -> None:
        """End every request with an error."""
        letters = [(job, number, error) for job, number in self._jobs.values()]
        self._jobs.clear()
        self._engine.clear()
        for job, _, _ in letters:
            self._close(job, 1)
        self._post(partial(_deliver, letters))

    def _take(self, n: int) -> None:
        """Make room for `n` requests. Raises FullError when there is none."""
        with self._lock:
            if self._open + n > self._limit:
                raise FullError(min(MOST_RETRY_SECONDS, 1 + int(self._job_seconds)))
            self._open += n

    def _close(self, job: Job, n: int) -> None:
        """`n` more requests of a job are over."""
        with self._lock:
            self._open -= n
        job.left -= n
        if job.left == 0 and not job.cancelled:
            self._job_seconds += 0.1 * (time.monotonic() - job.began - self._job_seconds)  # a mean that forgets

    def _post(self, call: Callable[[], object]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _deliver(letters: Sequence[tuple[Job, int, Event | Exception]]) -> None:
    for job, number, event in letters:
        if not job.cancelled:
            job.deliver(number, event)

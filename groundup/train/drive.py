"""One stage of training from start to end: step, log, probe, save, watch the clock; survive a kill, stop when asked.

The trainer knows none of this. What a stage decides by the clock is handed to `note`, on disk before it takes effect.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.events import SILENT, Bar, Reporter
from groundup.train import checkpoint
from groundup.train.schedule import Pace
from groundup.train.trainer import StepLog, Trainer

GLIMPSES = 12
"""Looks at what the model writes, over a stage."""

SCREEN_SECONDS = 0.5
"""Between two looks at the numbers: reading one waits for the device."""


@dataclass(frozen=True)
class Keep:
    """Where a stage keeps what it would need after a kill, and how often. `steps` wins over `seconds`."""

    folder: Path
    seconds: float = 60.0
    steps: int | None = None

    @property
    def before_decay(self) -> Path:
        """The state from which a finished stage can be extended."""
        return self.folder / "before_decay"


@dataclass
class Probe:
    """A look at the model every `steps` steps. With `patience`, so many looks without a new best begin the decay."""

    look: Callable[[], float]
    steps: int
    patience: int | None = None
    values: list[tuple[int, float]] = field(default_factory=list)

    def stale(self) -> bool:
        """Has the value stopped falling?"""
        if self.patience is None or not self.values:
            return False
        best = min(range(len(self.values)), key=lambda index: self.values[index][1])
        return len(self.values) - 1 - best >= self.patience


@dataclass(frozen=True)
class Driven:
    """What a stage of training came to. `seconds` are those of its steps, before a kill and after."""

    steps: int
    tokens: int
    seconds: float
    last: Mapping[str, float]
    probes: Sequence[tuple[int, float]]


def drive(
    trainer: Trainer,
    *,
    stage: str,
    keep: Keep,
    peak: float,
    note: Callable[..., None],
    progress: Reporter = SILENT,
    probe: Probe | None = None,
    extra: Callable[[], Mapping[str, float]] = dict,
    glimpse: Callable[[int], None] | None = None,
    flops_per_token: float = 0.0,
    rate: float = 0.0,
) -> Driven:
    """Train until the schedule ends; the seconds of a `Pace` are those that are left, after a kill too.

    `peak` is the learning rate at scale 1; `extra` gives more numbers for the log; `glimpse` is called with the step
    GLIMPSES times, evenly spread.

    `flops_per_token` over `rate` gives the share of the machine's matmul rate that is reached (MFU).
    Raises KeyboardInterrupt after saving, when SIGINT or SIGTERM came; ResourceError when the disk is full.
    """
    run = _Run(trainer, stage, keep, peak, note, progress, probe, extra, glimpse, flops_per_token, rate)
    run.resume()
    unit = "seconds" if isinstance(trainer.schedule, Pace) else "steps"
    with _deferred() as asked, progress.task(stage, unit=unit) as bar:
        run.show(bar)
        for log in trainer.run():
            run.after(log, bar)
            if asked:
                run.flush(bar)
                run.save()
                raise KeyboardInterrupt
        run.flush(bar)
        run.look()
    return Driven(trainer.done, run.tokens, run.seconds, run.last, tuple(probe.values) if probe else ())


class _Run:
    """The loop's own memory: what is saved beside the trainer's state, and what was last shown."""

    def __init__(
        self,
        trainer: Trainer,
        stage: str,
        keep: Keep,
        peak: float,
        note: Callable[..., None],
        progress: Reporter,
        probe: Probe | None,
        extra: Callable[[], Mapping[str, float]],
        glimpse: Callable[[int], None] | None,
        flops_per_token: float,
        rate: float,
    ) -> None:
        self.trainer, self.stage, self.keep, self.peak, self.note = trainer, stage, keep, peak, note
        self.progress, self.probe, self.extra = progress, probe, extra
        self.glimpse, self.flops_per_token, self.rate = glimpse, flops_per_token, rate
        self._glimpsed = 0
        self.tokens = 0
        self.last: dict[str, float] = {}
        self._used = 0.0
        self._start = self._saved = self._shown = time.perf_counter()
        self._held: list[tuple[StepLog, int, float, Mapping[str, float]]] = []

    @property
    def seconds(self) -> float:
        """Seconds of the stage so far, those before a kill included."""
        return self._used + time.perf_counter() - self._start

    def resume(self) -> None:
        """Take up the newest whole checkpoint, if there is one."""
        state = checkpoint.load(self.keep.folder, self.progress)
        if state is None:
            return
        self.trainer.restore(state["trainer"])
        self.tokens, self._used = state["tokens"], state["seconds"]
        self._glimpsed = int(GLIMPSES * self._share())
        if isinstance(self.trainer.schedule, Pace):
            self.trainer.schedule.seconds += self._used
        if self.probe is not None:
            self.probe.values = [(int(step), float(value)) for step, value in state["probes"]]
        self.progress.notice(f"{self.stage}: going on from step {self.trainer.done:,}")

    def save(self) -> None:
        """Write a checkpoint."""
        checkpoint.save(self.keep.folder, self.trainer.done, self._state())
        self.note(event="saved", step=self.trainer.done)
        self._saved = time.perf_counter()

    def after(self, log: StepLog, bar: Bar) -> None:
        """All that is done between two steps."""
        self.tokens += log.tokens
        self._held.append((log, self.tokens, self.seconds, self.extra()))
        schedule = self.trainer.schedule
        if isinstance(schedule, Pace):
            self._write(schedule.observe(log.done, self.seconds))
        if self.probe is not None and log.done % self.probe.steps == 0:
            self.look()
            if isinstance(schedule, Pace) and schedule.decay_start is None and self.probe.stale():
                self.note(event="shortened", seconds=schedule.shorten(self.seconds))
        if schedule.decay_start == log.done and not self.keep.before_decay.exists():
            checkpoint.save(self.keep.before_decay, log.done, self._state(), keep=1)
        if self.glimpse is not None and int(GLIMPSES * self._share()) > self._glimpsed:
            self._glimpsed = int(GLIMPSES * self._share())
            self.glimpse(log.done)
        now = time.perf_counter()
        if now - self._shown >= SCREEN_SECONDS:
            self.flush(bar)
        by_steps = self.keep.steps is not None and log.done % self.keep.steps == 0
        if by_steps or (self.keep.steps is None and now - self._saved >= self.keep.seconds):
            self.save()

    def look(self) -> None:
        """Probe the model, unless it has just been done at this step."""
        if self.probe is not None and (not self.probe.values or self.probe.values[-1][0] != self.trainer.done):
            value = self.probe.look()
            self.probe.values.append((self.trainer.done, value))
            self.progress.record(f"{self.stage}_probe", self.trainer.done, value=value)

    def _share(self) -> float:
        """How much of the stage is done."""
        schedule = self.trainer.schedule
        if isinstance(schedule, Pace):
            return self.seconds / schedule.seconds
        return self.trainer.done / schedule.steps if schedule.steps else 0.0

    def show(self, bar: Bar) -> None:
        """Set the bar to where the stage stands."""
        if isinstance(self.trainer.schedule, Pace):
            bar.total(self.trainer.schedule.seconds)
        elif self.trainer.schedule.steps is not None:
            bar.total(self.trainer.schedule.steps)

    def flush(self, bar: Bar) -> None:
        """Read the numbers of the steps since the last time: to the files one by one, to the screen the last."""
        if not self._held:
            return
        timed = isinstance(self.trainer.schedule, Pace)
        n_tokens = sum(log.tokens for log, *_ in self._held)
        speed = n_tokens / max(time.perf_counter() - self._shown, 1e-9)
        for log, tokens, seconds, extra in self._held:
            self.last = {name: float(value) for name, value in log.metrics.items()} | dict(extra)
            self.progress.record(
                self.stage, log.done, **self.last, lr=self.peak * log.scale, grad_norm=log.norm, tokens=tokens,
                tokens_per_second=speed, mfu=speed * self.flops_per_token / self.rate if self.rate else 0.0,
                seconds=round(seconds, 3),
            )  # fmt: skip
        shown = {name: value for name, value in self.last.items() if name in ("loss", "reward")}
        if self.rate:
            shown["MFU"] = speed * self.flops_per_token / self.rate
        bar.advance(time.perf_counter() - self._shown if timed else len(self._held), **shown, **{"tok/s": speed})
        self._held.clear()
        self._shown = time.perf_counter()

    def _write(self, knots: Sequence[Any]) -> None:
        if knots:
            self.note(event="knots", knots=[list(knot) for knot in knots])

    def _state(self) -> dict[str, Any]:
        return {
            "trainer": self.trainer.state(),
            "tokens": self.tokens,
            "seconds": self.seconds,
            "probes": [list(pair) for pair in self.probe.values] if self.probe else [],
        }


@contextmanager
def _deferred() -> Iterator[list[int]]:
    """SIGINT and SIGTERM put off to the end of a step: the list is empty until one came; a second is obeyed at once."""
    asked: list[int] = []

    def hear(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs that one hears the signals
        yield asked
        return
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

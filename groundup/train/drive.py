"""One stage of training from start to end: step, log, probe, save, watch the clock; survive a kill, stop when asked.

The trainer knows none of this. What a stage decides by the clock is handed to `note`, on disk before it takes effect.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from groundup.errors import ResourceError
from groundup.events import SILENT, Bar, Reporter
from groundup.stall import Stall
from groundup.train.checkpoint import weights
from groundup.train.saving import Checkpoints, Keep
from groundup.train.schedule import Pace
from groundup.train.storage import Local
from groundup.train.trainer import StepLog, Trainer
from groundup.train.watch import Verdict, Watch

GLIMPSES = 12
"""Looks at what the model writes, over a stage."""

SCREEN_SECONDS = 0.5
"""Between two looks at the screen and the files."""

STALL_SECONDS = 1800.0
"""Without a step, a probe or a save: as long as NCCL's own patience."""


@dataclass
class Probe:
    """A look at the model every `steps` steps. With `patience`, so many looks without a new best begin the decay.

    `keep` is called where a value is the lowest so far, `take` at the end of a stage whose last value is not.
    """

    look: Callable[[], float]
    steps: int
    patience: int | None = None
    values: list[tuple[int, float]] = field(default_factory=list)
    keep: Callable[[], None] | None = None
    take: Callable[[], None] | None = None

    def stale(self) -> bool:
        """Has the value stopped falling?"""
        return self.patience is not None and self.since_best() >= self.patience

    def since_best(self) -> int:
        """Looks after the one with the lowest value, the first of equals; one that is no number is the highest."""
        values = [math.inf if math.isnan(value) else value for _, value in self.values]
        return len(values) - 1 - values.index(min(values)) if values else 0

    def add(self, step: int, value: float) -> None:
        """Take note of a look."""
        self.values.append((step, value))
        if self.keep is not None and self.since_best() == 0:
            self.keep()


@dataclass(frozen=True)
class Driven:
    """What a stage of training came to. `seconds` are those of its steps, before a kill and after."""

    steps: int
    tokens: int
    seconds: float
    last: Mapping[str, float]
    probes: Sequence[tuple[int, float]]
    replicas: str
    """Of several ranks: whether copies of the weights were compared before each save."""


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
    watch: Watch | None = None,
    stall_seconds: float = STALL_SECONDS,
) -> Driven:
    """Train until the schedule ends; the seconds of a `Pace` are those that are left, after a kill too.

    `peak` is the learning rate at scale 1; `extra` gives more numbers for the log; `glimpse` is called with the step
    GLIMPSES times, evenly spread. `flops_per_token` over `rate` gives the share of the machine's matmul rate that is
    reached (MFU).

    Trouble that `watch` sees, and saves that fail, are told and written down as the event "fault". Without progress for
    `stall_seconds` the process ends itself. Raises KeyboardInterrupt after saving, when SIGINT or SIGTERM came;
    ResourceError when the disk is full then.
    """
    watch = watch or Watch(precision=trainer.precision.name)
    run = _Run(trainer, stage, keep, peak, note, progress, probe, extra, glimpse, flops_per_token, rate, watch)
    run.resume()
    unit = "seconds" if isinstance(trainer.schedule, Pace) else "steps"
    with run.saving(), _deferred() as asked, progress.task(stage, unit=unit) as bar:
        run.show(bar)
        with Stall(stall_seconds, lambda text: run.fault("stall", text)) as stall:
            for log in trainer.run():
                run.after(log, bar)
                run.save(bool(asked), bar)
                stall.beat()
            run.flush(bar)
            run.look()
            run.settle()
    probes = tuple(probe.values) if probe else ()
    return Driven(trainer.done, run.tokens, run.seconds, run.last, probes, run.replicas)


@dataclass
class _Run:
    """The loop's own memory: what is saved beside the trainer's state, and what was last shown."""

    trainer: Trainer
    stage: str
    keep: Keep
    peak: float
    note: Callable[..., None]
    progress: Reporter
    probe: Probe | None
    extra: Callable[[], Mapping[str, float]]
    glimpse: Callable[[int], None] | None
    flops_per_token: float
    rate: float
    watch: Watch

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.keep, self.fault, self.progress, self.trainer.mesh)
        self.replicas = "not checked"
        self._glimpsed = 0
        self.tokens = 0
        self.last: dict[str, float] = {}
        self._used = 0.0
        self._start = self._shown = time.perf_counter()
        self._held: list[tuple[StepLog, int, float, Mapping[str, float]]] = []

    @property
    def seconds(self) -> float:
        """Seconds of the stage so far, those before a kill included. Ranks go by one clock: all must ask together."""
        return self.trainer.mesh.agree(self._used + time.perf_counter() - self._start)

    def resume(self) -> None:
        """Take up the newest whole checkpoint, if there is one."""
        state = self.checkpoints.load(like=weights(self.trainer.model))
        if state is None:
            return
        self.trainer.restore(state["trainer"])
        self.tokens, self._used = state["tokens"], state["seconds"]
        self._glimpsed = int(GLIMPSES * self._share())
        if isinstance(self.trainer.schedule, Pace):
            self.trainer.schedule.seconds += self._used
        if self.probe is not None:
            self.probe.values = [(int(step), float(value)) for step, value in state["probes"]]
        if "watch" in state:
            self.watch.restore(state["watch"])
        self.checkpoints.begin(self.trainer.done)
        self.progress.notice(f"{self.stage}: going on from step {self.trainer.done:,}")

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Leave no save under way, however the stage ends."""
        try:
            yield
        finally:
            self.checkpoints.close()
            for step in self.checkpoints.landed():
                self.note(event="saved", step=step)

    def save(self, asked: bool, bar: Bar) -> None:
        """Save if it is time to; when the stage was asked to end, on every rank, and raise KeyboardInterrupt."""
        mesh, due = self.trainer.mesh, self.checkpoints.due(self.trainer.done)
        if mesh.any(due or asked):
            state = self._state()
            if self._sound(state["trainer"], bar):
                self.checkpoints.save(self.trainer.done, state)
            if mesh.any(asked):
                self.flush(bar)
                self.checkpoints.finish()
                raise KeyboardInterrupt
        for step in self.checkpoints.landed():
            self.note(event="saved", step=step)

    def _sound(self, state: Mapping[str, Any], bar: Bar) -> bool:
        """Whether replicas agree, so that what is saved is good; else the stage goes back to what was saved before."""
        odd = self.checkpoints.odd_ones(state) if self.trainer.mesh.world > 1 else None
        self.replicas = "not checked" if odd is None else "checked"
        if not odd:
            return True
        text = f"what rank {', '.join(map(str, odd))} holds is not what its replicas hold: a bit changed by itself"
        again = self.watch.used < self.watch.rollbacks
        if not again or not self._go_back(Verdict("replicas", text, back=True), bar, skip=False):
            raise ResourceError(
                f"{self.stage}, step {self.trainer.done:,}: {text}, and there is nothing (more) to go back to. Take "
                "that machine out, and start again"
            )
        return False

    def after(self, log: StepLog, bar: Bar) -> None:
        """All that is done between two steps, but for saving."""
        self.tokens += log.tokens
        self._held.append((log, self.tokens, self.seconds, self.extra()))
        verdict = self.watch.see(log.done, float(log.metrics.get("loss", 0.0)), log.applied)
        if verdict is not None:
            self.flush(bar)
            if verdict.back and self._go_back(verdict, bar):
                return
            if not verdict.back:
                self.fault(verdict.kind, verdict.text)
        schedule = self.trainer.schedule
        if isinstance(schedule, Pace):
            self._write(schedule.observe(log.done, self.seconds))
        if self.probe is not None and log.done % self.probe.steps == 0:
            self.look()
            if isinstance(schedule, Pace) and schedule.decay_start is None and self.probe.stale():
                self.note(event="shortened", seconds=schedule.shorten(self.seconds))
        if schedule.decay_start == log.done and not self.trainer.mesh.any(any(self.keep.before_decay.glob("step-*"))):
            self.checkpoints.save(log.done, self._state(), Local(self.keep.before_decay))
        if self.glimpse is not None and int(GLIMPSES * self._share()) > self._glimpsed:
            self._glimpsed = int(GLIMPSES * self._share())
            self.glimpse(log.done)
        if time.perf_counter() - self._shown >= SCREEN_SECONDS:
            self.flush(bar)

    def _go_back(self, verdict: Verdict, bar: Bar, skip: bool = True) -> bool:
        """Take up the last good state; with `skip`, go on with the batches that come after the trouble.

        False where there is no such state.
        """
        done = self.trainer.done
        self.checkpoints.close()
        self.trainer.mesh.wait()
        state = self.checkpoints.load(self.watch.before(done), weights(self.trainer.model))
        if state is None:
            self.fault(verdict.kind, f"{verdict.text}; nothing was saved before it, so training goes on")
            return False
        feed = self.trainer.feed.state() if skip else state["trainer"]["feed"]
        self.trainer.restore({**state["trainer"], "feed": feed})
        to = self.trainer.done
        self.watch.went_back(done, to)
        self.checkpoints.begin(to)
        self.tokens = state["tokens"]
        if self.probe is not None:
            self.probe.values = [pair for pair in self.probe.values if pair[0] <= to]
        if isinstance(self.trainer.schedule, Pace):
            self.trainer.schedule.rewind()
        else:
            bar.advance(to - done)
        passed = f", the batches of steps {to + 1:,} to {done:,} are passed over" if skip else ""
        times = f"{self.watch.used} of {self.watch.rollbacks} times"
        self.fault(verdict.kind, f"{verdict.text}; back to step {to:,} ({times}){passed}")
        return True

    def look(self) -> None:
        """Probe the model, unless it has just been done at this step."""
        if self.probe is not None and (not self.probe.values or self.probe.values[-1][0] != self.trainer.done):
            value = self.probe.look()
            self.probe.add(self.trainer.done, value)
            self.progress.record(f"{self.stage}_probe", self.trainer.done, value=value)

    def settle(self) -> None:
        """End with the weights of the best look, where they are held."""
        if self.probe is not None and self.probe.take is not None and (late := self.probe.since_best()):
            step, lowest = self.probe.values[-1 - late]
            self.probe.take()
            self.progress.notice(
                f"{self.stage}: held out, {lowest:.4g} after step {step:,} was the best: those weights stay"
            )

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

    def fault(self, kind: str, text: str) -> None:
        """Something went wrong, and what was done about it: for the screen, the journal and the report."""
        self.progress.notice(f"{self.stage}, step {self.trainer.done:,}: {text}")
        self.note(event="fault", kind=kind, step=self.trainer.done, text=text)

    def _write(self, knots: Sequence[Any]) -> None:
        if knots:
            self.note(event="knots", knots=[list(knot) for knot in knots])

    def _state(self) -> dict[str, Any]:
        return {
            "trainer": self.trainer.state(),
            "tokens": self.tokens,
            "seconds": self.seconds,
            "watch": self.watch.state(),
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

"""The learning rate as a share of its peak: a pure function of the step. Imports no torch.

Step 0 is the first step; a schedule is asked for the scale of step `done` when `done` steps lie behind.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

from groundup.errors import ConfigError, UnsupportedError

Shape = Literal["wsd", "cosine"]


class Schedule(Protocol):
    """What the trainer needs to know of a schedule."""

    @property
    def steps(self) -> int | None:
        """The steps of the whole stage; None as long as nobody knows."""

    @property
    def decay_start(self) -> int | None:
        """The first step at a falling rate: a state saved when so many steps are done can be extended later.

        None where the schedule does not know yet, or has no such step (cosine).
        """

    def __call__(self, step: int) -> float:
        """The scale of `step`, from 0.0 to 1.0."""


class Knot(NamedTuple):
    """A point of a schedule made of straight lines."""

    step: int
    value: float


class Cosine:
    """Linear warm-up, then half a cosine down to `floor` (arXiv 1608.03983)."""

    decay_start: int | None = None

    def __init__(self, steps: int, warmup: int, floor: float = 0.0) -> None:
        self.steps = steps
        self._warmup, self._floor = min(warmup, steps - 1), floor

    def __call__(self, step: int) -> float:
        """The scale of `step`."""
        share = min(1.0, max(0, step - self._warmup) / (self.steps - self._warmup))
        return min(_warm(step, self._warmup), self._floor + (1 - self._floor) * 0.5 * (1 + math.cos(math.pi * share)))


class Wsd:
    """Warm-up, a stable rate, and a linear decay to `floor` (MiniCPM, arXiv 2404.06395; linear: arXiv 2405.18392)."""

    def __init__(self, steps: int, warmup: int, decay: float, floor: float = 0.0) -> None:
        self.steps = steps
        self.decay_start = steps - round(decay * steps)
        self._warmup = warmup
        self._fall = (Knot(self.decay_start, 1.0), Knot(steps, floor))

    def __call__(self, step: int) -> float:
        """The scale of `step`."""
        return min(_warm(step, self._warmup), _height(step, *self._fall))


class Pace:
    """`Wsd` for a stage that is given seconds, not steps: the clock decides when the decay begins and where it ends.

    The caller reports the clock after each step with `observe`. What that decides is returned as a pair of knots: from
    here, at this height, in a line down to `floor` at that step; it holds from here on, and the pairs before it hold
    until here. The caller writes the pairs down; a `Pace` given all of them, in order, as `knots` has the same scale at
    every step, to the last bit.
    """

    WINDOW = 0.05
    """Share of the stage over which the speed is measured: it spans a save or a probe, and forgets a lost core."""
    TOLERANCE = 0.005
    """Share of the stage by which the planned end may miss before the decay is aimed anew ..."""
    SLACK = 0.03
    """... or this share of the seconds left, where that is more: a noisy clock is not followed at every step."""

    def __init__(
        self, seconds: float, warmup: int, decay: float, floor: float = 0.0, knots: Iterable[Sequence[float]] = ()
    ) -> None:
        self.seconds = seconds
        self.knots = [Knot(int(step), float(value)) for step, value in knots]
        """All decisions so far, in the order in which they were made."""
        self._warmup, self._decay, self._floor = warmup, decay, floor
        self._clock: deque[tuple[int, float]] = deque()

    @property
    def steps(self) -> int | None:
        """Where the decay ends, as planned now; None before it has begun."""
        return self.knots[-1].step if self.knots else None

    @property
    def decay_start(self) -> int | None:
        """The first step of the decay; None before it is known."""
        return self.knots[0].step if self.knots else None

    def __call__(self, step: int) -> float:
        """The scale of `step`."""
        return min(_warm(step, self._warmup), self._level(step))

    def _level(self, step: int) -> float:
        """The scale of `step` but for the warm-up, which a decay that begins within it must not take for its height."""
        pairs = zip(self.knots[-2::-2], self.knots[::-2], strict=True)
        return next((_height(step, start, end) for start, end in pairs if start.step <= step), 1.0)

    def observe(self, done: int, seconds: float) -> list[Knot]:
        """Take note that `done` steps took `seconds` of the stage; the pair of knots decided now, or an empty list.

        Steps that replayed knots speak of are left as they were decided.
        """
        self._clock.append((done, seconds))
        while len(self._clock) > 2 and seconds - self._clock[1][1] >= self.WINDOW * self.seconds:
            self._clock.popleft()
        if self.knots and done <= self.knots[-2].step:
            return []
        (first, since), left = self._clock[0], self.seconds - seconds
        if first == done:
            return self.aim(done, done) if left <= 0 else []
        rate = (seconds - since) / (done - first)
        end = done + max(0, round(left / rate))
        if self.steps is None:
            return self.aim(done, end) if left <= max(self._decay * self.seconds, rate / 2) else []
        miss = abs((self.steps - done) * rate - left)
        late = miss > max(self.TOLERANCE * self.seconds, self.SLACK * left)
        return self.aim(done, end) if late and end != self.steps else []

    def rewind(self) -> None:
        """The stage went back to an earlier step: its speed is measured anew from there."""
        self._clock.clear()

    def shorten(self, seconds: float) -> float:
        """Let the decay begin now, `seconds` into the stage; the new length of the stage."""
        self.seconds = min(self.seconds, seconds / (1 - self._decay)) if self._decay < 1 else self.seconds
        return self.seconds

    def aim(self, done: int, end: int) -> list[Knot]:
        """Begin the decay at step `done`, or bend it there, so that it ends at step `end`; the pair of knots."""
        pair = [Knot(done, self._level(done)), Knot(end, self._floor)]
        self.knots += pair
        return pair


def schedule(
    shape: Shape,
    *,
    warmup: int,
    decay: float,
    floor: float,
    steps: int | None = None,
    seconds: float | None = None,
    knots: Iterable[Sequence[float]] = (),
) -> Cosine | Wsd | Pace:
    """The schedule of a stage: fixed where `steps` are given, else paced by the clock (`knots` replays its decisions).

    Raises UnsupportedError for a timed cosine, and ConfigError where neither steps nor seconds are given.
    """
    if steps is not None:
        return Cosine(steps, warmup, floor) if shape == "cosine" else Wsd(steps, warmup, decay, floor)
    if seconds is None:
        raise ConfigError("a stage has neither steps nor minutes; set steps=N, or --minutes M")
    if shape == "cosine":
        raise UnsupportedError(
            "schedule='cosine' needs to know its last step, and a timed run does not; set steps=N, or schedule='wsd'"
        )
    return Pace(seconds, warmup, decay, floor, knots)


def _warm(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))


def _height(step: int, start: Knot, end: Knot) -> float:
    """Height at `step` of the straight line between two knots; level before and after."""
    if step <= start.step:
        return start.value
    share = min(1.0, (step - start.step) / max(1, end.step - start.step))
    return start.value + (end.value - start.value) * share

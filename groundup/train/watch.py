"""Training that goes wrong: a loss that leaps, a gradient that is no number. What is seen, and what should follow.

A leap is told by a robust z-score: how far a loss lies above the line through the medians of both halves of the window
before it, in units of what the median absolute deviation from that line makes of a standard deviation. In 19 finished
stages that we had, of runs of one to sixty minutes, no step came above 5.7, and a loss that doubled in pretraining
would have scored 7.6 at the worst moment and over 20 at most others (2.7 and 20 without the slope of the line).
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

SPIKE, WINDOW, ROLLBACKS = 8.0, 128, 3

LEAST = 32
"""Losses that are needed before one is judged."""

NARROWEST = 0.005
"""The deviation counts as at least this share of the median: a loss that hardly moves does not leap by a hundredth."""

LOST = {"fp32": 3, "bf16": 3, "fp16": 20}
"""Steps in a row without a finite gradient that mean damaged weights. fp16 loses some while its scale finds its place:
twenty in a row are a scale of 2^-4 and lower, where nothing overflows that is not broken."""


@dataclass(frozen=True)
class Verdict:
    """What a step showed, in words, and whether the stage should go back to where all was well."""

    kind: Literal["nan", "spike", "replicas"]
    text: str
    back: bool


class Watch:
    """Looks at each step of a stage. The same losses give the same verdicts, on every rank and after every kill."""

    def __init__(
        self, spike: float = SPIKE, window: int = WINDOW, rollbacks: int = ROLLBACKS, precision: str = "fp32"
    ) -> None:
        self.spike, self.rollbacks = spike, rollbacks
        self._patience = LOST[precision]
        self._calm: deque[tuple[int, float]] = deque(maxlen=window)
        self._lost = 0
        self.used = 0
        """Rollbacks so far."""
        self._latest, self._went_to = -1, -1
        self._given_up = False

    def see(self, done: int, loss: float, applied: bool) -> Verdict | None:
        """Judge the step after which `done` are done: its loss, and whether its gradient was finite and applied."""
        if not applied or not math.isfinite(loss):
            return self._no_number()
        self._lost = 0
        score = self.score(loss)
        if score < self.spike:
            self._given_up = False
        elif not self._given_up:
            self._given_up = self.used >= self.rollbacks
            end = f"; going on, for {self.used} times back is all that is allowed" if self._given_up else ""
            return Verdict(
                "spike",
                f"the loss leapt to {loss:.4g}, {score:.0f} deviations above the {len(self._calm)} before it{end}",
                back=not self._given_up,
            )
        self._calm.append((done, loss))
        return None

    def score(self, loss: float) -> float:
        """How many deviations a loss lies above where those before it lead; minus infinity where these are too few."""
        losses = [value for _, value in self._calm]
        if len(losses) < LEAST:
            return -math.inf
        half = len(losses) // 2
        early, late = median(losses[:half]), median(losses[half:])
        slope = (late - early) / (len(losses) - half)
        middle = (half + len(losses) - 1) / 2
        off = [abs(value - late - slope * (place - middle)) for place, value in enumerate(losses)]
        # 1.4826 makes of the median absolute deviation the standard deviation, for normal noise.
        deviation = max(1.4826 * median(off), NARROWEST * abs(median(losses)), 1e-12)
        return (loss - late - slope * (len(losses) - middle)) / deviation

    def before(self, done: int) -> int:
        """The state to go back to after trouble at step `done` is the newest of fewer steps than this.

        Where the stage has not come past its last trouble, that state was no good: an older one then.
        """
        return done if done > self._latest else self._went_to

    def went_back(self, done: int, to: int) -> None:
        """The stage went back from step `done` to `to`: forget what came between."""
        self.used += 1
        self._latest, self._went_to, self._lost = done, to, 0
        while self._calm and self._calm[-1][0] > to:
            self._calm.pop()

    def state(self) -> dict[str, Any]:
        """What the next verdict depends on."""
        return {
            "calm": [list(pair) for pair in self._calm], "lost": self._lost, "used": self.used,
            "latest": self._latest, "went_to": self._went_to, "given_up": self._given_up,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Judge on as from a `state`."""
        self._calm.clear()
        self._calm.extend((int(step), float(loss)) for step, loss in state["calm"])
        self._lost, self.used, self._given_up = state["lost"], state["used"], state["given_up"]
        self._latest, self._went_to = state["latest"], state["went_to"]

    def _no_number(self) -> Verdict | None:
        self._lost += 1
        if self._lost % self._patience == 0 and self.used < self.rollbacks:
            return Verdict("nan", f"no finite gradient for {self._lost} steps", back=True)
        if self._lost == 1 and self._patience < LOST["fp16"]:
            return Verdict("nan", "the gradient was not finite; its step was left out", back=False)
        return None

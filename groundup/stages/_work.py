"""What a stage is given, and what is left of the minutes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.events import Events
from groundup.mesh import Mesh
from groundup.recipe import Recipe
from groundup.store import Artifact, Draft, Store

USUAL = 1.25
"""Training that takes so many times the seconds of its forecast says nothing yet of the machine: 1.16 when quiet."""


@dataclass
class Clock:
    """What is left of the minutes. Times are in seconds; `began` is when the process did.

    `spent` is what earlier, interrupted commands for the same settings used; `ahead` is the forecast of each stage, in
    their order; `seconds_per_token` that of pretraining. On a machine that turns out slower (something else began to
    run on it) the evaluation, whose work is fixed, is given that much more, and training that much less.
    """

    minutes: float | None
    spent: float = 0.0
    began: float = field(default_factory=time.time)
    ahead: Mapping[str, float] = field(default_factory=dict)
    seconds_per_token: float = 0.0
    slower: float = 1.0

    def elapsed(self) -> float:
        """Seconds used so far, those of interrupted commands included."""
        return self.spent + time.time() - self.began

    def left_for(self, stage: str) -> float | None:
        """Seconds that a stage may use so that the ones after it still fit; None when nothing is timed."""
        if self.minutes is None:
            return None
        names = list(self.ahead)
        after = names[names.index(stage) + 1 :] if stage in names else []
        reserved = sum(self.ahead[name] * (self.slower if name == "eval" else 1.0) for name in after)
        return self.minutes * 60 - self.elapsed() - reserved

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn how fast the machine is from what pretraining took."""
        if tokens and self.seconds_per_token:
            self.slower = max(1.0, seconds / tokens / self.seconds_per_token / USUAL)


@dataclass
class Work:
    """What a stage is given: settings, the artifacts it needs, a draft to fill, a folder that outlives a kill."""

    name: str
    recipe: Recipe
    needs: Mapping[str, Artifact]
    draft: Draft
    scratch: Path
    store: Store
    fingerprint: str
    config: Mapping[str, Any]
    parents: tuple[str, ...]
    events: Events
    clock: Clock
    device: str
    rate: float
    """FLOP/s of a matrix product on this machine: what MFU is a share of; 0.0 where it was not measured."""
    mesh: Mesh = field(default_factory=Mesh)
    """The ranks that make this stage together, not yet arranged."""
    alone: bool = False
    """Whether one rank makes it, however many there are."""

    def path(self, stage: str) -> Path:
        """The folder of an artifact that this stage needs."""
        return self.needs[stage].path

    def note(self, **entry: Any) -> None:
        """Write a decision to the run's journal; with a save goes the time used so far."""
        self.store.note(self.name, self.fingerprint, **entry)
        if entry.get("event") == "saved":
            self.store.note("run", self.recipe.fingerprint(), spent=self.clock.elapsed())

    def noted(self, event: str) -> list[dict[str, Any]]:
        """What was journalled about this very artifact since it was last begun anew."""
        rows = self.store.journal(self.name, self.fingerprint)
        begun = max((place for place, row in enumerate(rows) if row.get("event") == "begun"), default=0)
        return [row for row in rows[begun:] if row.get("event") == event]


class Following(Work):
    """The work of a rank that is not the first: it does its part, and writes nothing down."""

    def note(self, **entry: Any) -> None:
        """The first rank does it."""

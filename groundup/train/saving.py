"""When a stage's state is saved, and by whom: copied between two steps, written behind them by a thread.

The loop waits for the copy alone. One save is under way at a time. What falls due by the clock meanwhile is put off
until the disk has taken the other; what was asked for at a step of its own (`steps`, `milestones`) is waited for.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from groundup.errors import ResourceError
from groundup.events import SILENT, Reporter
from groundup.mesh import Mesh
from groundup.train import checkpoint
from groundup.train.checkpoint import Copy, Passing
from groundup.train.shards import Team
from groundup.train.storage import Local, Remote, Storage, step_of

BEHIND_SECONDS = 10.0
"""A save that holds up the next for so long is told: the disk is slower than what was asked of it."""

Fault = Callable[[str, str], None]
"""Is told the kind of a fault and what was done about it, in words."""


@dataclass(frozen=True)
class Keep:
    """Where a stage keeps what it would need after a kill, how often, and how many of them.

    Saved every `seconds`, and every `steps` where that is set. The `newest` are kept, and for good each that is a
    multiple of `milestones`. `to` is the URL of a folder elsewhere; `folder` is then where they are written first.
    """

    folder: Path
    seconds: float = 60.0
    steps: int | None = None
    newest: int = 2
    milestones: int | None = None
    to: str | None = None
    passing: Passing = field(default=lambda moment: None, compare=False)

    @property
    def before_decay(self) -> Path:
        """The state from which a finished stage can be extended."""
        return self.folder / "before_decay"

    def storage(self) -> Storage:
        """Where the checkpoints lie. Raises DataError or UnsupportedError for a `to` that cannot be opened."""
        return Local(self.folder) if self.to is None else Remote(self.to, self.folder)


class Checkpoints:
    """The checkpoints of one stage. `fault` hears of what went wrong with them and did not stop the stage.

    The ranks of a `mesh` write theirs together: all make one of these, and all load, begin and save together.
    """

    def __init__(self, keep: Keep, fault: Fault, progress: Reporter = SILENT, mesh: Mesh | None = None) -> None:
        self.keep, self.storage = keep, keep.storage()
        self._fault, self._progress = fault, progress
        self._team = Team.of(mesh or Mesh())
        self._copy = Copy(self._team)
        self._thread: threading.Thread | None = None
        self._begun = time.perf_counter()
        self._landed: list[int] = []
        self._error: Exception | None = None
        self._made_room = self._told = False

    @property
    def busy(self) -> bool:
        """Is a save under way?"""
        return self._thread is not None and self._thread.is_alive()

    def load(self, before: int | None = None, like: Mapping[str, Tensor] | None = None) -> dict[str, Any] | None:
        """The newest state that is whole, of fewer steps than `before`; None where there is none.

        On several ranks it is laid out as the parameters `like` are.
        """
        return checkpoint.load(self.storage, self._progress, before, self._team, like)

    def begin(self, done: int) -> None:
        """The stage goes on from `done` steps: what was saved of later ones is dropped, and saves fall due from here.

        Raises what stopped the save under way.
        """
        self.finish()
        for storage in (self.storage, Local(self.keep.before_decay)) if self._team.mesh.first else ():
            for name in storage.names():
                if step_of(name) > done:
                    storage.remove(name)
        self._begun = time.perf_counter()

    def odd_ones(self, state: Mapping[str, Any]) -> list[int] | None:
        """Ranks whose weights or optimizer differ from those of their replicas; None where there is no replica."""
        trained = state["weights"] | {f"optimizer.{name}": value for name, value in state["optimizer"].items()}
        return self._team.odd_ones(trained)

    def due(self, done: int) -> bool:
        """Is it time to save, after so many steps? One that falls due by the clock waits for the one under way."""
        exact = any(every is not None and done % every == 0 for every in (self.keep.steps, self.keep.milestones))
        waiting = time.perf_counter() - self._begun
        overdue = waiting >= self.keep.seconds
        if (exact or overdue) and self.busy and waiting > BEHIND_SECONDS and not self._told:
            self._told = True
            self._fault("slow disk", f"a checkpoint has taken {waiting:.0f} s so far, and the next one waits for it")
        return exact or (overdue and not self.busy)

    def save(self, done: int, state: Mapping[str, Any], storage: Storage | None = None) -> None:
        """Copy `state` now, and have it written behind; waits for the save before it."""
        self._join()
        self._begun = time.perf_counter()
        self._copy.update(done, state)
        self.keep.passing("copied")
        self._thread = threading.Thread(target=self._write, args=(storage or self.storage,), daemon=True)
        self._thread.start()

    def landed(self) -> list[int]:
        """The steps of the saves that the disk holds and that this did not name before; a failed one is a fault."""
        if not self.busy:
            self._join()
        if self._made_room:
            self._made_room = False
            self._fault("full disk", "the disk was full; the older checkpoint made room for the new one")
        if self._error is not None:
            self._fault("save", f"not saved: {self._error}. Training goes on, and the next save is tried")
            self._error = None
        found, self._landed = self._landed, []
        return found

    def finish(self) -> None:
        """Wait for the save under way. Raises what stopped it: ResourceError where the disk is full."""
        self._join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Wait for the save under way, whatever comes of it."""
        self._join()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, storage: Storage) -> None:
        """In the thread: nothing but the disk and this object's own lists is touched."""
        keep = self.keep
        newest, milestones = (keep.newest, keep.milestones) if storage is self.storage else (1, None)
        try:
            try:
                checkpoint.write(self._copy, storage, newest, milestones, keep.passing)
            except ResourceError:
                if self._team.mesh.world > 1:
                    raise
                old = [name for name in storage.names()[:-1] if milestones is None or step_of(name) % milestones]
                if not old:
                    raise
                storage.remove(old[0])
                self._made_room = True
                checkpoint.write(self._copy, storage, newest, milestones, keep.passing)
            if storage is self.storage:
                self._landed.append(self._copy.done)
        except Exception as error:  # handed to the loop, which knows what to make of it
            self._error = error

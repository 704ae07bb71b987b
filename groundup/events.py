"""Numbers and notices: JSON lines, TensorBoard, and what a person sees on the screen.

Rooms report through a `Progress` that is passed in; what they get by default says nothing. `Events` is the real one.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


class Bar(Protocol):
    """One piece of long work, seen from the room that does it."""

    def advance(self, amount: float = 1.0, **numbers: float) -> None:
        """`amount` more of the total is done; `numbers` are shown beside the bar (loss=2.31)."""

    def total(self, total: float) -> None:
        """The size of the work became known, or changed."""


class Reporter(Protocol):
    """What a room is given as `progress`."""

    def task(self, label: str, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        """A context that yields a Bar; `unit` is what is counted (documents, tokens, seconds)."""

    def notice(self, text: str) -> None:
        """One line that a person should read."""

    def record(self, stage: str, step: int, **numbers: float) -> None:
        """Numbers of one step for the files of the run, not for the screen."""

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """What the model went on with after `prompt`, for the files of the run."""


class Silent:
    """Says nothing: the default of every `progress` argument."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def task(self, label: str, total: float | None = None, unit: str = "") -> "Silent":
        """A bar that is not shown."""
        return self

    def advance(self, amount: float = 1.0, **numbers: float) -> None:
        """Nothing is shown."""

    def total(self, total: float) -> None:
        """Nothing is shown."""

    def notice(self, text: str) -> None:
        """Nothing is shown."""

    def record(self, stage: str, step: int, **numbers: float) -> None:
        """Nothing is kept."""

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """Nothing is kept."""


SILENT = Silent()


@dataclass(frozen=True)
class Named:
    """A reporter whose tasks carry the caller's name for them: "arithmetic, pass@8" says more than "generating"."""

    to: Reporter
    label: str

    def task(self, label: str, total: float | None = None, unit: str = "") -> AbstractContextManager[Bar]:
        """The task under this reporter's label."""
        return self.to.task(self.label, total, unit)

    def notice(self, text: str) -> None:
        """Passed on."""
        self.to.notice(text)

    def record(self, stage: str, step: int, **numbers: float) -> None:
        """Passed on."""
        self.to.record(stage, step, **numbers)

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """Passed on."""
        self.to.sample(stage, step, prompt, text)


def _shown(numbers: Mapping[str, float]) -> str:
    """Numbers beside a bar: whole from a thousand on, else four figures."""
    return "  ".join(
        f"{name} {value:,.0f}" if abs(value) >= 1000 else f"{name} {value:.4g}" for name, value in numbers.items()
    )


class _Rate(ProgressColumn):
    """Units per second, in the task's own unit."""

    def render(self, task: Task) -> Text:
        speed = task.speed or 0.0
        unit = task.fields.get("unit", "")
        if not unit or unit == "seconds" or not speed:
            return Text("")
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if speed >= size:
                return Text(f"{speed / size:.1f}{letter} {unit}/s", style="cyan")
        return Text(f"{speed:.1f} {unit}/s", style="cyan")


class _ScreenBar:
    def __init__(self, progress: Progress, task: Any) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: float = 1.0, **numbers: float) -> None:
        self._progress.advance(self._task, amount)
        if numbers:
            self._progress.update(self._task, numbers=_shown(numbers))

    def total(self, total: float) -> None:
        self._progress.update(self._task, total=total)


class Events:
    """The numbers of a run: `folder/STAGE.jsonl`, TensorBoard when it is installed, bars and notices on the screen.

    `folder=None` keeps no files; `screen=None` is a silent screen (another rank, or `--json`).
    """

    def __init__(self, folder: Path | None = None, screen: Console | None = None) -> None:
        self._folder, self._screen = folder, screen
        self._files: dict[str, Any] = {}
        self._board: Any = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def task(self, label: str, total: float | None = None, unit: str = "") -> Iterator[Bar]:
        """A bar with rate and ETA; on a screen that is no terminal, a line at the start and one at the end."""
        if self._screen is None:
            yield SILENT
            return
        if not self._screen.is_terminal:
            start = time.perf_counter()
            last = _Last()
            yield last
            self._screen.print(
                f"  {label}: {time.perf_counter() - start:.1f} s {last.numbers}".rstrip(), highlight=False
            )
            return
        columns = (
            TextColumn("  {task.description:<22}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>4.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            _Rate(),
            TextColumn("{task.fields[numbers]}"),
        )
        with Progress(*columns, console=self._screen, refresh_per_second=4) as progress:
            yield _ScreenBar(progress, progress.add_task(label, total=total, unit=unit, numbers=""))

    def notice(self, text: str) -> None:
        """A line on the screen, and in `notices.jsonl`."""
        self._write("notices", {"time": time.time(), "text": text})
        if self._screen is not None:
            self._screen.print(text, highlight=False, markup=False)

    def record(self, stage: str, step: int, **numbers: float) -> None:
        """One line in `STAGE.jsonl`, and TensorBoard scalars where it is installed."""
        self._write(stage, {"step": step, **numbers})
        board = self._tensorboard()
        if board is not None:
            for name, value in numbers.items():
                board.add_scalar(f"{stage}/{name}", value, step)

    def sample(self, stage: str, step: int, prompt: str, text: str) -> None:
        """One line in `samples.jsonl`."""
        self._write("samples", {"stage": stage, "step": step, "prompt": prompt, "text": text})

    def close(self) -> None:
        """Flush and close every file."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._board:
            self._board.close()

    def _write(self, name: str, row: dict[str, Any]) -> None:
        if self._folder is None:
            return
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.jsonl").open("a", encoding="utf-8", buffering=1)
        self._files[name].write(json.dumps(row) + "\n")

    def _tensorboard(self) -> Any:
        if self._board is None and self._folder is not None:
            try:
                from tensorboard.summary import Writer

                self._board = Writer(str(self._folder / "tensorboard"))
            except ImportError:
                self._board = False
        return self._board or None


class _Last:
    """A bar for a screen that is no terminal: remembers the last numbers."""

    numbers = ""

    def advance(self, amount: float = 1.0, **numbers: float) -> None:
        if numbers:
            self.numbers = _shown(numbers)

    def total(self, total: float) -> None:
        return None

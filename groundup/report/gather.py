"""The one read-only view of a run's folder: facts, numbers of each step, recipe and lineage.

A run is viewed at any moment, half done or being written to: what is not there yet is empty, a torn last line of a
file is passed over, and steps that an interrupted stage took twice count once.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.config import DEFAULT, leaves, read_toml
from groundup.errors import StoreError
from groundup.store import Artifact, Store, runs_in

Row = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """One leaf of the resolved recipe and where its value came from."""

    field: str
    value: Any
    origin: str

    @property
    def text(self) -> str:
        """The value as a recipe writes it."""
        return json.dumps(self.value, ensure_ascii=False)

    @property
    def chosen(self) -> bool:
        """Whether the user or the planner set it."""
        return self.origin != DEFAULT


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk. Nothing is read before it is asked for."""

    root: Path

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.root.name

    @cached_property
    def about(self) -> Row:
        """What `run.json` says: format, when the run was made, by what groundup. Raises StoreError if damaged."""
        return self._json("run.json")

    @cached_property
    def artifacts(self) -> dict[str, Artifact]:
        """Stage -> the artifact it made last, in the order in which they were made."""
        return Store(self.root).current()

    @cached_property
    def benchmarks(self) -> dict[str, dict[str, Any]]:
        """Stage -> what published benchmarks found of its weights as they are now, by their key: facts and items."""
        return {stage: dict(kept["tasks"]) for stage, kept in self._measured.items() if kept["tasks"]}

    @cached_property
    def safety(self) -> dict[str, dict[str, Any]]:
        """Stage -> what its weights, as they are now, were found to recite, tell and swear."""
        return {stage: dict(kept["safety"]) for stage, kept in self._measured.items() if "safety" in kept}

    @cached_property
    def _measured(self) -> dict[str, Row]:
        """Stage -> what `groundup eval` kept of its weights; nothing of weights that are no longer the run's."""
        kept = {stage: self._json(benchmarks_file(stage)) for stage in self.artifacts}
        return {
            stage: found for stage, found in kept.items() if found.get("weights") == self.artifacts[stage].fingerprint
        }

    @cached_property
    def settings(self) -> list[Setting]:
        """Every setting of the resolved recipe. Raises ConfigError or StoreError when its files are damaged."""
        path = self.root / "recipe.toml"
        flat = leaves(read_toml(path)) if path.is_file() else {}
        origins = self._json("origins.json")
        return [Setting(field, value, origins.get(field, DEFAULT)) for field, value in flat.items()]

    @cached_property
    def samples(self) -> list[Row]:
        """What the model wrote while it learned: rows of stage, step, prompt, text."""
        rows = _rows(self.root / "metrics" / "samples.jsonl")
        return [row for row in _taken_once(rows) if isinstance(row.get("text"), str)]

    @cached_property
    def journal(self) -> list[Row]:
        """What was decided while the run was made, in order: rows of stage, fingerprint, and event or seconds spent."""
        return list(_lines(self.root / "journal.jsonl"))

    @cached_property
    def notices(self) -> list[Row]:
        """What was told to whoever made the run: rows of time (seconds since 1970) and text."""
        return list(_lines(self.root / "metrics" / "notices.jsonl"))

    @cached_property
    def forecast(self) -> Row:
        """What the planner expected; empty for a run that was not planned. Raises StoreError if damaged."""
        return self._json("forecast.json")

    @property
    def touched(self) -> float:
        """When the run was last written to, in seconds since 1970."""
        files = (*(self.root / "metrics").glob("*.jsonl"), self.root / "journal.jsonl", self.root / "current.json")
        return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)

    def setting(self, field: str) -> Any:
        """The value of a dotted field of the recipe; None where there is none."""
        return next((setting.value for setting in self.settings if setting.field == field), None)

    def metrics(self, stage: str) -> list[Row]:
        """The numbers of each step of a stage, in order."""
        if not re.fullmatch(r"[a-z_]+", stage):
            return []
        return _taken_once(_rows(self.root / "metrics" / f"{stage}.jsonl"))

    def fact(self, stage: str, *path: str) -> Any:
        """One fact of a stage, from nested ones by their path: `fact("eval", "yardsticks", "xz")`; None if missing."""
        value: Any = self.artifacts[stage].facts if stage in self.artifacts else None
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def facts(self) -> dict[str, Any]:
        """The facts of every stage."""
        return {stage: dict(artifact.facts) for stage, artifact in self.artifacts.items()}

    @property
    def headline_bits_per_byte(self) -> float | None:
        """The one number by which runs on the same text compare; None before it is measured."""
        value = self.fact("eval", "bits_per_byte", "value")
        return None if value is None else float(value)

    @property
    def seconds(self) -> float:
        """Time that the stages took, together."""
        return sum(artifact.seconds for artifact in self.artifacts.values())

    def _json(self, name: str) -> Row:
        return Store(self.root).read_json(name) if (self.root / name).is_file() else {}


def benchmarks_file(stage: str) -> str:
    """The file of a run that keeps what benchmarks found of a stage's weights."""
    return f"benchmarks-{stage}.json"


def gather(root: Path) -> Run:
    """The run in the folder `root`."""
    return Run(root)


def all_runs(folder: Path) -> list[Run]:
    """Every run in a folder, the one that was begun last first; what is damaged is left out."""
    found = []
    for name in runs_in(folder):
        run = Run(folder / name)
        with contextlib.suppress(StoreError):
            found.append((str(run.about.get("created", "")), name, run))
    return [run for *_, run in sorted(found, key=lambda each: each[:2], reverse=True)]


def _rows(path: Path) -> Iterator[Row]:
    yield from (row for row in _lines(path) if isinstance(row.get("step"), int))


def _lines(path: Path) -> Iterator[Row]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # torn by a kill
            if isinstance(row, dict):
                yield row


def _taken_once(rows: Iterator[Row]) -> list[Row]:
    """Rows of one history: where a stage went back to an earlier step, what it did from that step on is forgotten."""
    kept: list[Row] = []
    reached: dict[Any, int] = {}
    for row in rows:
        stage, step = row.get("stage"), row["step"]
        if step <= reached.get(stage, -1):
            kept = [old for old in kept if not _forgotten(old, row)]
        kept.append(row)
        reached[stage] = step
    return kept


def _forgotten(old: Row, new: Row) -> bool:
    """Whether the stage did `old` before it went back to do `new`; one step may have rows of several prompts."""
    if old.get("stage") != new.get("stage"):
        return False
    return bool(old["step"] > new["step"] or (old["step"] == new["step"] and old.get("prompt") == new.get("prompt")))

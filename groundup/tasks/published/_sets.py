"""What the words of `--tasks` stand for: a benchmark, or a named set of them."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from groundup.config import Folder
from groundup.errors import ConfigError, nearest
from groundup.tasks.published._base import FORMS, Benchmark, Form, Talks

FOLDER = Folder("tasks.published")


@dataclass(frozen=True)
class Entry:
    """One benchmark to put to a model: at most `limit` items of it, and the form that counts (None: its own)."""

    benchmark: Benchmark
    limit: int | None = None
    form: Form | None = None

    @property
    def key(self) -> str:
        """What results are listed under: the benchmark's name, and its shots where it has some."""
        shots = getattr(self.benchmark, "shots", 0)
        return f"{self.benchmark.name}, {shots} shots" if shots else self.benchmark.name


def entries(words: str, *, limit: int | None = None, shots: int | None = None) -> list[Entry]:
    """`"small"`, `"core"`, `"all"` or names with commas as entries; `limit` and `shots` take the place of the set's.

    What needs a judge is in no set.

    Raises ConfigError for an unknown name.
    """
    found: dict[str, Entry] = {}
    for word in filter(None, (part.strip() for part in words.split(","))):
        for row in _rows(word):
            given = row.get("shots") if shots is None else shots
            entry = Entry(_benchmark(row["task"], given), limit or row.get("limit"), row.get("form"))
            found.setdefault(entry.key, entry)
    if not found:
        raise ConfigError(f"--tasks {words!r} names nothing; choose sets or tasks: {', '.join(_known())}")
    return list(found.values())


def _rows(word: str) -> Sequence[dict[str, Any]]:
    if word == "all":
        return [{"task": name} for name in FOLDER.choices() if not issubclass(FOLDER.find(name), Talks)]
    if word in _sets():
        return _sets()[word]
    if word not in FOLDER.choices():
        raise ConfigError(f"--tasks: there is no {word!r}; {nearest(word, _known())}")
    return [{"task": word}]


def _benchmark(name: str, shots: int | None) -> Benchmark:
    kind = FOLDER.find(name)
    asked = shots is not None and "shots" in kind.model_fields
    benchmark = FOLDER.read({"name": name, "shots": shots} if asked else name)
    assert isinstance(benchmark, Benchmark)
    return benchmark


def _known() -> list[str]:
    return [*_sets(), "all", *FOLDER.choices()]


@cache
def _sets() -> dict[str, list[dict[str, Any]]]:
    table = tomllib.loads(files("groundup.tasks.published").joinpath("sets.toml").read_text(encoding="utf-8"))
    for row in (row for rows in table.values() for row in rows):
        assert row.get("form", "acc") in FORMS, f"sets.toml: {row}"
    return table

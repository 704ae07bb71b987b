"""Pass 2: what only all documents together can tell. Copies of a text, what is held out, near copies across the split.

Relational, on Daft, over verdicts and signatures; texts are read for the few pairs that need an exact answer.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import compute, parquet

from groundup.corpus.judge import sketch
from groundup.corpus.split import HeldOut
from groundup.corpus.tables import BATCH_BITS
from groundup.corpus.words import Hashes
from groundup.errors import DataError

# Jaccard likeness of the sets of runs of 5 words above which two documents are near copies (Lee et al. 2022).
NEAR = 0.8
NO_KEY = -1


@dataclass(frozen=True, slots=True)
class Drop:
    """A document removed because of another one."""

    reason: str
    value: float
    threshold: float
    duplicate_of: str


@dataclass(slots=True)
class Decisions:
    """What pass 2 says on documents that pass 1 kept, by key. One not named stays, is learnt from, and keeps its id."""

    drops: dict[int, Drop] = field(default_factory=dict)
    held_out: set[int] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)

    def of_batch(self, number: int) -> "Decisions":
        """The decisions on one batch."""
        low, high = number << BATCH_BITS, (number + 1) << BATCH_BITS
        return Decisions(
            {key: drop for key, drop in self.drops.items() if low <= key < high},
            {key for key in self.held_out if low <= key < high},
            {key: name for key, name in self.names.items() if low <= key < high},
        )


def relate(paths: Sequence[Path], held_out: HeldOut) -> Decisions:
    """Decide on all documents in the files of pass 1. Raises DataError as `HeldOut` does, and when none is left."""
    daft = _daft()
    col = daft.col
    judged = daft.read_parquet([str(path) for path in paths])
    kept = judged.where(col("kept"))
    light = kept.select("key", "id", "bytes", "content", "pinned").to_pydict()
    if not light["key"]:
        raise DataError(_why_nothing(judged.select("id", "reason", "detail").to_pydict()))
    names = dict(zip(light["key"], light["id"], strict=True))
    held_out.check(light["id"])
    decisions = Decisions()
    for key, first in _copies(kept):
        decisions.drops[key] = Drop("duplicate", 1.0, 1.0, names[first])
    rows = zip(light["content"], light["bytes"], light["pinned"], light["key"], strict=True)
    decisions.held_out = held_out.choose(row for row in rows if row[3] not in decisions.drops)
    decisions.names = _renamed(kept, decisions.drops)
    pairs = _alike(kept, decisions)
    for key, (likeness, other) in _near(pairs, paths).items():
        decisions.drops[key] = Drop("near_duplicate", round(likeness, 4), NEAR, names[other])
    return decisions


def _why_nothing(rows: Mapping[str, list[str]]) -> str:
    """What became of the documents when none is left: reasons by number, and one example."""
    counts = Counter(rows["reason"]).most_common(3)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts) or "the files are empty"
    example = next(filter(None, rows["detail"]), f"the first is {rows['id'][0]}" if rows["id"] else "")
    return f"no document is left of {len(rows['id'])} ({reasons}): {example or 'give more text'}"


def _daft() -> Any:
    """Daft on this machine alone, without a progress bar of its own and without telemetry."""
    os.environ.update(DO_NOT_TRACK="1", DAFT_PROGRESS_BAR="0")  # read when Daft is imported
    import daft

    return daft


def _copies(kept: Any) -> Iterable[tuple[int, int]]:
    """(key, key of the copy that stays) of every text that is there again; the one with the lowest rank stays."""
    col = _daft().col
    first = kept.groupby("content").agg(col("rank").min().alias("first"))
    again = kept.select("key", "rank", "content").join(first, on="content").where(col("rank") != col("first"))
    stays = kept.select(col("key").alias("stays"), col("rank").alias("first"))
    found = again.join(stays, on="first").select("key", "stays").to_pydict()
    return zip(found["key"], found["stays"], strict=True)


def _renamed(kept: Any, drops: Mapping[int, Drop]) -> dict[int, str]:
    """New ids for all but the first of documents with the same id: `id~2`, `id~3`, by key."""
    col = _daft().col
    counts = kept.groupby("id").agg(col("key").count().alias("count")).where(col("count") > 1)
    found = kept.select("key", "id").join(counts, on="id").to_pydict()
    seen: dict[str, int] = {}
    names = {}
    for key, name in sorted(zip(found["key"], found["id"], strict=True)):
        if key not in drops:
            seen[name] = seen.get(name, 0) + 1
            if seen[name] > 1:
                names[key] = f"{name}~{seen[name]}"
    return names


def _alike(kept: Any, decisions: Decisions) -> list[tuple[int, int]]:
    """(learnt from, held out) whose sketches share at least half of what near copies share on average."""
    daft = _daft()
    col = daft.col
    held = daft.from_pydict({"key": sorted(decisions.held_out)})
    dropped = daft.from_pydict({"key": sorted(decisions.drops) or [NO_KEY]})
    hashes = kept.select("key", "sketch").explode("sketch")
    ours = hashes.join(held, on="key").select(col("key").alias("other"), "sketch")
    theirs = hashes.join(held, on="key", how="anti").join(dropped, on="key", how="anti")
    shared = theirs.join(ours, on="sketch").groupby("key", "other").agg(col("sketch").count().alias("shared"))
    # Not by `list_count`: it takes a text argument, and Daft imports torch (5 s) to see whether a text is a tensor.
    sizes = hashes.groupby("key").agg(col("sketch").count().alias("size"))
    found = shared.join(sizes, on="key").where(col("shared") * 2 >= col("size") * NEAR).to_pydict()
    return sorted(zip(found["key"], found["other"], strict=True))


def _near(pairs: Sequence[tuple[int, int]], paths: Sequence[Path]) -> dict[int, tuple[float, int]]:
    """Of each document in the pairs that truly is a near copy: the likeness, and the held-out document most like it."""
    sets = _sets({key for pair in pairs for key in pair}, paths)
    near: dict[int, tuple[float, int]] = {}
    for key, other in pairs:
        likeness = jaccard(sets[key], sets[other])
        if likeness >= NEAR and likeness > near.get(key, (0.0, 0))[0]:
            near[key] = (likeness, other)
    return near


def jaccard(left: Hashes, right: Hashes) -> float:
    """Shared part of two sets of hashes; 1.0 for two empty ones."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / max(1, len(left) + len(right) - shared) if len(left) or len(right) else 1.0


def _sets(keys: set[int], paths: Sequence[Path]) -> dict[int, Hashes]:
    """The whole sketch of each of some documents, their texts read again a row group at a time."""
    found: dict[int, Hashes] = {}
    wanted = np.array(sorted(keys), np.int64)
    for path in paths if keys else ():
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                here = compute.is_in(file.read_row_group(group, ["key"])["key"], value_set=_array(wanted))
                if compute.any(here).as_py():
                    table = file.read_row_group(group, ["key", "text"]).filter(here)
                    for key, text in zip(table["key"].to_pylist(), table["text"].to_pylist(), strict=True):
                        found[key] = sketch(text)
    return found


def _array(values: Any) -> Any:
    import pyarrow

    return pyarrow.array(values)

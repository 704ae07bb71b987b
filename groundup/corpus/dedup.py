"""Pass 2: what only all documents together can tell: copies, near copies, and what is held out.

Relational, on Daft, over rows without texts; texts are read again only to verify near copies (near.py). In memory at
the same time: about 100 bytes for each document, and half a kilobyte for each that is removed here.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.corpus.crew import Crew
from groundup.corpus.near import Groups, Likeness, candidates, likely, verified
from groundup.corpus.settings import Corpus, Dedup
from groundup.corpus.spans import find_cuts
from groundup.corpus.tables import BATCH_BITS, EXACT, NEAR
from groundup.errors import DataError

NO_KEY = -1


@dataclass(frozen=True, slots=True)
class Drop:
    """A document removed because of another one."""

    step: str
    reason: str
    value: float
    threshold: float
    duplicate_of: str


@dataclass(slots=True)
class Decisions:
    """What pass 2 says on documents that pass 1 kept, by key. One not named stays, is learnt from, and keeps its id.

    `cuts` is the folder with the passages to cut, for `read_cuts`.
    """

    drops: dict[int, Drop] = field(default_factory=dict)
    held_out: set[int] = field(default_factory=set)
    names: dict[int, str] = field(default_factory=dict)
    cuts: Path | None = None

    def by_batch(self, count: int) -> list["Decisions"]:
        """The decisions on each of the first `count` batches."""
        parts = [Decisions(cuts=self.cuts) for _ in range(count)]
        for key, drop in self.drops.items():
            parts[key >> BATCH_BITS].drops[key] = drop
        for key in self.held_out:
            parts[key >> BATCH_BITS].held_out.add(key)
        for key, name in self.names.items():
            parts[key >> BATCH_BITS].names[key] = name
        return parts


def relate(paths: Sequence[Path], settings: Corpus, hands: Crew) -> Decisions:
    """Decide on all documents in the files of pass 1. Raises DataError as `HeldOut` does, and when none is left."""
    dedup, held_out = settings.dedup, settings.held_out
    judged = _daft().read_parquet([str(path.absolute()) for path in paths])
    col = _daft().col
    kept = judged.where(col("kept"))
    decisions = Decisions()
    copies = dict(_copies(kept))
    near = _near(kept, copies, paths, dedup, hands) if dedup.near else {}
    names = _names(kept, {*copies.values(), *(stays for stays, _ in near.values())})
    for key, first in copies.items():
        stays = near[first][0] if first in near else first
        decisions.drops[key] = Drop(EXACT, "duplicate", 1.0, 1.0, names[stays])
    for key, (stays, likeness) in near.items():
        decisions.drops[key] = Drop(NEAR, "near_duplicate", round(likeness, 4), dedup.near, names[stays])
    ours = kept.where(~col("earlier"))
    left = _without(ours.select("key", "bytes", "content", "pinned"), decisions.drops).to_arrow()
    if not len(left):
        raise DataError(_why_nothing(judged.where(~col("earlier")), decisions))
    if held_out.ids:
        held_out.check(ours.select("id").to_arrow()["id"].to_pylist())
    decisions.held_out = held_out.choose(left)
    decisions.names = _renamed(ours, decisions.drops)
    if dedup.spans:
        old = kept.where(col("earlier")).select("key").to_pydict()["key"]
        whole = [*decisions.held_out, *old]
        n_bytes = sum(kept.select("bytes").to_arrow()["bytes"].to_pylist())
        decisions.cuts = find_cuts(paths, n_bytes, list(decisions.drops), whole, dedup.spans, hands)
    return decisions


def _why_nothing(judged: Any, decisions: Decisions) -> str:
    """What became of the documents when none is left: reasons by number, and one example."""
    rows = judged.select("id", "reason", "detail").to_pydict()
    by_filter = Counter(filter(None, rows["reason"]))
    counts = (by_filter + Counter(drop.reason for drop in decisions.drops.values())).most_common(3)
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts) or "the files are empty"
    example = next(filter(None, rows["detail"]), f"the first is {rows['id'][0]}" if rows["id"] else "")
    return f"no document is left of {len(rows['id'])} ({reasons}): {example or 'give more text'}"


def _daft() -> Any:
    """Daft on this machine alone, without a progress bar of its own and without telemetry."""
    os.environ.update(DO_NOT_TRACK="1", DAFT_PROGRESS_BAR="0")  # read when Daft is imported
    import daft

    return daft


def _without(frame: Any, keys: Iterable[int]) -> Any:
    """The rows whose key is not among these."""
    dropped = _daft().from_pydict({"key": sorted(keys) or [NO_KEY]})
    return frame.join(dropped, on="key", how="anti")


def _names(kept: Any, keys: Iterable[int]) -> Mapping[int, str]:
    """The ids of some documents."""
    wanted = _daft().from_pydict({"key": sorted(keys) or [NO_KEY]})
    found = kept.select("key", "id").join(wanted, on="key").to_pydict()
    return dict(zip(found["key"], found["id"], strict=True))


def _copies(kept: Any) -> Iterable[tuple[int, int]]:
    """(key, key of the copy that stays) of every text that is there again; the one with the lowest rank stays."""
    col = _daft().col
    first = kept.groupby("copy").agg(col("rank").min().alias("first"))
    again = kept.where(~col("earlier")).select("key", "rank", "copy").join(first, on="copy")
    stays = kept.select(col("key").alias("stays"), col("rank").alias("first"))
    found = again.where(col("rank") != col("first")).join(stays, on="first").select("key", "stays").to_pydict()
    return zip(found["key"], found["stays"], strict=True)


def _near(
    kept: Any, copies: Mapping[int, int], paths: Sequence[Path], dedup: Dedup, hands: Crew
) -> dict[int, tuple[int, float]]:
    """Of each near copy: the document of its group that stays, and its likeness to the one that it is most like."""
    _, edges = near_pairs(kept, copies, paths, dedup.near, hands)
    if not edges:
        return {}
    groups = Groups()
    most: dict[int, float] = {}
    for edge in edges:
        groups.join(edge.left, edge.right)
        for key in (edge.left, edge.right):
            most[key] = max(most.get(key, 0.0), edge.value)
    col = _daft().col
    inside = kept.select("key", "rank", "earlier").join(_daft().from_pydict({"key": sorted(most)}), on="key")
    rows = inside.select(col("key"), col("rank"), col("earlier")).to_pydict()
    rank = dict(zip(rows["key"], rows["rank"], strict=True))
    earlier = {key for key, early in zip(rows["key"], rows["earlier"], strict=True) if early}
    near: dict[int, tuple[int, float]] = {}
    for members in groups.members().values():
        stays = min(members, key=lambda key: rank[key])
        near |= {key: (stays, most[key]) for key in members if key != stays and key not in earlier}
    return near


def near_pairs(
    kept: Any, copies: Iterable[int], paths: Sequence[Path], near: float, hands: Crew, every: bool = False
) -> tuple[int, list[Likeness]]:
    """How many pairs share a band among all but some copies, and those pairs that are near copies."""
    hashes = _without(kept.select("key", "bands"), copies).explode("bands").where(_daft().col("bands").not_null())
    pairs = candidates(hashes, hashes.count_rows())
    probable = likely(pairs, paths, near, paths[0].parent)
    return len(pairs), verified(probable, paths, near, hands, every)


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

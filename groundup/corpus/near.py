"""Near copies: pairs that share a band, and whose signatures agree, are verified by their true Jaccard likeness.

Bands are grouped on Daft without texts. Of candidates alone workers read the texts once more, write their runs of words
to files, and compare them from there. The result depends on the documents and their order alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from groundup.corpus.crew import Beat, Crew, Job
from groundup.corpus.minhash import jaccard, runs, shape, unlikely
from groundup.corpus.tables import BATCH_BITS, aside
from groundup.corpus.words import Hashes

Keys = NDArray[np.int64]
# Rows of (band, key) that are grouped at a time: 16 bytes each, and as much again for the groups.
ROWS_AT_ONCE = 50_000_000
# In a larger group only neighbours, and each with the first, are candidates: all pairs of n would be n^2 / 2.
ALL_PAIRS = 32
# Pairs that one job verifies.
JOB_PAIRS = 2000
PAIRS_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two documents by key, the smaller one first, and their true Jaccard likeness."""

    left: int
    right: int
    value: float


@dataclass(frozen=True, slots=True)
class Sketch:
    """Documents of a file of pass 1, by key, whose runs of words go to two files in a folder."""

    judged: Path
    keys: Keys
    folder: Path


@dataclass(frozen=True, slots=True)
class Verification:
    """Pairs for one job. Unless `every`, a pair that others already join into one group is not looked at.

    The `folder` holds the runs of words of all documents in the pairs.
    """

    pairs: Keys
    folder: Path
    near: float
    every: bool


def candidates(hashes: Any, n_rows: int) -> Keys:
    """Pairs (n, 2) of keys that share a band, sorted. `hashes` is a Daft frame: a key and one of its bands a row."""
    import daft

    col: Any = daft.col
    parts = 1 + n_rows // ROWS_AT_ONCE
    found = [np.empty((0, 2), np.int64)]
    for part in range(parts):
        some = hashes.where(col("bands") % parts == part) if parts > 1 else hashes
        groups = some.groupby("bands").agg(col("key").list_agg().alias("keys"), col("key").count().alias("size"))
        lists = groups.where(col("size") > 1).select("keys").to_arrow()["keys"].combine_chunks()
        found += _pairs(lists.flatten().to_numpy(), np.diff(lists.offsets.to_numpy()))
        found = [np.unique(np.concatenate(found), axis=0)]
    return found[0]


def likely(pairs: Keys, paths: Sequence[Path], near: float, work: Path) -> Keys:
    """The pairs whose signatures do not say that they are less alike than `near`.

    The last byte of each hash of all documents goes to a file in the folder `work`, of which the system holds in
    memory what there is room for.
    """
    if not len(pairs):
        return pairs
    counts = [parquet.read_metadata(path).num_rows for path in paths]
    first = np.cumsum([0, *counts])
    n_hashes = math.prod(shape(near))
    table = np.memmap(work / "minima.bin", np.uint8, "w+", shape=(int(first[-1]), n_hashes))
    for path, start in zip(paths, first[:-1].tolist(), strict=True):
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["minima"]):
                for value in batch["minima"].to_pylist():
                    if value:
                        table[start] = np.frombuffer(value, np.uint8)
                    start += 1
    rows = first[pairs >> BATCH_BITS] + (pairs & ((1 << BATCH_BITS) - 1))
    bar, kept = unlikely(near), []
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        left, right = rows[start : start + PAIRS_AT_ONCE].T
        kept.append((table[left] == table[right]).mean(axis=1) >= bar)
    return pairs[np.concatenate(kept)]


def verified(pairs: Keys, paths: Sequence[Path], near: float, hands: Crew, every: bool = False) -> list[Likeness]:
    """The pairs that are as alike as `near`, sorted; unless `every`, only as many as are needed to join each group.

    `paths` are the files of pass 1, by batch number.
    """
    folder = paths[0].parent / "runs"
    folder.mkdir(exist_ok=True)
    keys = np.unique(pairs)
    edges = np.searchsorted(keys, np.arange(len(paths) + 1) << BATCH_BITS).tolist()
    parts = zip(paths, pairwise(edges), strict=True)
    list(hands.run(write_runs, [Sketch(path, keys[low:high], folder) for path, (low, high) in parts if low < high]))
    plans = [Verification(part, folder, near, every) for part in _jobs(pairs)]
    found: list[Likeness] = []
    for _, some in hands.run(verify_pairs, plans):
        found += some
    return sorted(found, key=lambda each: (each.left, each.right))


def write_runs(job: Job, _: Beat) -> None:
    """Write the runs of words of a `Sketch`, one document after the other, and where each ends."""
    plan: Sketch = job.payload
    ends = [0]
    runs_of, ends_of = _files(plan.folder, int(plan.judged.stem))
    with parquet.ParquetFile(plan.judged) as file, aside(runs_of) as place, place.open("wb") as out:
        for group in range(file.num_row_groups):
            here = np.flatnonzero(np.isin(file.read_row_group(group, ["key"])["key"].to_numpy(), plan.keys)).tolist()
            texts = file.read_row_group(group, ["text"])["text"] if here else []
            for row in here:
                members = runs(str(texts[row]))
                members.tofile(out)
                ends.append(ends[-1] + len(members))
    with aside(ends_of) as place, place.open("wb") as out:
        np.save(out, np.stack([plan.keys, ends[:-1], ends[1:]]))


def verify_pairs(job: Job, _: Beat) -> list[Likeness]:
    """The near copies among the pairs of a `Verification`."""
    plan: Verification = job.payload
    texts, joined, found = _Runs(plan.folder), Groups(), []
    for left, right in plan.pairs.tolist():
        if not plan.every and joined.find(left) == joined.find(right):
            continue
        value = jaccard(texts[left], texts[right])
        if value >= plan.near:
            joined.join(left, right)
            found.append(Likeness(left, right, value))
    return found


class Groups:
    """Union-find over keys; a group is named by its smallest key."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, key: int) -> int:
        """The name of the group that a key is in; its own where it was joined with no other."""
        root = key
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(key, key)) != root:
            self._parent[key], key = root, parent
        return root

    def join(self, left: int, right: int) -> None:
        """Put the groups of two keys together."""
        low, high = sorted((self.find(left), self.find(right)))
        self._parent[low] = low
        self._parent[high] = low

    def members(self) -> Mapping[int, list[int]]:
        """Every key that was joined with another, by the name of its group, sorted."""
        found = defaultdict(list)
        for key in sorted(self._parent):
            found[self.find(key)].append(key)
        return found


class _Runs:
    """The sets of runs of words that `write_runs` has left in a folder, by key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[int, Keys] = {}

    def __getitem__(self, key: int) -> Hashes:
        number = key >> BATCH_BITS
        runs_of, ends_of = _files(self._folder, number)
        if number not in self._places:
            self._places[number] = np.load(ends_of)
        keys, starts, ends = self._places[number]
        at = int(np.searchsorted(keys, key))
        return np.fromfile(runs_of, np.uint64, int(ends[at] - starts[at]), offset=8 * int(starts[at]))


def _files(folder: Path, number: int) -> tuple[Path, Path]:
    """Of one batch the file of runs, and that of the keys with where the runs of each start and end."""
    return folder / f"{number:05d}.bin", folder / f"{number:05d}.npy"


def _pairs(members: Keys, sizes: NDArray[np.int64]) -> Iterator[Keys]:
    """The pairs of groups that lie one after the other in `members`, each pair with the smaller key first."""
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes).tolist():
        table = np.sort(members[starts[sizes == size][:, None] + np.arange(size)], axis=1)
        if size <= ALL_PAIRS:
            left, right = np.triu_indices(size, 1)
        else:
            chain = np.array([*pairwise(range(size)), *((0, place) for place in range(2, size))])
            left, right = chain.T
        yield np.stack([table[:, left].ravel(), table[:, right].ravel()], axis=1)


def _jobs(pairs: Keys) -> Iterator[Keys]:
    """The pairs in parts, each of whole groups of candidates: what one job finds no other needs to know."""
    joined = Groups()
    for left, right in pairs.tolist():
        joined.join(left, right)
    roots = np.array([joined.find(left) for left in pairs[:, 0].tolist()], np.int64)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], roots))
    pairs, roots = pairs[order], roots[order]
    edges = [0, *(np.flatnonzero(np.diff(roots)) + 1).tolist(), len(pairs)]
    start = 0
    for high in edges[1:]:
        if high - start >= JOB_PAIRS or high == len(pairs):
            yield pairs[start:high]
            start = high
    assert start == len(pairs), "every pair is in a job"

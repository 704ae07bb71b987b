"""Which items of evaluation sets stand in a text: by long runs of words in common, and by most of their shorter ones.

The strings of an item are matched each for itself, its ids and labels left out; short ones say nothing and never match.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundup.corpus.reading import records_of
from groundup.corpus.sources._walk import label_of
from groundup.corpus.words import Hashes, covered, distinct, spans, words

CONTAMINATED = "contaminated"
# Brown et al. 2020 (GPT-3), appendix C: a run of 13 words in common.
RUN_WORDS = 13
# Lambert et al. 2024 (Tülu 3): runs of 8 words, and an item is near when at least half of its are found.
NEAR_WORDS = 8
# An item with fewer runs of 8 words, that is under 15 words, is near to any text with its phrase.
FEWEST_RUNS = 8
# Places of the first table for each run that is looked for: one run in so many is searched for in vain.
ROOM, MOST_BITS = 8, 25


@dataclass(frozen=True)
class Hits:
    """Items of sets, as "SET LINE": those that share a long run with a text, and others that are near to it.

    `passages` are the places in the text, in bytes, of the runs that it shares with them.
    """

    exact: tuple[str, ...]
    near: tuple[str, ...]
    passages: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Runs:
    """Hashes of runs of words in order, the item that each is of, and a table of their first bits to look up first."""

    hashes: Hashes
    items: NDArray[np.int64]
    table: NDArray[np.bool_]
    shift: np.uint64

    @classmethod
    def of(cls, parts: Sequence[Hashes]) -> "_Runs":
        hashes = np.concatenate([np.empty(0, np.uint64), *parts])
        items = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        order = np.lexsort((items, hashes))
        bits = min(MOST_BITS, max(8, (ROOM * len(hashes)).bit_length()))
        table = np.zeros(1 << bits, bool)
        table[hashes >> np.uint64(64 - bits)] = True
        return cls(hashes[order], items[order], table, np.uint64(64 - bits))

    def found(self, grams: Hashes) -> NDArray[np.int64]:
        """The items of each run that is among `grams`, a run of an item once."""
        some = grams[self.table[grams >> self.shift]]
        if not len(some) or not len(self.hashes):
            return np.empty(0, np.int64)
        some = distinct(some)
        low = np.searchsorted(self.hashes, some, "left")
        counts = np.searchsorted(self.hashes, some, "right") - low
        places = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return self.items[places]

    def among(self, grams: Hashes, items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which runs of a text are runs of some items."""
        return np.isin(grams, self.hashes[np.isin(self.items, items)])


class Index:
    """The items of some evaluation sets, ready to be looked for."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Read the sets (JSON lines, plain or compressed). Raises DataError for one that cannot be read."""
        self.sizes: dict[str, int] = {}
        names: list[str] = []
        longs: list[Hashes] = []
        shorts: list[Hashes] = []
        for path in paths:
            label = label_of(path)
            for number, item in records_of(path):
                split = [words(text) for text in _strings(item)]
                names.append(f"{label} {number}")
                longs.append(_union([each.grams(RUN_WORDS) for each in split]))
                shorts.append(_union([each.grams(NEAR_WORDS) for each in split]))
                self.sizes[label] = self.sizes.get(label, 0) + 1
        self._names = names
        self._n_runs = np.array([len(each) for each in shorts], np.int64)
        self._long, self._short = _Runs.of(longs), _Runs.of(shorts)

    def hits(self, text: str, near: float) -> Hits:
        """The items in a text; those of whose runs of 8 words at least the share `near` is found are near (0: none)."""
        split = words(text)
        longs, shorts = split.grams(RUN_WORDS), split.grams(NEAR_WORDS)
        exact = np.unique(self._long.found(longs))
        close = np.empty(0, np.int64)
        if near:
            counts = np.bincount(self._short.found(shorts), minlength=len(self._names))
            close = np.flatnonzero((counts >= near * self._n_runs) & (self._n_runs >= FEWEST_RUNS))
            close = np.setdiff1d(close, exact)
        if not len(exact) and not len(close):
            return Hits((), ())
        inside = np.zeros(len(split.hashes), bool)
        for grams, n, runs, items in ((longs, RUN_WORDS, self._long, exact), (shorts, NEAR_WORDS, self._short, close)):
            if len(grams) and len(items):
                inside |= covered(runs.among(grams, items), n)
        return Hits(self._named(exact), self._named(close), tuple(spans(inside, text)))

    def _named(self, items: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(self._names[item] for item in items.tolist())


@lru_cache(maxsize=4)
def index(paths: tuple[str, ...]) -> Index:
    """The index of some sets, made once in a process."""
    return Index(paths)


def by_set(items: Mapping[str, Any] | Sequence[str] | set[str]) -> dict[str, int]:
    """How many items of each set there are.

    >>> by_set({"mmlu 3", "mmlu 8", "boolq 1"})
    {'boolq': 1, 'mmlu': 2}
    """
    labels = sorted(item.rpartition(" ")[0] for item in items)
    return {label: labels.count(label) for label in dict.fromkeys(labels)}


def _strings(value: Any) -> Iterator[str]:
    """Every string in a record, but for the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _union(parts: Sequence[Hashes]) -> Hashes:
    return np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))

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
from groundup.corpus.words import MEASURED, Hashes, covered, distinct, places, spans, words

CONTAMINATED = "contaminated"
# Brown et al. 2020 (GPT-3), appendix C: a run of 13 words in common.
RUN_WORDS = 13
# Lambert et al. 2024 (Tülu 3): runs of 8 words, and an item is near when at least half of its are found.
NEAR_WORDS = 8
# An item with fewer runs of 8 words, that is under 15 words, is near to any text with its phrase.
FEWEST_RUNS = 8
# Bits of a table for each run that is looked for. There are two, of different parts of a hash: few are sought in vain.
ROOM, MOST_BITS = 8, 25
# Characters of an evaluation set that are split into words together; no more than `words` looks at.
GROUP = MEASURED // 4


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
    """Hashes of runs of words in order, the item that each is of, and tables that say first which cannot be there.

    The tables are of bits, eight in a byte, so that they stay in a core's cache (Bloom 1970).
    """

    hashes: Hashes
    items: NDArray[np.int64]
    tables: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    shifts: tuple[np.uint64, np.uint64]

    @classmethod
    def of(cls, hashes: Hashes, items: NDArray[np.int64]) -> "_Runs":
        order = np.lexsort((items, hashes))
        order = order[(np.diff(hashes[order], prepend=~hashes[:1]) != 0) | (np.diff(items[order], prepend=-1) != 0)]
        bits = min(MOST_BITS, max(8, (ROOM * len(hashes)).bit_length()))
        shifts = np.uint64(64 - bits), np.uint64(64 - 2 * bits)
        tables = tuple(_bits(hashes, shift, bits) for shift in shifts)
        return cls(hashes[order], items[order], (tables[0], tables[1]), shifts)

    def found(self, grams: Hashes) -> NDArray[np.int64]:
        """The items of each run that is among `grams`, a run of an item once."""
        some = grams
        for table, shift in zip(self.tables, self.shifts, strict=True):
            some = some[_has(table, some, shift)]
        if not len(some) or not len(self.hashes):
            return np.empty(0, np.int64)
        some = distinct(some)
        low = np.searchsorted(self.hashes, some, "left")
        there = self.hashes[np.minimum(low, len(self.hashes) - 1)] == some
        some, low = some[there], low[there]
        counts = np.searchsorted(self.hashes, some, "right") - low
        places = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return self.items[places]

    def among(self, grams: Hashes, items: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which runs of a text are runs of some items."""
        return np.isin(grams, self.hashes[np.isin(self.items, items)])


def _bits(hashes: Hashes, shift: np.uint64, bits: int) -> NDArray[np.uint8]:
    """2^bits bits: those that `bits` bits of the hashes, from `shift` on, name are set."""
    table = np.zeros(1 << bits, bool)
    table[(hashes >> shift) & np.uint64(len(table) - 1)] = True
    return np.packbits(table, bitorder="little")


def _has(table: NDArray[np.uint8], hashes: Hashes, shift: np.uint64) -> NDArray[np.bool_]:
    """Whether the bits that hashes name are set in a table of `_bits`."""
    places = ((hashes >> shift) & np.uint64(8 * len(table) - 1)).astype(np.uint32)
    held = table[places >> np.uint32(3)] >> (places & np.uint32(7)).astype(np.uint8)
    return (held & np.uint8(1)).view(bool)


class Index:
    """The items of some evaluation sets, ready to be looked for."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Read the sets (JSON lines, plain or compressed). Raises DataError for one that cannot be read."""
        self.sizes: dict[str, int] = {}
        self._names: list[str] = []
        strings: list[tuple[int, str]] = []
        for path in paths:
            label = label_of(path)
            for number, item in records_of(path):
                strings += ((len(self._names), text) for text in _strings(item))
                self._names.append(f"{label} {number}")
                self.sizes[label] = self.sizes.get(label, 0) + 1
        self._long, self._short = (_Runs.of(*each) for each in _runs(strings, (RUN_WORDS, NEAR_WORDS)))
        self._n_runs = np.bincount(self._short.items, minlength=len(self._names))

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


def _runs(strings: Sequence[tuple[int, str]], lengths: Sequence[int]) -> Iterator[tuple[Hashes, NDArray[np.int64]]]:
    """For each length in words, all runs of that length in the strings of items, and the item of each.

    Many strings are split together, a line each: most are too short to be worth a split of their own.
    """
    found = [[(np.empty(0, np.uint64), np.empty(0, np.int64))] for _ in lengths]
    for some in _together(strings):
        texts = [text for _, text in some]
        starts = np.cumsum([0, *(len(text.encode()) + 1 for text in texts)])
        split, (begins, _) = words("\n".join(texts)), places("\n".join(texts))
        string = np.searchsorted(starts, begins, "right") - 1
        item = np.array([item for item, _ in some])
        for held, n in zip(found, lengths, strict=True):
            grams = split.grams(n)
            whole = np.flatnonzero(string[: len(grams)] == string[n - 1 :]) if len(grams) else np.empty(0, np.int64)
            held.append((grams[whole], item[string[whole]]))
    for held in found:
        hashes, items = zip(*held, strict=True)
        yield np.concatenate(hashes), np.concatenate(items)


def _together(strings: Sequence[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """The strings in groups of about a million characters, without what cannot be written as UTF-8."""
    group: list[tuple[int, str]] = []
    size = 0
    for item, text in strings:
        text = text[:MEASURED].encode("utf-8", "replace").decode()
        if group and size + len(text) >= GROUP:
            yield group
            group, size = [], 0
        group.append((item, text))
        size += len(text) + 1
    if group:
        yield group

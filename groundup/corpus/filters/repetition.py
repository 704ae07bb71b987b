"""Documents that say the same again and again: the repetition rules of Gopher, with a looser bar for technical text."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.lines import lines
from groundup.corpus.words import TECHNICAL_SYMBOLS, Hashes, Words, covered, words

# Rae et al. 2021 (Gopher), table A1: the share of characters that may lie in repeated lines, in the most frequent
# run of n words, and in runs of n words that stood before. Their share of repeated lines by number is not used: it
# punishes drama and lists, where short lines recur. Their rules for paragraphs follow from those for lines.
LINES = 0.20
TOP_GRAMS: Mapping[int, float] = {2: 0.20, 3: 0.18, 4: 0.16}
REPEATED_GRAMS: Mapping[int, float] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
# Shares of so few words say nothing. Gopher keeps no document below 50 words at all.
FEWEST_WORDS = 50


class Repetition(Filter):
    r"""Drops documents over Gopher's repetition thresholds times `prose`, or times `technical` where symbols abound.

    The thresholds were set for web pages; repeated runs grow with length, and at 1.0 they drop two chapters of The
    Wealth of Nations. Source code, markup and tables repeat themselves by nature: of the Python standard library 1.0
    would drop 44 % of the bytes, 4.0 drops one file of 880 bytes.

    >>> Repetition().judge(Document("a", "all work and no play makes jack a dull boy\n" * 20, "s", "p")).reason
    'repeated_lines'
    """

    prose: float = Field(1.5, gt=0)
    technical: float = Field(4.0, gt=0)

    def judge(self, document: Document) -> Verdict:
        """Drop with `repeated_lines`, `top_N_gram` or `repeated_N_grams`; the value is a share of characters."""
        split = words(document.text)
        if len(split.hashes) < FEWEST_WORDS:
            return KEPT
        scale = self.technical if split.symbols > TECHNICAL_SYMBOLS else self.prose
        for reason, share, threshold in _measures(document.text, split, scale):
            if share > threshold:
                return Verdict(False, reason, round(share, 4), round(threshold, 4))
        return KEPT


def _measures(text: str, split: Words, scale: float) -> Iterator[tuple[str, float, float]]:
    """Each rule's name, the share and the threshold, cheapest first."""
    yield "repeated_lines", repeated_lines(lines(text)), LINES * scale
    total = max(1, int(split.lengths.sum()))
    heaviest = _heaviest(split)
    for n, threshold in TOP_GRAMS.items():
        if n * heaviest > threshold * scale * total:  # else no run of n words can have so many bytes
            yield f"top_{n}_gram", _top_gram(split, n) / total, threshold * scale
    for n, threshold in REPEATED_GRAMS.items():
        share = _repeated_grams(split, n) / total
        yield f"repeated_{n}_grams", share, threshold * scale
        if share <= min(REPEATED_GRAMS.values()) * scale:
            return  # words in a repeated longer run lie in repeated shorter ones, so no later share is larger


def repeated_lines(rows: Sequence[str]) -> float:
    """Share of characters in lines that stood before."""
    total = sum(map(len, rows))
    return 1.0 - sum(map(len, set(rows))) / total if total else 0.0


def _heaviest(split: Words) -> int:
    """At least the bytes of the word that has most of them, all its places together: words share places of a table."""
    places = 1 << (4 * len(split.hashes)).bit_length()
    return int(np.bincount(split.hashes.astype(np.int64) & (places - 1), split.lengths).max())


def _top_gram(split: Words, n: int) -> int:
    """Bytes in the words of the most frequent run of `n` words; 0 when no run occurs twice."""
    grams, ordered = split.grams(n), split.ordered(n)
    if len(grams) < 2:
        return 0
    starts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
    counts = np.diff(starts, append=len(ordered))
    best = int(counts.argmax())
    if counts[best] < 2:
        return 0
    return int(split.lengths[covered(grams == ordered[starts[best]], n)].sum())


def _repeated_grams(split: Words, n: int) -> int:
    """Bytes in the words that lie in a run of `n` words which stood before."""
    grams, ordered = split.grams(n), split.ordered(n)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return 0
    return int(split.lengths[covered(_seen_before(grams, repeated), n)].sum())


def _seen_before(grams: Hashes, repeated: Hashes) -> NDArray[np.bool_]:
    """Which runs stood before; all that occur more than once are among the `repeated`."""
    table = np.zeros(1 << 16, bool)
    table[repeated >> np.uint64(48)] = True
    some = np.flatnonzero(table[grams >> np.uint64(48)])  # few in most texts: only they are sorted
    order = np.argsort(grams[some], kind="stable")
    ordered = grams[some[order]]
    again = np.zeros(len(grams), bool)
    again[some[order[1:]]] = ordered[1:] == ordered[:-1]
    return again

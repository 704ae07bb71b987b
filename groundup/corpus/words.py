"""A text as an array of word hashes: the one vectorised form from which repetition and likeness are measured.

A word is a run of letters, digits, underscores and non-ASCII characters in lower case; punctuation of other scripts
parts words too. Its hash is a polynomial in its bytes modulo 2^64, taken from prefix sums, so that no word is touched
one by one: about 60 MB/s on one core.
"""

import re
import string
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

# Odd, so that its powers have inverses modulo 2^64. The multiplier of Knuth's MMIX generator (TAOCP 2, 3.3.4).
BASE = 6364136223846793005
# Finaliser of SplitMix64 (Steele, Lea and Flood 2014).
MIX_1, MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
OTHER, SYMBOL, WORD = 0, 1, 2
SPACE, LETTER = 1, 2
WHITE, DIGITS = b" \t\n\r\x0b\x0c", b"0123456789_"
# White space that takes more than one byte, as `str.split` knows it, and what takes one as a plain space.
WIDE_SPACES = re.compile(rb"\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80")
SPACES = bytes(32 if code in b"\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f" else code for code in range(256))
# First bytes of letters outside ASCII that have a small form, with the second bytes for which that holds.
CASED = {
    0xC3: range(0x80, 0x9F), 0xE1: range(0x80, 0xC0), 0xE2: (*range(0x84, 0x87), 0x92, 0x93, *range(0xB0, 0xB4)),
    0xEA: range(0x99, 0xA0), 0xEF: (0xBC,), 0xF0: (0x90, 0x91, 0x96, 0x9E),
    **dict.fromkeys(range(0xC4, 0xD7), range(0x80, 0xC0)),
}  # fmt: skip
# Measured: symbols are 0.05 of the characters in Shakespeare's plays and above 0.06 in all but 3 % of Python modules.
TECHNICAL_SYMBOLS = 0.06
# Beyond this many characters a text is measured by its beginning: the tables of powers stay small.
MEASURED = 1 << 22


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text in order: their hashes, their lengths in bytes and in characters, and two shares.

    `symbols` is the share of characters that are neither part of a word nor white space: near 0.03 in prose, 0.05 in
    drama, 0.09 in Python. `alphabetic` is the share with a letter in them of what white space parts.
    """

    hashes: Hashes
    lengths: NDArray[np.int64]
    letters: NDArray[np.int64]
    symbols: float
    alphabetic: float
    _held: dict[tuple[str, int], Hashes] = field(default_factory=dict, repr=False, compare=False)

    def grams(self, n: int) -> Hashes:
        """Hashes of all runs of `n` words, by position; empty when the text has fewer words. Not to be written to."""
        if ("grams", n) not in self._held:
            self._held["grams", n] = self._grams(n)
        return self._held["grams", n]

    def ordered(self, n: int) -> Hashes:
        """The same, sorted."""
        if ("ordered", n) not in self._held:
            self._held["ordered", n] = np.sort(self.grams(n))
        return self._held["ordered", n]

    def _grams(self, n: int) -> Hashes:
        return mix(_sums(self.hashes, n)) if len(self.hashes) >= n else np.empty(0, np.uint64)


@lru_cache(maxsize=2)  # several measures, and the digest of copies, ask for a text and for its beginning in turn
def lowered(text: str) -> bytes:
    """A text in lower case, as UTF-8."""
    data = text.encode("utf-8", "replace")
    if not text.isascii():
        letters = np.frombuffer(data, np.uint8)
        first = np.flatnonzero(letters >= min(CASED))
        if _cased()[letters[first], letters[first + 1]].any():
            return text.lower().encode("utf-8", "replace")
    return data.lower()


def folded(text: str) -> bytes:
    """A text in lower case with one space in place of any white space, and none at its ends, as UTF-8.

    >>> folded("One\\n  Two ")
    b'one two'
    """
    data = lowered(text)
    if not text.isascii() and WIDE_SPACES.search(data):
        return " ".join(data.decode().split()).encode()
    letters = np.frombuffer(data.translate(SPACES).strip(b" "), np.uint8)
    space = letters == ord(" ")
    keep = np.ones(len(letters), bool)
    np.logical_and(space[1:], space[:-1], out=keep[1:])
    np.logical_not(keep[1:], out=keep[1:])
    return letters[keep].tobytes()


@lru_cache(maxsize=2)  # filters and the sketch ask for a text and for its beginning in turn
def words(text: str) -> Words:
    """Split and hash the first four million characters of a text.

    >>> len(words("It's a_b, ABC — Zoë!").hashes)
    5
    """
    data = np.frombuffer(lowered(text[:MEASURED]), np.uint8)
    kinds = _kinds(data)
    found = edges(kinds == WORD)
    starts, ends = found[::2], found[1::2]
    powers, inverses = _powers(1 << max(12, len(data).bit_length()))
    values = data.astype(np.uint64)
    values += np.uint64(1)
    values *= powers[: len(data)]
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(values, out=sums[1:])
    lengths = letters = ends - starts
    characters = len(data)
    if data.size and data.max() > 127:
        counted = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])
        letters, characters = counted[ends] - counted[starts], int(counted[-1])
    symbols = int(np.count_nonzero(kinds == SYMBOL)) / max(1, characters)
    return Words(mix((sums[ends] - sums[starts]) * inverses[starts]), lengths, letters, symbols, _alphabetic(data))


def places(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the words of a text begin and end, in bytes of its UTF-8: the words of `words`, in the same order."""
    data = np.frombuffer(text[:MEASURED].encode(), np.uint8)
    upper = (data >= ord("A")) & (data <= ord("Z"))
    found = edges(upper | (_kinds(data) == WORD))
    return found[::2], found[1::2]


def edges(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where stretches of true values begin and end, in turn.

    >>> edges(np.array([True, True, False, True])).tolist()
    [0, 2, 3, 4]
    """
    padded = np.zeros(len(inside) + 2, bool)
    padded[1:-1] = inside
    return np.flatnonzero(padded[1:] != padded[:-1])


def covered(marked: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    """Which words lie in a run of `n` words whose start is marked; there are n - 1 more words than marks.

    >>> covered(np.array([True, False, False, False]), 2).tolist()
    [True, True, False, False, False]
    """
    steps = np.zeros(len(marked) + n, np.int32)
    steps[: len(marked)] += marked
    steps[n:] -= marked
    return np.cumsum(steps)[:-1] > 0


def spans(inside: NDArray[np.bool_], text: str) -> list[tuple[int, int]]:
    """Where the stretches of words that are `inside` begin and end, in bytes of the text's UTF-8.

    >>> spans(np.array([False, True, True, False]), "One, two, three, four")
    [(5, 15)]
    """
    begins, ends = places(text)
    found = edges(inside)
    return list(zip(begins[found[::2]].tolist(), ends[found[1::2] - 1].tolist(), strict=True))


def mix(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit values, so that any of them may be compared or cut off (SplitMix64)."""
    mixed = values >> np.uint64(30)
    mixed ^= values
    mixed *= np.uint64(MIX_1)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(MIX_2)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _sums(hashes: Hashes, n: int) -> Hashes:
    """Of all runs of `n` words the polynomial in their hashes, from those of half as many words."""
    if n == 1:
        return hashes
    half = n // 2
    parts = _sums(hashes, half)
    total = parts[:-half] * np.uint64(pow(BASE, half, 1 << 64))
    total += parts[half:]
    if n % 2:
        total = total[:-1] * np.uint64(BASE)
        total += hashes[n - 1 :]
    return total


def _alphabetic(data: NDArray[np.uint8]) -> float:
    """Of what white space parts, the share with a letter: those where a letter is the first of letters and spaces."""
    classes = _classes_of_bytes()[data]
    space = classes == SPACE
    pieces = int(np.count_nonzero(space[:-1] & ~space[1:])) + bool(len(data) and not space[0])
    told = classes[classes != OTHER]
    found = int(np.count_nonzero((told[:-1] == SPACE) & (told[1:] == LETTER))) + bool(len(told) and told[0] == LETTER)
    return found / max(1, pieces)


def _kinds(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What each byte is: WORD, SYMBOL (its first byte), or OTHER (white space, the further bytes of a symbol)."""
    kinds = _kinds_of_bytes()[data]
    # Punctuation outside ASCII: U+0080-00BF (lead byte C2), U+2000-206F (E2 80, E2 81), U+3000-303F (E3 80).
    for lead, seconds, size in ((0xC2, (), 2), (0xE2, (0x80, 0x81), 3), (0xE3, (0x80,), 3)):
        starts = np.flatnonzero(data == lead)
        if seconds and len(starts):
            starts = starts[np.isin(data[starts + 1], seconds)]
        kinds[starts] = SYMBOL
        for offset in range(1, size):
            kinds[starts + offset] = OTHER
    return kinds


def distinct(values: Hashes) -> Hashes:
    """The set of the values, sorted. (`np.unique` goes through a hash table, which is five times slower here.)"""
    return single(np.sort(values))


def single(ordered: Hashes) -> Hashes:
    """Sorted values, each once."""
    new = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return ordered[new]


@lru_cache(maxsize=1)
def _cased() -> NDArray[np.bool_]:
    """Whether a letter with this first and this second byte may have a small form: 256 x 256."""
    table = np.zeros((256, 256), bool)
    for first, seconds in CASED.items():
        table[first, list(seconds)] = True
    return table


@lru_cache(maxsize=1)
def _kinds_of_bytes() -> NDArray[np.uint8]:
    """The kind of each of the 256 byte values, taken by itself."""
    table = np.full(256, SYMBOL, np.uint8)
    table[128:] = WORD
    table[list(DIGITS + string.ascii_lowercase.encode())] = WORD
    table[list(WHITE)] = OTHER
    return table


@lru_cache(maxsize=1)
def _classes_of_bytes() -> NDArray[np.uint8]:
    """Whether each of the 256 byte values is white space, part of a letter, or neither."""
    table = np.full(256, OTHER, np.uint8)
    table[128:] = table[list(string.ascii_lowercase.encode())] = LETTER
    table[list(WHITE)] = SPACE
    return table


@lru_cache(maxsize=24)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """`BASE**i` and its inverse modulo 2^64, for i below `count`."""
    tables = []
    for base in (BASE, pow(BASE, -1, 1 << 64)):
        table = np.full(count, base, np.uint64)
        table[0] = 1
        tables.append(np.cumprod(table))
    return tables[0], tables[1]

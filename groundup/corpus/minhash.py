"""MinHash signatures in bands: documents that share a band are candidates for being near copies (Broder 1997).

Two sets of Jaccard likeness s agree in one hash with probability s, in a band of r hashes with s^r, and in at least one
of b bands with 1 - (1 - s^r)^b (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).
"""

import math
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from groundup.corpus.words import BASE, MIX_1, MIX_2, Hashes, distinct, mix, single, words

Minima = NDArray[np.uint32]

# A document's likeness is that of its set of runs of 5 words, as in Lee et al. 2022 ("Deduplicating training data makes
# language models better").
RUN_WORDS = 5
# Of pairs exactly at the threshold this share is found; of more alike ones, more.
RECALL = 0.99
MOST_HASHES = 128
# Columns of the table of products that are worked on at a time: 128 x 1024 x 4 bytes stay in a core's cache.
BLOCK = 1024


def runs(text: str) -> Hashes:
    """The set of a text's runs of five words as sorted hashes; of a shorter text, that of its single words."""
    split = words(text)
    return single(split.ordered(RUN_WORDS)) if len(split.hashes) >= RUN_WORDS else distinct(split.hashes)


def jaccard(left: Hashes, right: Hashes) -> float:
    """Shared part of two sets of hashes; 1.0 for two empty ones."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / max(1, len(left) + len(right) - shared) if len(left) or len(right) else 1.0


@lru_cache
def shape(near: float) -> tuple[int, int]:
    """Bands, and hashes in each: as long ones as `RECALL` at the likeness `near` allows with `MOST_HASHES` in all.

    >>> shape(0.8), shape(0.7)
    ((16, 6), (17, 4))
    """
    found = (1, 1)
    for rows in range(1, MOST_HASHES + 1):
        agree = near**rows
        bands = 1 if agree == 1 else math.ceil(math.log(1 - RECALL) / math.log1p(-agree))
        if bands * rows > MOST_HASHES:
            break
        found = (bands, rows)
    return found


def minima(members: Hashes, near: float) -> Minima:
    """The MinHash signature of a set: the smallest hash under each of so many permutations. Empty for no members.

    The hashes of the members are random already, so a permutation is a multiplication by an odd number modulo 2^32.
    """
    if not len(members):
        return np.empty(0, np.uint32)
    n_bands, rows = shape(near)
    factors = _factors(n_bands * rows)[:, None]
    high = (members >> np.uint64(32)).astype(np.uint32)
    lowest = np.full(n_bands * rows, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, len(high), BLOCK):
        np.minimum(lowest, (high[start : start + BLOCK] * factors).min(axis=1), out=lowest)
    return lowest


def bands(signature: Minima, near: float, salt: str = "") -> Hashes:
    """One hash for each band of a signature: documents that share one are candidates. With different salts none do."""
    if not len(signature):
        return np.empty(0, np.uint64)
    n_bands, rows = shape(near)
    powers = np.cumprod(np.full(rows, BASE, np.uint64))
    total = (signature.reshape(n_bands, rows) * powers).sum(axis=1, dtype=np.uint64)
    total += np.arange(n_bands, dtype=np.uint64) * np.uint64(MIX_1)
    return mix(total + np.uint64(crc32(salt.encode()) * MIX_2 % (1 << 64)))


def unlikely(near: float) -> float:
    """The share of equal last bytes in two signatures under which sets are hardly as alike as `near`.

    That share is J + (1 - J) / 256 on average (Li and König 2010); three standard deviations below it lies one pair in
    a thousand of those that are just as alike as `near`.
    """
    n_bands, rows = shape(near)
    expected = near + (1 - near) / 256
    return expected - 3 * math.sqrt(expected * (1 - expected) / (n_bands * rows))


@lru_cache(maxsize=1)
def _factors(count: int) -> NDArray[np.uint32]:
    """Odd numbers, always the same ones."""
    return (mix(np.arange(1, count + 1, dtype=np.uint64)) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)

"""A linear classifier of texts that anyone can train in a minute: hashed n-grams, logistic regression, one file.

Features are runs of words and of bytes, hashed to a fixed number of places (Weinberger et al. 2009), weighted by tf-idf
and scaled to length 1. Weights are what minimises the mean logistic loss plus a ridge penalty, which is convex: the
same texts always give the same classifier.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundup.corpus.words import folded, words
from groundup.errors import DataError
from groundup.events import SILENT, Reporter

Floats = NDArray[np.float64]
Places = NDArray[np.uint32]
STEPS, FOLDS = 150, 5
# Changed when the same text would have its n-grams in other places.
VERSION = 2
# Odd, so that no bit is lost: what runs are polynomials in, and what spreads their bits upwards (Knuth, TAOCP 3, 6.4).
BASE, SPREAD = 0x85EBCA6B, 0x9E3779B1
# Bytes of a text that are looked at: a classifier that reads runs of bytes makes four features of each.
MEASURED_BYTES = 1 << 16
# From so many n-grams on a table of all places is counted up faster than a list of them is sorted.
TABLED = 1 << 13


@dataclass(frozen=True)
class Features:
    """Which n-grams a classifier sees: runs of so many words, runs of so many bytes, hashed to 2^`bits` places."""

    words: tuple[int, ...] = (1, 2)
    letters: tuple[int, ...] = ()
    bits: int = 18

    def places(self, text: str) -> Places:
        """The place of each n-gram of a text, in no order, one that occurs often as often."""
        text = text[:MEASURED_BYTES]
        grams = _runs((words(text).hashes >> np.uint64(32)).astype(np.uint32), self.words)
        if self.letters:
            grams += _runs(np.frombuffer(folded(text), np.uint8).astype(np.uint32) + np.uint32(1), self.letters)
        found = np.concatenate([np.empty(0, np.uint32), *grams])
        found *= np.uint32(SPREAD)
        found >>= np.uint32(32 - self.bits)
        return found


WORDS = Features()
# For short texts in which people hide words from filters: parts of words, misspellings, punctuation.
LETTERS = Features((1, 2), (2, 3, 4, 5))


@dataclass(frozen=True)
class Classifier:
    """What a text's chance of being a "yes" is. `rarity` and `weights` have one number for each place of a feature."""

    features: Features
    rarity: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: float

    def score(self, text: str) -> float:
        """The probability of "yes", 0 to 1."""
        found = self.features.places(text)
        if len(found) > TABLED:
            counts, rarity, weights = np.bincount(found, minlength=len(self.weights)), self.rarity, self.weights
        else:
            places, counts = _counted(found)
            rarity, weights = self.rarity[places], self.weights[places]
        values = _logs().take(counts, mode="clip")
        values *= rarity
        # No BLAS, whose threads would wait beside the workers.
        length = float(np.sqrt(np.einsum("i,i->", values, values))) or 1.0
        total = float(np.einsum("i,i->", values, weights))
        return float(1 / (1 + np.exp(-(total / length + self.bias))))

    def save(self, path: Path) -> None:
        """Write it as one safetensors file."""
        from safetensors.numpy import save_file

        features = self.features
        about = {"version": VERSION, "words": features.words, "letters": features.letters, "bits": features.bits}
        tensors: dict[str, NDArray[Any]] = {
            "rarity": self.rarity,
            "weights": self.weights,
            "bias": np.array([self.bias], np.float64),
        }
        save_file(tensors, path, {"classifier": json.dumps(about)})


@lru_cache(maxsize=8)
def load(path: str) -> Classifier:
    """The classifier in a file. Raises DataError for a file that is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            about = dict(json.loads((file.metadata() or {})["classifier"]))
            features = Features(tuple(about["words"]), tuple(about["letters"]), int(about["bits"]))
            rarity, weights, bias = (file.get_tensor(name) for name in ("rarity", "weights", "bias"))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a classifier ({error}); make one with `groundup corpus train`") from None
    if about.get("version") != VERSION:
        raise DataError(f"{path}: made by an earlier groundup; make it again with `groundup corpus train`")
    if not rarity.shape == weights.shape == (1 << features.bits,):
        raise DataError(f"{path}: its tensors have not 2^{features.bits} places; make it again")
    return Classifier(features, rarity, weights, float(bias[0]))


def train(texts: Sequence[str], yes: Sequence[bool], features: Features = WORDS, penalty: float = 1e-4) -> Classifier:
    """Learn to tell the texts that are `yes` from the others; both kinds weigh the same, however many there are.

    Raises DataError when one kind is missing.
    """
    labels = np.array(yes, bool)
    if not labels.any() or labels.all():
        raise DataError("a classifier needs texts of both kinds; give some that are wanted and some that are not")
    size = 1 << features.bits
    rows = [_counted(features.places(text)) for text in texts]
    ends = np.cumsum([len(places) for places, _ in rows])
    places = np.concatenate([row for row, _ in rows])
    rarity = np.log((1 + len(rows)) / (1 + np.bincount(places, minlength=size))) + 1
    values = _logs().take(np.concatenate([row for _, row in rows]), mode="clip").astype(np.float64) * rarity[places]
    owner = np.repeat(np.arange(len(rows)), np.diff(ends, prepend=0))
    values /= np.sqrt(np.maximum(np.bincount(owner, values**2, len(rows)), 1e-12))[owner]
    weight = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
    found = _minimum(places, owner, values, labels, weight, size, penalty)
    return Classifier(features, rarity.astype(np.float32), found[:-1].astype(np.float32), float(found[-1]))


def measured(
    texts: Sequence[str],
    yes: Sequence[bool],
    features: Features = WORDS,
    progress: Reporter = SILENT,
    count: int = FOLDS,
) -> list[float]:
    """The area under the ROC curve on each of some folds, by a classifier that learned from the others.

    Raises DataError when a kind has fewer texts than there are folds.
    """
    labels = np.array(yes, bool)
    if min(labels.sum(), (~labels).sum()) < count:
        raise DataError(
            f"{labels.sum()} texts of one kind and {(~labels).sum()} of the other: give {count} or more of each"
        )
    areas = []
    with progress.task("folds", total=count) as bar:
        for learn, test in folds(labels.tolist(), count):
            learned = train([texts[at] for at in learn], labels[learn].tolist(), features)
            areas.append(auc([learned.score(texts[at]) for at in test], labels[test].tolist()))
            bar.advance()
    return areas


def folds(yes: Sequence[bool], count: int, seed: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places to learn from and to measure on, `count` times, shuffled, with both kinds in equal shares."""
    labels = np.array(yes, bool)
    random = np.random.default_rng(seed)
    group = np.empty(len(labels), np.int64)
    for kind in (False, True):
        members = random.permutation(np.flatnonzero(labels == kind))
        group[members] = np.arange(len(members)) % count
    for fold in range(count):
        yield np.flatnonzero(group != fold), np.flatnonzero(group == fold)


def auc(scores: Sequence[float], yes: Sequence[bool]) -> float:
    """Area under the ROC curve: the chance that a "yes" scores higher than another (Mann-Whitney), ties half.

    >>> auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    labels, values = np.array(yes, bool), np.array(scores)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n_yes, n_no = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no))


def _runs(symbols: Places, lengths: Sequence[int]) -> list[Places]:
    """Hashes of all runs of so many symbols, each length longer than the one before."""
    total, found = symbols, [symbols] if 1 in lengths else []
    for n in range(2, max(lengths, default=0) + 1):
        total = total[:-1] * np.uint32(BASE)
        total += symbols[n - 1 :]
        if n in lengths:
            found.append(total)
    return found


def _counted(found: Places) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places that occur, sorted, and how often each does."""
    ordered = np.sort(found).astype(np.int64)
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return ordered[starts], np.diff(starts, append=len(ordered))


@lru_cache(maxsize=1)
def _logs() -> NDArray[np.float32]:
    """1 + log of a count, and 0 for none. An n-gram that occurs more often counts as the last one."""
    table = np.zeros(MEASURED_BYTES, np.float32)
    table[1:] = 1 + np.log(np.arange(1, len(table)))
    return table


def _minimum(
    places: NDArray[np.int64],
    owner: NDArray[np.int64],
    values: Floats,
    labels: NDArray[np.bool_],
    weight: Floats,
    size: int,
    penalty: float,
) -> Floats:
    """Weights and bias, by accelerated gradient descent with restarts (O'Donoghue and Candès 2015)."""
    # Rows have length 1, and 1 more with the bias: the loss bends by at most (1 + 1) / 4.
    rate = 1 / (0.5 + penalty)
    current, ahead, momentum = np.zeros(size + 1), np.zeros(size + 1), 1.0
    for _ in range(STEPS):
        scores = np.bincount(owner, values * ahead[places], len(labels)) + ahead[-1]
        error = weight * (1 / (1 + np.exp(-scores)) - labels)
        gradient = np.append(np.bincount(places, values * error[owner], size) + penalty * ahead[:-1], error.sum())
        after = ahead - rate * gradient
        step = after - current
        if gradient @ step > 0:
            momentum = 1.0
        previous, momentum = momentum, (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        current, ahead = after, after + (previous - 1) / momentum * step
    return current

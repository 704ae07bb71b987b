"""Several sources of rows as one: shares that hold in every block, an order that is a function of (seed, position).

A mixture keeps its shares for ever; a curriculum is mixtures in turn.
"""

from bisect import bisect
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from groundup.errors import ConfigError
from groundup.tokens.order import shuffled
from groundup.tokens.pack import Row, Rows

BLOCK = 1024
"""Rows in which the shares hold exactly, so also the fineness of a share."""
MIXTURE = 2  # keeps this order apart from those of the sources


class Mixture:
    """Rows drawn from several sources by weight. A source that is used up goes on with its next epoch.

    In each block of 1024 rows every source has the same number of rows: its share, rounded, and at least one.
    """

    def __init__(
        self,
        packed: Sequence[Rows],
        weights: Sequence[float] | None = None,
        seed: int = 0,
        first: Sequence[int] | None = None,
    ) -> None:
        """`weights` need not sum to one; without them each source counts by its rows, as if they were one.

        Each source is read from its position `first` on, by default from the beginning. Raises ConfigError for weights
        that are not positive, or not one a source.
        """
        self.sources, self.seed, self.first = list(packed), seed, list(first or [0] * len(packed))
        given = [float(source.rows) for source in packed] if weights is None else list(weights)
        if not packed or len(given) != len(packed) or not all(0 < weight < float("inf") for weight in given):
            raise ConfigError(f"weights: {given} for {len(packed)} sources; give one positive number a source")
        self.counts = _shares(given)
        """Rows of each source in a block."""
        self.rows = sum(source.rows for source in packed)
        """Rows of all sources, each taken once."""
        self._block: tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    @property
    def shares(self) -> list[float]:
        """Each source's part of the rows."""
        return [count / BLOCK for count in self.counts]

    def row(self, position: int) -> Row:
        """The row at a position; a pure function of (seed, position)."""
        block, place = divmod(position, BLOCK)
        held = self._block
        if held is None or held[0] != block:
            held = self._block = (block, *self._arranged(block))
        return self.sources[int(held[1][place])].row(int(held[2][place]))

    def used(self, rows: int) -> list[int]:
        """How many of the first `rows` rows come from each source."""
        blocks, rest = divmod(rows, BLOCK)
        part = np.bincount(self._labels(blocks)[:rest], minlength=len(self.counts)).tolist()
        return [blocks * count + more for count, more in zip(self.counts, part, strict=True)]

    def _labels(self, block: int) -> npt.NDArray[np.int64]:
        """For each place in a block, which source."""
        return np.repeat(np.arange(len(self.counts)), self.counts)[shuffled(BLOCK, self.seed, block, MIXTURE)]

    def _arranged(self, block: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For each place in a block, which source, and which of its positions; each source is read in order."""
        labels = self._labels(block)
        positions = np.empty(BLOCK, dtype=np.int64)
        for number, count in enumerate(self.counts):
            positions[labels == number] = self.first[number] + block * count + np.arange(count)
        return labels, positions


class Curriculum:
    """Mixtures in turn, each for so many rows, the last without end; no source begins anew with a new mixture."""

    def __init__(self, packed: Sequence[Rows], phases: Sequence[tuple[Sequence[float], int]], seed: int = 0) -> None:
        """`phases` has the weights of the sources, 0 for one that is left out, and the rows of each phase.

        Raises ConfigError as `Mixture` does.
        """
        self.rows = sum(source.rows for source in packed)
        """Rows of all sources, each taken once."""
        self.phases: list[Mixture] = []
        self.members: list[list[int]] = []
        """The numbers of the sources in each phase."""
        self.starts: list[int] = []
        """The position of the first row of each phase."""
        self.sources, start = list(packed), 0
        for weights, rows in phases:
            inside = [number for number, weight in enumerate(weights) if weight]
            before = self.used(start)
            self.phases.append(
                Mixture(
                    [packed[number] for number in inside],
                    [weights[number] for number in inside],
                    seed + len(self.phases),
                    [before[number] for number in inside],
                )
            )
            self.members.append(inside)
            self.starts.append(start)
            start += rows

    def row(self, position: int) -> Row:
        """The row at a position; a pure function of (seed, position)."""
        phase = bisect(self.starts, position) - 1
        return self.phases[phase].row(position - self.starts[phase])

    def used(self, rows: int) -> list[int]:
        """How many of the first `rows` rows come from each source."""
        total = [0] * len(self.sources)
        for number in range(len(self.phases)):
            for member, count in zip(self.members[number], self.in_phase(number, rows), strict=True):
                total[member] += count
        return total

    def in_phase(self, number: int, rows: int) -> list[int]:
        """How many of the first `rows` rows come from each member of a phase, in that phase."""
        end = self.starts[number + 1] if number + 1 < len(self.starts) else rows
        return self.phases[number].used(max(0, min(rows, end) - self.starts[number]))


def mixed(
    weights: Sequence[float],
    rows: Sequence[int],
    needed: int,
    *,
    temperature: float,
    most: float,
    epochs: float,
    used: Sequence[int] | None = None,
) -> list[float]:
    """The share of each source, by its weight to the power of 1 / temperature, within limits.

    Above a temperature of 1 small sources count for more (Arivazhagan et al. 2019). No share is larger than `most`, nor
    so large that the source's `rows` come more than `epochs` times (0: any number) in the `needed` ones and those that
    were `used` before; what is over a limit goes to the other sources. A source of weight 0 has no share. Raises
    ConfigError when the limits leave too little.
    """
    before = used or [0] * len(rows)
    limits = [
        min(most, max(0.0, epochs * count - gone) / needed if epochs else 1.0) if weight else 0.0
        for weight, count, gone in zip(weights, rows, before, strict=True)
    ]
    if sum(limits) < 1 - 1e-9:
        raise ConfigError(
            f"data.mix: with at most {epochs:g} epochs and a share of {most:g} the sources fill {sum(limits):.0%} of "
            "the training; give more text, fewer steps, or looser limits"
        )
    powered = [weight ** (1 / temperature) for weight in weights]
    shares = [0.0] * len(weights)
    free = {place for place, weight in enumerate(weights) if weight}
    while free:
        left = 1 - sum(shares[place] for place in range(len(weights)) if place not in free)
        total = sum(powered[place] for place in free)
        over = {place for place in free if left * powered[place] / total > limits[place]}
        for place in over or free:
            shares[place] = limits[place] if over else left * powered[place] / total
        free -= over or free
    return shares


def _shares(weights: Sequence[float]) -> list[int]:
    """Rows of each source in a block: at least one each, the rest by largest remainder.

    Raises ConfigError for more sources than a block has rows.
    """
    if len(weights) > BLOCK:
        raise ConfigError(f"weights: {len(weights)} sources, at most {BLOCK} can be mixed; join some of them")
    exact = np.asarray(weights) / np.sum(weights) * BLOCK
    counts = np.maximum(1, np.floor(exact)).astype(np.int64)
    while counts.sum() != BLOCK:
        gap = exact - counts
        if counts.sum() < BLOCK:
            counts[np.argmax(gap)] += 1
        else:
            counts[np.argmin(np.where(counts > 1, gap, np.inf))] -= 1
    return [int(count) for count in counts]

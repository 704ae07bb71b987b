"""What a model remembers of the tokens it has read, so that the next one costs one token's work.

A cache has `rows` that may stand at different positions. A layer's memory is a tuple of tensors whose first dimension
is the row; the layer writes into them in place. Whoever generates keeps the live rows dense: takes the first ones with
`slice`, and fills a hole with the last one (`copy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass
class Cache:
    """The memory of every layer. `lengths` `(rows,)` int64 counts the tokens that each row has read, at most `length`.

    `counts` `(rows,)` says how many of the tokens of the next forward pass are real in each row; the rest is padding
    at the end, which leaves no trace. None: all of them.
    """

    layers: list[tuple[Tensor, ...]]
    lengths: Tensor
    length: int
    counts: Tensor | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.lengths.shape[0]

    @property
    def cuttable(self) -> bool:
        """Whether a row may forget its last tokens by lowering its length: not where a memory is one state."""
        return all(part.ndim == 4 for memory in self.layers for part in memory)

    def slice(self, start: int, stop: int, counts: Tensor | None = None) -> Cache:
        """Rows `start` to `stop`, sharing memory with this cache."""
        layers = [tuple(part[start:stop] for part in memory) for memory in self.layers]
        return Cache(layers, self.lengths[start:stop], self.length, counts)

    def advance(self, T: int) -> None:
        """Every row has read `T` more tokens, or its own of `counts`."""
        self.lengths += T if self.counts is None else self.counts

    def copy(self, other: Cache, sources: Sequence[int], targets: Sequence[int]) -> None:
        """Rows `targets` become rows `sources` of `other`, which may be this cache.

        A memory of four dimensions holds a token at each place of its third, `(rows, heads, length, d)`: no more is
        copied than the longest of the rows has read. Others are states of a fixed size.
        """
        if not targets:
            return
        to, of = list(targets), list(sources)
        lengths = other.lengths[of]
        longest = int(lengths.max())
        for memory, others in zip(self.layers, other.layers, strict=True):
            for part, theirs in zip(memory, others, strict=True):
                if part.ndim == 4:
                    part[to, :, :longest] = theirs[of, :, :longest]
                else:
                    part[to] = theirs[of]
        self.lengths[to] = lengths

    def clear(self, start: int = 0, stop: int | None = None) -> None:
        """Rows `start` to `stop` have read nothing; what their memory holds is never looked at."""
        self.lengths[start:stop].zero_()

"""What a model remembers of the tokens it has read, so that the next one costs one token's work.

A cache has `rows` that may stand at different positions. A layer's memory is a tuple of tensors whose first dimension
is the row; the layer writes into them in place. Whoever generates keeps the live rows dense: takes the first ones with
`slice`, and fills a hole with the last one (`move`).
"""

from __future__ import annotations

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

    def slice(self, start: int, stop: int, counts: Tensor | None = None) -> Cache:
        """Rows `start` to `stop`, sharing memory with this cache."""
        layers = [tuple(part[start:stop] for part in memory) for memory in self.layers]
        return Cache(layers, self.lengths[start:stop], self.length, counts)

    def advance(self, T: int) -> None:
        """Every row has read `T` more tokens, or its own of `counts`."""
        self.lengths += T if self.counts is None else self.counts

    def move(self, source: int, target: int) -> None:
        """Overwrite row `target` by row `source`."""
        for memory in self.layers:
            for part in memory:
                part[target] = part[source]
        self.lengths[target] = self.lengths[source]

    def clear(self, start: int = 0, stop: int | None = None) -> None:
        """Rows `start` to `stop` have read nothing; what their memory holds is never looked at."""
        self.lengths[start:stop].zero_()

"""What a model remembers of the tokens it has read, so that the next one costs one token's work.

A cache has `rows` that may stand at different positions. A layer's memory is a tuple of tensors whose first dimension
is the row; the layer writes into them in place. Rows are dense: whoever generates keeps the live ones in front
(`front`), and fills a hole with the last one (`move`).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Cache:
    """The memory of every layer. `lengths` `(rows,)` int64 counts the tokens that each row has read."""

    layers: list[tuple[Tensor, ...]]
    lengths: Tensor
    length: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.lengths.shape[0]

    def slice(self, start: int, stop: int) -> Cache:
        """Rows `start` to `stop`, sharing memory with this cache."""
        layers = [tuple(part[start:stop] for part in memory) for memory in self.layers]
        return Cache(layers, self.lengths[start:stop], self.length)

    def move(self, source: int, target: int) -> None:
        """Overwrite row `target` by row `source`."""
        for memory in self.layers:
            for part in memory:
                part[target] = part[source]
        self.lengths[target] = self.lengths[source]

    def clear(self) -> None:
        """Forget everything."""
        for memory in self.layers:
            for part in memory:
                part.zero_()
        self.lengths.zero_()

"""Rows of running text, for pretraining."""

from collections.abc import Iterator, Mapping
from typing import Any

from groundup.tokens.pack import Rows
from groundup.train.batch import Batch, collate


class Documents:
    """The rows of `source` in their order, `rows` to a batch.

    Rows are counted over all ranks: rank r of `world` takes every world-th batch, so a run may resume on another
    number of ranks and still sees each row once.
    """

    def __init__(self, source: Rows, rows: int, rank: int = 0, world: int = 1) -> None:
        self._source, self._rows, self._rank, self._world = source, rows, rank, world
        self.position = 0
        """The number of the next row, all ranks together."""

    @property
    def epoch(self) -> float:
        """How often the source has been seen."""
        return self.position / self._source.rows

    def __iter__(self) -> Iterator[Batch]:
        """Batches from `position` on, without end."""
        while True:
            first = self.position + self._rank * self._rows
            batch = collate([self._source.row(first + index) for index in range(self._rows)])
            self.position += self._rows * self._world
            yield batch

    def state(self) -> dict[str, Any]:
        """The number of the next row."""
        return {"position": self.position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on at the row that `state` names."""
        self.position = state["position"]

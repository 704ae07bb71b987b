"""Batches of rows in an order that is a function of the position alone: what most feeds are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from groundup.train.batch import Batch

R = TypeVar("R")
Read = TypeVar("Read", covariant=True)


class Source(Protocol[Read]):
    """Rows over and over."""

    @property
    def rows(self) -> int:
        """The length of an epoch."""

    def row(self, position: int) -> Read:
        """Row number `position`, counted over all epochs."""


class InOrder(Generic[R]):
    """The rows of `source` in their order, `rows` to a batch that `join` makes.

    Rows are counted over all ranks: rank r of `world` takes every world-th batch, so a run may resume on another
    number of ranks and still sees each row once.
    """

    def __init__(
        self, source: Source[R], rows: int, join: Callable[[Sequence[R]], Batch], rank: int = 0, world: int = 1
    ) -> None:
        self._source, self._rows, self._join, self._rank, self._world = source, rows, join, rank, world
        self.position = 0
        """The number of the next row, all ranks together."""

    def share(self, rank: int, world: int, rows: int) -> None:
        """Give this rank its part of each step from now on: the rows of all ranks together stay the same ones."""
        self._rank, self._world, self._rows = rank, world, rows

    @property
    def epoch(self) -> float:
        """How often the source has been seen."""
        return self.position / self._source.rows

    def __iter__(self) -> Iterator[Batch]:
        """Batches from `position` on, without end."""
        while True:
            first = self.position + self._rank * self._rows
            batch = self._join([self._source.row(first + index) for index in range(self._rows)])
            self.position += self._rows * self._world
            yield batch

    def state(self) -> dict[str, Any]:
        """The number of the next row."""
        return {"position": self.position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on at the row that `state` names."""
        self.position = state["position"]

"""Rows of running text, for pretraining."""

from collections.abc import Iterator

from groundup.tokens.pack import Row, Rows
from groundup.train.batch import Batch, collate
from groundup.train.feeds._rows import InOrder


class Documents(InOrder[Row]):
    """The rows of `source`, `rows` to a batch.

    The first `start_rows` of them, over all ranks, come cut into rows of `start_length` tokens: as many tokens, whose
    attention costs less (Li et al. 2022, arXiv 2108.06084).
    """

    def __init__(
        self,
        source: Rows,
        rows: int,
        rank: int = 0,
        world: int = 1,
        *,
        start_length: int | None = None,
        start_rows: int = 0,
    ) -> None:
        super().__init__(source, rows, collate, rank, world)
        self._start_length, self._start_rows = start_length, start_rows

    def __iter__(self) -> Iterator[Batch]:
        """Batches from `position` on, without end."""
        for batch in super().__iter__():
            early = self._start_length is not None and self.position <= self._start_rows
            yield batch.in_rows_of(self._start_length) if early and self._start_length is not None else batch

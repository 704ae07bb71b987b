"""Rows of running text, for pretraining."""

from groundup.tokens.pack import Row, Rows
from groundup.train.batch import collate
from groundup.train.feeds._rows import InOrder


class Documents(InOrder[Row]):
    """The rows of `source`, `rows` to a batch."""

    def __init__(self, source: Rows, rows: int, rank: int = 0, world: int = 1) -> None:
        super().__init__(source, rows, collate, rank, world)

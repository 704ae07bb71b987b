"""Packed conversations, over and over, for supervised fine-tuning."""

from collections.abc import Sequence

from groundup.errors import DataError
from groundup.tokens.pack import Row
from groundup.train.batch import collate
from groundup.train.feeds._order import Shuffled
from groundup.train.feeds._rows import InOrder


class Conversations(InOrder[Row]):
    """Every row once an epoch, in an order that is a function of (seed, epoch); a batch may span two epochs.

    Raises DataError where there is no row.
    """

    def __init__(self, packed: Sequence[Row], rows: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if not packed:
            raise DataError("there is no conversation to train on; give --chat PATH, or more text to make them from")
        super().__init__(Shuffled(packed, seed), rows, collate, rank, world)

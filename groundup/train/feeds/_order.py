"""An endless order over a finite list, and seeds that are a function of what they are for."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from groundup.tokens.order import MASK, shuffled

T = TypeVar("T")


class Shuffled(Generic[T]):
    """The items over and over, each once an epoch; the order of an epoch is a function of (seed, epoch) alone."""

    def __init__(self, items: Sequence[T], seed: int) -> None:
        self._items, self._seed = items, seed
        self.rows = len(items)
        """The length of an epoch."""
        self._epoch, self._order = 0, shuffled(self.rows, seed, 0)

    def row(self, position: int) -> T:
        """Item number `position`, counted over all epochs."""
        epoch, place = divmod(position, self.rows)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, shuffled(self.rows, self._seed, epoch)
        return self._items[self._order[place]]


def seed_of(*parts: int) -> int:
    """A seed of 63 bits out of whole numbers: other parts, an unrelated seed."""
    return int(np.random.SeedSequence([part & MASK for part in parts]).generate_state(1, np.uint64)[0] >> 1)

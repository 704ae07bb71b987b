"""Batches that need no corpus, for what is measured of training alone."""

from collections.abc import Iterator
from typing import Any

import torch

from groundup.train.batch import Batch


class RandomTokens:
    """Rows of random ids `(rows, length)`, every target counted; the same in every process."""

    def __init__(self, vocab_size: int, rows: int, length: int) -> None:
        self._vocab_size, self._shape = vocab_size, (rows, length)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(1)
        rows, length = self._shape
        while True:
            ids = torch.randint(self._vocab_size, (rows, length + 1), generator=generator)
            weights = torch.ones(rows, length)
            yield Batch(ids[:, :-1], ids[:, 1:], weights, float(weights.sum()))

    def state(self) -> dict[str, Any]:
        """Nothing: what it gives does not depend on what it gave."""
        return {}

    def restore(self, state: Any) -> None:
        """From the beginning."""

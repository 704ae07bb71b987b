"""Out of memory in the middle of a step: the same rows again, in smaller micros.

The forecast should prevent it; what other programs take of the memory it cannot know. A step's micros are all drawn
before its backward pass, and its loss is divided by the count of the whole step, so cutting each micro in two changes
nothing but rounding: the global batches stay what they were.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from groundup.errors import ResourceError
from groundup.models._base import Model
from groundup.train.batch import Batch
from groundup.train.objectives._base import Objective
from groundup.train.trainer import Backward

ALLOCATOR = ("can't allocate memory", "not enough memory", "bad_alloc", "could not create a memory")
"""What PyTorch's allocator for the CPU, C++ and oneDNN say."""


class Backoff:
    """Another backward, which halves the micros where memory runs out, and keeps them so.

    `pieces` is what each micro is cut into at first; `halved` is told the new number before it is used. For one
    process: ranks that have begun to exchange gradients cannot begin again.
    """

    def __init__(self, inner: Backward, pieces: int = 1, halved: Callable[[int], None] = lambda pieces: None) -> None:
        self._inner, self._halved = inner, halved
        self.pieces = pieces
        """How many parts each micro is cut into; a micro with fewer rows is cut into its rows."""

    def __call__(
        self,
        model: Model,
        objective: Objective,
        micros: Sequence[Batch],
        divisor: float,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> dict[str, Tensor]:
        """See `Backward`. Raises ResourceError where one row is too much."""
        random = torch.get_rng_state()
        while True:
            parts = [part for micro in micros for part in cut(micro, self.pieces)]
            try:
                return self._inner(model, objective, parts, divisor, autocast)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                trouble = str(error).splitlines()[0] if str(error) else type(error).__name__
            _let_go(model)  # outside of the handler: the traceback holds the activations
            rows = max(len(micro.tokens) for micro in micros)
            if self.pieces >= rows:
                raise ResourceError(
                    f"one row of {micros[0].tokens.shape[1]:,} tokens does not fit in memory ({trouble}); lower "
                    "model.length, model.dim or model.layers, set parallel.recompute=full, or close other programs"
                )
            self.pieces = min(rows, 2 * self.pieces)
            self._halved(self.pieces)
            torch.set_rng_state(random)


def cut(batch: Batch, pieces: int) -> list[Batch]:
    """The batch in at most `pieces` parts of whole rows."""
    rows = len(batch.tokens)
    size = -(-rows // min(pieces, rows))
    return [batch] if pieces == 1 else [batch.cut(start, start + size) for start in range(0, rows, size)]


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(words in str(error) for words in ALLOCATOR)


def _let_go(model: Model) -> None:
    """Drop what the failed attempt left."""
    for weight in model.parameters():
        weight.grad = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

"""Regress: the number that a text is labelled with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundup.train.objectives._base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Regress(Objective):
    """Half the squared error at the end of each segment, of numbers that the feed has brought to deviation 1.

    For a model with a head of one output (`models/_headed.py`). The count is one of texts.
    """

    learns_from = "numbers"

    @property
    def asks(self) -> tuple[str, ...]:
        """The head's output at the end of each segment."""
        return ("pooled",)

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss` and `error`, the mean distance in deviations."""
        assert scores.pooled is not None and batch.number is not None and batch.segment_weight is not None
        judged = batch.segment_weight != 0
        apart = scores.pooled[..., 0][judged] - batch.number[judged]
        loss = 0.5 * apart.square().sum()
        return loss, {"loss": loss.detach(), "error": apart.detach().abs().sum()}

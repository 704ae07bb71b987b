"""Classify: which class a text is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundup.train.objectives._base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Classify(Objective):
    """Cross entropy of the classes at the end of each segment.

    For a model with a head of one output a class (`models/_headed.py`). The count is one of texts.
    """

    learns_from = "labels"

    @property
    def asks(self) -> tuple[str, ...]:
        """The head's outputs at the end of each segment."""
        return ("pooled",)

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss` and `accuracy`, the share of texts whose class is the likeliest."""
        assert scores.pooled is not None and batch.label is not None and batch.segment_weight is not None
        judged = batch.segment_weight != 0
        outputs = scores.pooled[judged]
        right = batch.label[judged]
        losses = outputs.logsumexp(-1) - outputs.gather(-1, right[:, None])[:, 0]
        loss, hits = losses.sum(), outputs.argmax(-1) == right
        return loss, {"loss": loss.detach(), "accuracy": hits.sum().to(loss.dtype)}

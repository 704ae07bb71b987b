"""GSPO: the clipped ratio of whole replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import means

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Gspo(Objective):
    """Group sequence policy optimisation (arXiv 2507.18071): one ratio a reply, its geometric mean over the tokens.

    Needs `old_logp` and `advantage`. With weights of 1 a reply counts by its tokens; with weights of 1 / length, and so
    a count of replies, every reply counts the same, as in the paper. The clip is the paper's, far narrower than that
    of a ratio of tokens.
    """

    learns_from = "rollouts"

    clip_low: float = Field(3e-4, ge=0, lt=1, description="how far the ratio may fall below 1 and still count")
    clip_high: float = Field(4e-4, ge=0, description="how far it may rise above 1")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `clipped` (share of tokens whose gradient is cut) and `kl_old` (k3, of the mean ratios)."""
        assert batch.old_logp is not None and batch.advantage is not None
        by_segment = means(scores.logp - batch.old_logp, batch)
        ahead = by_segment.expand_as(batch.weights) if batch.segments is None else by_segment.gather(1, batch.segments)
        ratio = ahead.exp()
        free = ratio * batch.advantage
        held = ratio.clamp(1 - self.clip_low, 1 + self.clip_high) * batch.advantage
        loss = -(free.minimum(held) * batch.weights).sum()
        ratio, ahead = ratio.detach(), ahead.detach()
        return loss, {
            "loss": loss.detach(),
            "clipped": ((held < free) * batch.weights).sum(),
            "kl_old": ((ratio * ahead - ratio + 1) * batch.weights).sum(),
        }

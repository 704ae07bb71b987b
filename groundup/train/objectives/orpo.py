"""ORPO: fine-tuning on the preferred reply and, at once, better odds for it than for the other; no reference model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import by_pair, lead, means, softplus, verdict

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch

CERTAIN = -1e-6
"""A reply is never taken to be more likely per token than this log-probability, where its odds would be infinite."""


class Orpo(Objective):
    """Odds-ratio preference optimisation (arXiv 2403.07691). The count is one of pairs.

    Both parts see a reply by its mean over tokens. The first is the cross entropy of the preferred reply without its
    question, as in all fine-tuning here.
    """

    learns_from = "pairs"

    odds: float = Field(0.1, ge=0, description="weight of the odds ratio, the paper's lambda")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `accuracy`, `margin` (of the log-odds) and `nll`, the cross entropy of the preferred."""
        assert batch.segment_weight is not None, "ORPO needs a feed of preferences"
        logp = means(scores.logp, batch).clamp(max=CERTAIN)
        margins = lead(logp - _log_complement(logp), batch)
        nll = -by_pair(logp * (batch.segment_weight > 0), batch)
        loss, metrics = verdict(nll + self.odds * softplus(-margins), margins)
        return loss, {**metrics, "nll": nll.detach().sum()}


def _log_complement(logp: Tensor) -> Tensor:
    """`log(1 - exp(logp))` without loss of digits on either side (Maechler 2012, log1mexp)."""
    near = logp > -math.log(2)
    small = (-logp.masked_fill(~near, -0.5).expm1()).log()
    large = (-logp.masked_fill(near, -1.0).exp()).log1p()
    return small.where(near, large)

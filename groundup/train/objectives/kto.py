"""KTO: replies that someone liked or disliked, one by one, without pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import totals

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Kto(Objective):
    """Kahneman-Tversky optimisation (arXiv 2402.01306). Needs `ref_logp`; the count is one of judged replies.

    A reply is judged against what the policy has drifted from the reference, estimated on replies to other questions:
    segments whose tokens have weight and which have none themselves. The estimate is the row's own, so that cutting a
    step cannot change it; a row that holds none judges against no drift.
    """

    learns_from = "verdicts"
    refers = True

    beta: float = Field(0.1, gt=0, description="how firmly the reference holds; small lets go")
    liked: float = Field(1.0, ge=0, description="weight of the liked replies")
    disliked: float = Field(1.0, ge=0, description="weight of the disliked ones; raise that of the rarer kind")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `accuracy` (share of replies on their side of the drift), `margin` and `drift`, in nats."""
        assert batch.ref_logp is not None, "KTO needs a reference; give the feed one"
        assert batch.segment_weight is not None, "KTO needs a feed of preferences"
        ahead = totals(scores.logp - batch.ref_logp, batch)
        judged = batch.segment_weight != 0
        others = ~judged & (totals(ahead.new_ones(batch.weights.shape), batch) > 0)
        drift = (ahead.detach() * others).sum(1, keepdim=True) / others.sum(1, keepdim=True).clamp(min=1)
        drift = drift.clamp(min=0)
        margins = self.beta * (ahead - drift) * batch.segment_weight.sign()
        worth = self.liked * (batch.segment_weight > 0) + self.disliked * (batch.segment_weight < 0)
        loss = (worth * (-margins).sigmoid()).sum()
        return loss, {
            "loss": loss.detach(),
            "accuracy": (judged & (margins.detach() > 0)).sum().to(loss.dtype),
            "margin": (margins.detach() * judged).sum(),
            "drift": (drift * judged).sum(),
        }

"""IPO: the lead of the preferred reply brought to a fixed size, not to infinity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import lead, means, verdict

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Ipo(Objective):
    """Identity preference optimisation (arXiv 2310.12036, eq. 17): the squared distance of the lead from 1 / (2 beta).

    The log-ratio of a reply is its mean over tokens, as in the authors' experiments (so says TRL, which asked them):
    a sum would weigh long replies by the square of their length. Needs `ref_logp`; the count is one of pairs.
    """

    learns_from = "pairs"
    refers = True

    beta: float = Field(0.1, gt=0, description="the lead that is aimed at is 1 / (2 beta) nats per token")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `accuracy` (share of pairs with the right one ahead) and `margin` (the lead)."""
        assert batch.ref_logp is not None, "IPO needs a reference; give the feed one"
        margins = lead(means(scores.logp - batch.ref_logp, batch), batch)
        return verdict((margins - 1 / (2 * self.beta)).square(), margins)

"""SimPO: the preferred reply more likely per token than the other, by a margin; no reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import lead, means, softplus, verdict

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Simpo(Objective):
    """Simple preference optimisation (arXiv 2405.14734); the defaults are in its range. The count is one of pairs."""

    learns_from = "pairs"

    beta: float = Field(2.0, gt=0, description="scale of the mean log-probability of a reply")
    gamma: float = Field(1.0, ge=0, description="lead that is asked for, after scaling by beta")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `accuracy` (share of pairs with the right one ahead) and `margin` (the scaled lead)."""
        margins = self.beta * lead(means(scores.logp, batch), batch)
        return verdict(softplus(self.gamma - margins), margins)

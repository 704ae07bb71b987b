"""DPO: the preferred reply more likely than the other, measured from a reference model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import lead, softplus, totals, verdict

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Dpo(Objective):
    """Direct preference optimisation (arXiv 2305.18290): -log sigmoid of `beta` times the lead in log-ratio.

    With `smoothing` it is conservative DPO (https://ericmitchell.ai/cdpo.pdf): that share of the labels is taken to be
    wrong, and the lead stops growing where the odds say so. Needs `ref_logp`; the count is one of pairs.
    """

    learns_from = "pairs"
    refers = True

    beta: float = Field(0.1, gt=0, description="how firmly the reference holds; small lets go")
    smoothing: float = Field(0.0, ge=0, lt=0.5, description="share of labels that are taken to be wrong (cDPO)")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `accuracy` (share of pairs with the right one ahead) and `margin` (their implied reward)."""
        assert batch.ref_logp is not None, "DPO needs a reference; give the feed one"
        margins = self.beta * lead(totals(scores.logp - batch.ref_logp, batch), batch)
        return verdict((1 - self.smoothing) * softplus(-margins) + self.smoothing * softplus(margins), margins)

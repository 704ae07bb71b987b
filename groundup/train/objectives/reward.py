"""Reward: a number for a reply, so that the preferred one has more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective
from groundup.train.objectives._segments import by_pair, lead, softplus, totals, verdict

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Reward(Objective):
    """Bradley-Terry: -log sigmoid of the lead in reward, less the margin that the raters gave (arXiv 2307.09288).

    For a model with a head of one output (`models/_headed.py`). `length_bias` is what raters give a reply for each
    token that it is longer; it explains that part of their verdict, so that the reward need not (arXiv 2403.19159 has
    the same term in DPO). `feeds.preferences.length_bias` fits it. The count is one of pairs.
    """

    learns_from = "pairs"

    length_bias: float = Field(0.0, description="log-odds per token of length that are left to length alone")
    centre: float = Field(0.0, ge=0, description="weight of (r + r')², which keeps rewards about 0 (arXiv 2312.09244)")

    @property
    def asks(self) -> tuple[str, ...]:
        """The head's output at the end of each segment."""
        return ("pooled",)

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `accuracy` (share of pairs with the right one ahead) and `margin` (lead in reward)."""
        assert scores.pooled is not None and batch.segment_weight is not None
        rewards = scores.pooled[..., 0]
        margins = lead(rewards, batch)
        asked = 0.0 if batch.margin is None else by_pair(batch.margin, batch)
        if self.length_bias:
            asked = asked - self.length_bias * lead(totals(rewards.new_ones(batch.weights.shape), batch), batch)
        losses = softplus(asked - margins)
        if self.centre:
            losses = losses + self.centre * by_pair(rewards, batch).square()
        return verdict(losses, margins)

"""Likelihood: say the next token. Pretraining and supervised fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Likelihood(Objective):
    """Cross entropy in nats, weighted by token."""

    learns_from = "conversations"

    z_loss: float = Field(0.0, ge=0, description="weight of the squared log-normaliser (PaLM, arXiv 2204.02311: 1e-4)")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, the cross entropy without the z-loss."""
        loss = -(scores.logp * batch.weights).sum()
        if not self.z_loss:
            return loss, {"loss": loss.detach()}
        drift = (scores.lse.square() * batch.weights).sum()
        return loss + self.z_loss * drift, {"loss": loss.detach(), "z_loss": drift.detach()}

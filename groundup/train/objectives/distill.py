"""Distill: say what another model would say, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from groundup.train.objectives._base import Objective, Wanted

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Distill(Objective):
    """The divergence from a teacher's distribution (arXiv 1503.02531), and the cross entropy beside it where asked.

    For a model with a teacher (`models/_taught.py`), which reads `reverse`: KL(student, teacher) (arXiv 2306.08543).
    """

    learns_from: ClassVar[Wanted] = "conversations"

    reverse: bool = Field(False, description="keep to what the teacher would say, and not cover all that it might")
    truth: float = Field(0.0, ge=0, description="weight of the cross entropy of the examples themselves")

    @property
    def asks(self) -> tuple[str, ...]:
        """How far each token's distribution is from the teacher's."""
        return ("divergence",)

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `divergence` and `nll`, the cross entropy, in nats per token."""
        assert scores.divergence is not None
        idle = batch.weights == 0
        apart = (scores.divergence.masked_fill(idle, 0.0) * batch.weights).sum()
        nll = -(scores.logp.masked_fill(idle, 0.0) * batch.weights).sum()
        loss = apart + self.truth * nll if self.truth else apart
        return loss, {"loss": loss.detach(), "divergence": apart.detach(), "nll": nll.detach()}

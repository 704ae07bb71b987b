"""PPO: the clipped policy with a learned judge of how well a reply is going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives.policy import Policy

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Ppo(Policy):
    """Policy with PPO's loss of the value head and its bonus for entropy (arXiv 1707.06347, eq. 9).

    For a model with a head of one output (`models/_headed.py`). Needs `returns` and `old_value` beside what Policy
    needs; `feeds/advantage.py` makes them. The value is clipped about the old one as in the paper's own code
    (arXiv 2005.12729 has it as one of the details that matter).
    """

    value_weight: float = Field(0.1, ge=0, description="weight of the value's squared error")
    value_clip: float = Field(0.2, gt=0, description="how far a value may move from the old one and still gain by it")
    entropy: float = Field(0.0, ge=0, description="weight of the bonus for entropy, per nat")

    @property
    def asks(self) -> tuple[str, ...]:
        """The value of each place, and the entropy where it has a weight."""
        return ("value", "entropy") if self.entropy else ("value",)

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports what Policy does, `value_loss`, `value`, and `entropy` where it has a weight."""
        assert scores.value is not None and batch.returns is not None and batch.old_value is not None
        idle = batch.weights == 0
        loss, metrics = super().__call__(scores, batch)
        value = scores.value.masked_fill(idle, 0.0)
        held = batch.old_value + (value - batch.old_value).clamp(-self.value_clip, self.value_clip)
        errors = (value - batch.returns).square().maximum((held - batch.returns).square())
        error = 0.5 * (errors.masked_fill(idle, 0.0) * batch.weights).sum()
        loss = loss + self.value_weight * error
        metrics |= {"value_loss": error.detach(), "value": (value.detach() * batch.weights).sum()}
        if self.entropy:
            assert scores.entropy is not None
            spread = (scores.entropy.masked_fill(idle, 0.0) * batch.weights).sum()
            loss = loss - self.entropy * spread
            metrics["entropy"] = spread.detach()
        return loss, {**metrics, "loss": loss.detach()}

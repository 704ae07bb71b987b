"""Policy: make what was rewarded more likely, within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from groundup.train.objectives._base import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.models._base import Scores
    from groundup.train.batch import Batch


class Policy(Objective):
    """The clipped ratio of PPO (arXiv 1707.06347) over tokens, with GRPO's divergence (arXiv 2402.03300) where asked.

    Needs `old_logp` and `advantage`, and `ref_logp` if `kl` is not 0; a batch without, that no policy drew, is one of
    demonstrations: its likelihood is raised, by its weights. The sum is divided by the tokens of all roll-outs
    together, not roll-out by roll-out, so that long answers are not favoured (DAPO, arXiv 2503.14476).
    """

    learns_from = "rollouts"

    clip_low: float = Field(0.2, ge=0, lt=1, description="how far the ratio may fall below 1 and still count")
    clip_high: float = Field(0.2, ge=0, description="how far it may rise above 1; 0.28 in DAPO")
    kl: float = Field(0.0, ge=0, description="weight of the divergence from the reference model")

    def __call__(self, scores: Scores, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reports `loss`, `clipped` (share of tokens whose gradient is cut), `kl_old`, and `kl` to the reference; of
        demonstrations `rehearsed`, which `loss` leaves out.

        Divergences are by the k3 estimator exp(d) - d - 1, never negative (http://joschu.net/blog/kl-approx.html).
        """
        if batch.old_logp is None:
            shown = -(scores.logp * batch.weights).sum()
            return shown, {"rehearsed": shown.detach()}
        assert batch.advantage is not None
        idle = batch.weights == 0
        ahead = (scores.logp - batch.old_logp).masked_fill(idle, 0.0)
        ratio = ahead.exp()
        free = ratio * batch.advantage
        held = ratio.clamp(1 - self.clip_low, 1 + self.clip_high) * batch.advantage
        loss = -(free.minimum(held) * batch.weights).sum()
        metrics = {
            "clipped": ((held < free) * batch.weights).sum(),
            "kl_old": ((ratio.detach() * ahead.detach() - ratio.detach() + 1) * batch.weights).sum(),
        }
        if self.kl:
            assert batch.ref_logp is not None, "a divergence needs a reference; give the feed one"
            behind = (batch.ref_logp - scores.logp).masked_fill(idle, 0.0)
            divergence = ((behind.exp() - behind - 1) * batch.weights).sum()
            loss = loss + self.kl * divergence
            metrics["kl"] = divergence.detach()
        return loss, {"loss": loss.detach(), **metrics}

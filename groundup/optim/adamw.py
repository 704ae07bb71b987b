"""AdamW: every parameter at one rate, matrices decayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from groundup.optim._base import OptimizerConfig

if TYPE_CHECKING:
    from torch import nn

    from groundup.models._base import Role
    from groundup.optim._optimizer import Optimizer


class AdamW(OptimizerConfig):
    """Adam with decoupled weight decay (arXiv 1711.05101).

    Betas and decay are those of GPT-3 (arXiv 2005.14165, appendix B); matrices alone are decayed, as nanoGPT does.
    """

    lr: float = Field(3e-3, gt=0, description="peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.95), description="decay of the running mean and of the mean square")
    eps: float = Field(1e-8, gt=0)
    decay: float = Field(0.1, ge=0, description="weight decay of hidden matrices, per step and unit of rate")

    def build(self, model: nn.Module, roles: Mapping[str, Role]) -> Optimizer:
        """See `OptimizerConfig.build`."""
        from groundup.optim._optimizer import AdamWRule, Optimizer, claim

        own = claim(model, roles)
        rest = own["embedding"] + own["head"] + own["vector"]
        matrices = AdamWRule(own["matrix"], self.lr, self.betas, self.eps, self.decay)
        return Optimizer([matrices, AdamWRule(rest, self.lr, self.betas, self.eps)])

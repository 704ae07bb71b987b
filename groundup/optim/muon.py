"""Muon for hidden matrices, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from groundup.optim._base import OptimizerConfig

if TYPE_CHECKING:
    import torch
    from torch import nn

    from groundup.models._base import Role
    from groundup.optim._optimizer import Optimizer


class Muon(OptimizerConfig):
    """Momentum, orthogonalized (Jordan et al., https://kellerjordan.github.io/posts/muon), for hidden matrices.

    A matrix of (rows, columns) moves by `lr` times sqrt(max(1, rows / columns)) in the spectral norm, so a rate found
    at one width holds at another (arXiv 2310.17813). Embeddings, head and vectors go by AdamW at rates of their own.
    """

    lr: float = Field(0.02, gt=0, description="peak learning rate of hidden matrices")
    momentum: float = Field(0.95, ge=0, lt=1)
    nesterov: bool = True
    decay: float = Field(0.1, ge=0, description="weight decay of hidden matrices, per step and unit of rate")
    iterate_in: Literal["bf16", "fp32", "fp64"] = Field(
        "bf16", description="arithmetic of the orthogonalization; fp32 where the CPU has no fast bf16"
    )
    embed_lr: float = Field(0.03, gt=0, description="peak learning rate of embeddings (AdamW)")
    head_lr: float = Field(0.01, gt=0, description="peak learning rate of the head (AdamW)")
    vector_lr: float = Field(0.01, gt=0, description="peak learning rate of norms and biases (AdamW)")
    betas: tuple[float, float] = Field((0.9, 0.95), description="of AdamW")
    eps: float = Field(1e-8, gt=0, description="of AdamW")

    def build(self, model: nn.Module, roles: Mapping[str, Role]) -> Optimizer:
        """See `OptimizerConfig.build`."""
        from groundup.optim._optimizer import AdamWRule, Optimizer, claim
        from groundup.optim._orthogonal import MuonRule

        own = claim(model, roles)
        rates: dict[Role, float] = {"embedding": self.embed_lr, "head": self.head_lr, "vector": self.vector_lr}
        matrices = MuonRule(own["matrix"], self.lr, self.momentum, self.nesterov, self.decay, self.dtype())
        return Optimizer([matrices, *(AdamWRule(own[role], lr, self.betas, self.eps) for role, lr in rates.items())])

    def dtype(self) -> torch.dtype:
        """That of `iterate_in`."""
        import torch

        return {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}[self.iterate_in]

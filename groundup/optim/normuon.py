"""NorMuon: Muon whose rows are evened out, with a decay that never works against the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from groundup.optim.muon import Muon

if TYPE_CHECKING:
    from torch import nn

    from groundup.models._base import Role
    from groundup.optim._optimizer import Optimizer


class NorMuon(Muon):
    """Muon with a running mean square for each row (a neuron) of its orthogonal step (NorMuon, arXiv 2510.05491).

    `cautious` decays a weight only where the step, too, moves it towards zero (arXiv 2510.12402).
    """

    beta: float = Field(0.95, ge=0, lt=1, description="decay of the mean square of each row of the step")
    cautious: bool = True

    def build(self, model: nn.Module, roles: Mapping[str, Role]) -> Optimizer:
        """See `OptimizerConfig.build`."""
        from groundup.optim._normalised import NorMuonRule

        optimizer = super().build(model, roles)
        plain, *others = optimizer.rules
        rule = NorMuonRule(
            list(plain.members.items()), self.lr, self.momentum, self.nesterov, self.decay, self.dtype(), self.beta,
            self.cautious,
        )  # fmt: skip
        return type(optimizer)([rule, *others])

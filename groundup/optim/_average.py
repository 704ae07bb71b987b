"""A running mean of the weights as one more rule of the optimizer: it is saved, resumed and spread as state is."""

import torch
from torch import Tensor

from groundup.optim._optimizer import Named, Optimizer, Rule, State

PREFIX = "mean of "
"""Before the name of a parameter whose own rule owns the plain name."""


class AverageRule(Rule):
    """Moves no parameter: keeps `average <- decay · average + (1 - decay) · weight` after every step (Polyak).

    The first weights count for less and less: after n steps for decay^n, which is taken out when the mean is taken up.
    """

    elementwise = True
    moves = False

    def __init__(self, members: Named, decay: float) -> None:
        super().__init__([(PREFIX + name, parameter) for name, parameter in members], 0.0)
        self._decay = decay

    def fresh(self, parameter: Tensor) -> State:
        """The mean of no weights yet, and how many went into it."""
        return {"average": torch.zeros_like(parameter), "steps": torch.zeros((), device=parameter.device)}

    def move(self, parameters: list[Tensor], gradients: list[Tensor], states: list[State], lr: float) -> None:
        """Take note of the weights as they are now."""
        torch._foreach_lerp_([state["average"] for state in states], parameters, 1 - self._decay)
        torch._foreach_add_([state["steps"] for state in states], 1.0)

    @torch.no_grad()
    def take_up(self) -> None:
        """Make the parameters their mean; those that never moved stay as they are."""
        for name, state in self.state.items():
            counted = 1 - self._decay ** float(state["steps"])
            self.members[name].copy_(state["average"] / counted)


def averaged(optimizer: Optimizer, decay: float) -> Optimizer:
    """The optimizer, with a running mean of everything that it moves; `decay` 0: unchanged."""
    if not decay:
        return optimizer
    return Optimizer([*optimizer.rules, AverageRule(optimizer.moved(), decay)])


def take_up(optimizer: Optimizer) -> None:
    """Make every weight its running mean, where one was kept."""
    for rule in optimizer.rules:
        if isinstance(rule, AverageRule):
            rule.take_up()

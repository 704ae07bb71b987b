"""The weights of the best moment as one more rule of the optimizer: saved, resumed and spread as state is."""

import torch
from torch import Tensor

from groundup.optim._optimizer import Named, Optimizer, Rule, State

PREFIX = "best of "
"""Before the name of a parameter whose own rule owns the plain name."""


class BestRule(Rule):
    """Moves no parameter: holds a copy of the weights as they were when it was last told to."""

    elementwise = True
    moves = False

    def __init__(self, members: Named) -> None:
        super().__init__([(PREFIX + name, parameter) for name, parameter in members], 0.0)

    def fresh(self, parameter: Tensor) -> State:
        """The weights as they are."""
        return {"weights": parameter.detach().clone()}

    def move(self, parameters: list[Tensor], gradients: list[Tensor], states: list[State], lr: float) -> None:
        """A step is not what it waits for."""

    @torch.no_grad()
    def keep(self) -> None:
        """Hold the weights of this moment."""
        for name, state in self.state.items():
            state["weights"].copy_(self.members[name])

    @torch.no_grad()
    def take_up(self) -> None:
        """Make the parameters what is held; those that never moved stay as they are."""
        for name, state in self.state.items():
            self.members[name].copy_(state["weights"])


def with_best(optimizer: Optimizer) -> Optimizer:
    """The optimizer, with a place for the best weights of everything that it moves."""
    return Optimizer([*optimizer.rules, BestRule(optimizer.moved())])


def keep_best(optimizer: Optimizer) -> None:
    """The weights are better now than ever before."""
    for rule in _places(optimizer):
        rule.keep()


def take_best(optimizer: Optimizer) -> None:
    """Make every weight what it was at its best."""
    for rule in _places(optimizer):
        rule.take_up()


def _places(optimizer: Optimizer) -> list[BestRule]:
    return [rule for rule in optimizer.rules if isinstance(rule, BestRule)]

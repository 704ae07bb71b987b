"""The optimizer's state kept in the host's memory: it is needed once a step, for a moment, and on an accelerator it is
the largest thing there is (8 of AdamW's 16 bytes a parameter).

As in ZeRO-Offload (arXiv 2101.06840) the state stays away between steps; unlike there it comes to the accelerator for
the arithmetic, a few parameters at a time, so that a step is the same to the last bit.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from groundup.optim._optimizer import Optimizer, Rule, State

HERE_BYTES = 2**28
"""State that is on the accelerator at once."""


def offload(optimizer: Optimizer, home: torch.device | str = "cpu", here_bytes: int = HERE_BYTES) -> Optimizer:
    """The same optimizer, whose state is at `home` between steps; at most about `here_bytes` of it visit at a time.

    A rule that works on groups of like matrices (Muon) sees smaller groups, and the same result.
    """
    for rule in optimizer.rules:
        _Away(rule, torch.device(home), here_bytes)
    return optimizer


class _Away:
    """Stands before a rule's `move`, and fetches and returns the states of what is moved."""

    def __init__(self, rule: Rule, home: torch.device, here_bytes: int) -> None:
        self._move, self._fresh, self._home, self._room = rule.move, rule.fresh, home, here_bytes
        rule.move, rule.fresh = self.move, self.fresh  # type: ignore[method-assign]

    def fresh(self, parameter: Tensor) -> State:
        """As the rule's, at home."""
        return {key: self._sent(value) for key, value in self._fresh(parameter).items()}

    def move(self, parameters: list[Tensor], gradients: list[Tensor], states: list[State], lr: float) -> None:
        """As the rule's, a few parameters at a time."""
        start = 0
        while start < len(parameters):
            stop, held = start, 0
            while stop < len(parameters) and (stop == start or held + _bytes(states[stop]) <= self._room):
                held += _bytes(states[stop])
                stop += 1
            device = parameters[start].device
            here = [{key: value.to(device, copy=True) for key, value in state.items()} for state in states[start:stop]]
            self._move(parameters[start:stop], gradients[start:stop], here, lr)
            for away, state in zip(states[start:stop], here, strict=True):
                for key, value in state.items():
                    away[key].copy_(value)
            start = stop

    def _sent(self, value: Tensor) -> Tensor:
        sent = value.to(self._home)
        return sent.pin_memory() if value.device.type == "cuda" and self._home.type == "cpu" else sent


def _bytes(state: Mapping[str, Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in state.values())

"""The optimizer that the trainer drives: rules side by side, one rate scale, state by parameter name.

Not torch.optim.Optimizer: making one imports torch's compiler, 3.5 s of CPU time before the first step. The arithmetic
is torch's own all the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from groundup.errors import StoreError
from groundup.mesh import local, spread_like
from groundup.models._base import Role

Named = Sequence[tuple[str, nn.Parameter]]
State = dict[str, Tensor]


class Rule(ABC):
    """How some parameters move, at one peak learning rate."""

    elementwise: ClassVar[bool] = False
    """Whether each number moves by itself: of tensors that are spread over ranks, `move` is then given what this rank
    holds. Else they come as they are, and `mesh.by_whole` shares the work on whole ones."""

    moves: ClassVar[bool] = True
    """Whether it changes parameters: others own none, they only take note."""

    def __init__(self, members: Named, lr: float) -> None:
        self.members, self.lr = dict(members), lr
        self.state: dict[str, State] = {}

    @abstractmethod
    def fresh(self, parameter: Tensor) -> State:
        """The state of a parameter that has not moved yet."""

    @abstractmethod
    def move(self, parameters: list[Tensor], gradients: list[Tensor], states: list[State], lr: float) -> None:
        """Change parameters and states in place. The gradients may serve as work space."""

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Move every parameter that has a gradient, at `scale` times the peak rate."""
        ready = {name: parameter for name, parameter in self.members.items() if parameter.grad is not None}
        for name in ready.keys() - self.state.keys():
            self.state[name] = self.fresh(ready[name])
        if ready:
            here = local if self.elementwise else _as_it_is
            gradients = [here(parameter.grad) for parameter in ready.values() if parameter.grad is not None]
            states = [{key: here(value) for key, value in self.state[name].items()} for name in ready]
            self.move([here(parameter) for parameter in ready.values()], gradients, states, self.lr * scale)


def _as_it_is(value: Tensor) -> Tensor:
    return value


class Optimizer:
    """Rules that together own every trainable parameter once."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)

    def step(self, scale: float, apply: bool = True) -> None:
        """Use up the gradients: move the weights at `scale` times the peak rates, or with `apply=False` drop them."""
        if apply:
            for rule in self.rules:
                rule.step(scale)
        self.zero_grad()

    def names(self) -> list[str]:
        """Of all that has a state of its own, or will have."""
        return [name for rule in self.rules for name in rule.members]

    def moved(self) -> list[tuple[str, nn.Parameter]]:
        """Every parameter that a rule changes."""
        return [member for rule in self.rules if rule.moves for member in rule.members.items()]

    def zero_grad(self) -> None:
        """Drop every gradient and its memory."""
        for rule in self.rules:
            for parameter in rule.members.values():
                parameter.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """The state as `PARAMETER.KEY` -> tensor (live, not copied); empty before the first step."""
        return {
            f"{name}.{key}": value
            for rule in self.rules
            for name, state in rule.state.items()
            for key, value in state.items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a copy of a state that `state_dict` gave: whole tensors, or tensors spread over ranks in any way.

        Raises StoreError if it is not that of this model and optimizer.
        """
        owners = {name: rule for rule in self.rules for name in rule.members}
        found: dict[str, State] = {}
        for full, value in state.items():
            name, _, key = full.rpartition(".")
            found.setdefault(name, {})[key] = value
        for name, own in found.items():
            like = owners[name].fresh(owners[name].members[name]) if name in owners else {}
            if {key: value.shape for key, value in like.items()} != {key: value.shape for key, value in own.items()}:
                raise StoreError(
                    f"the saved optimizer state of {name!r} does not fit this model and optimizer; "
                    "it belongs to another recipe: start the stage anew"
                )
            found[name] = {key: spread_like(value, like[key]) for key, value in own.items()}
        for rule in self.rules:
            rule.state = {name: found[name] for name in rule.members if name in found}


def parameter_of(name: str) -> str:
    """The parameter that a name in a state belongs to; rules that only take note have words before it.

    >>> parameter_of("mean of layers.0.weight"), parameter_of("layers.0.weight")
    ('layers.0.weight', 'layers.0.weight')
    """
    return name.rpartition(" ")[2]


class AdamWRule(Rule):
    """AdamW (arXiv 1711.05101); fused: on 2 CPU cores 1.5 ms where the plain loop takes 7.5 (2 M parameters)."""

    elementwise = True

    def __init__(self, members: Named, lr: float, betas: tuple[float, float], eps: float, decay: float = 0.0) -> None:
        super().__init__(members, lr)
        self._betas, self._eps, self._decay = betas, eps, decay

    def fresh(self, parameter: Tensor) -> State:
        """Steps taken, running mean and running mean square."""
        steps = torch.zeros((), device=parameter.device)
        return {"steps": steps, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}

    def move(self, parameters: list[Tensor], gradients: list[Tensor], states: list[State], lr: float) -> None:
        """One call of torch's kernel for all of them."""
        means, squares, steps = ([state[key] for state in states] for key in ("mean", "square", "steps"))
        adamw(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            maximize=False,
            beta1=self._betas[0],
            beta2=self._betas[1],
            lr=lr,
            weight_decay=self._decay,
            eps=self._eps,
        )


def claim(model: nn.Module, roles: Mapping[str, Role]) -> dict[Role, list[tuple[str, nn.Parameter]]]:
    """The trainable parameters of `model` by role; a shared (tied) parameter comes once, under its first name.

    Raises ValueError for a parameter without a role, or with an unknown one.
    """
    found: dict[Role, list[tuple[str, nn.Parameter]]] = {role: [] for role in get_args(Role)}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            role = roles.get(name)
            if role not in found:
                raise ValueError(f"parameter {name!r} has the role {role!r}; roles() must give it one of {list(found)}")
            found[role].append((name, parameter))
    return found

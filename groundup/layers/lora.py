"""Adapters: small trained matrices beside frozen ones, wrapped from outside by name pattern.

LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + (alpha / rank) B A x. DoRA (Liu et al. 2024, arXiv 2402.09353): the
same change to the direction of each row of W, whose length is learned apart. Several adapters may lie on one model;
`use` says which of them speaks, for all rows or for each.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from groundup.config import Config
from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.freeze import matching
from groundup.layers.nf4 import Nf4Linear

DEFAULT = "default"


class Lora(Config):
    """The shape of an adapter."""

    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0, description="the change is scaled by alpha / rank")
    targets: tuple[str, ...] = Field(("*_proj",), min_length=1, description="name patterns of the matrices it changes")
    dropout: float = Field(0.0, ge=0, lt=1, description="of what the adapter reads, while it trains")
    dora: bool = Field(False, description="learn the length of each row apart from its direction")


class Adapter(nn.Module):
    """A and B, and the lengths of DoRA; B starts at zero, so that an adapter changes nothing at first."""

    def __init__(self, base: nn.Linear | Nf4Linear, shape: Lora, generator: torch.Generator) -> None:
        super().__init__()
        weight = base.weight
        self.shape = shape
        self.scale, self.dropout = shape.alpha / shape.rank, nn.Dropout(shape.dropout)
        down = torch.empty(shape.rank, base.in_features)
        nn.init.kaiming_uniform_(down, a=5**0.5, generator=generator)  # as nn.Linear and PEFT
        self.lora_A = nn.Parameter(down.to(weight.device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, shape.rank, device=weight.device))
        lengths = weight.detach().float().norm(dim=1)
        self.magnitude = nn.Parameter(lengths.clone()) if shape.dora else None

    def change(self) -> Tensor:
        """What the adapter adds to the weight, float32 `(out, in)`; without DoRA's lengths."""
        return self.scale * (self.lora_B.float() @ self.lora_A.float())

    def forward(self, x: Tensor, y: Tensor, base: nn.Linear | Nf4Linear) -> Tensor:
        """What to add to `y`, which is `base(x)`."""
        low = functional.linear(self.dropout(x), self.lora_A.to(x.dtype))
        added = self.scale * functional.linear(low, self.lora_B.to(x.dtype))
        if self.magnitude is None:
            return added
        if base.bias is not None:
            y = y - base.bias.to(y.dtype)
        turned = self.lengths(base).to(y.dtype)
        return (turned - 1) * y + turned * added

    def lengths(self, base: nn.Linear | Nf4Linear) -> Tensor:
        """DoRA's factor for each row `(out,)`; the norm beneath it is taken as a constant (section 4.3)."""
        assert self.magnitude is not None
        return self.magnitude / (base.weight.detach().float() + self.change().detach()).norm(dim=1)


class Adapted(nn.Module):
    """A frozen Linear with adapters beside it."""

    reads_weights: ClassVar = True  # DoRA measures the rows of the matrix
    branches: ClassVar = True  # by who is chosen

    def __init__(self, base: nn.Linear | Nf4Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.adapters = nn.ModuleDict()
        self.chosen: str | Sequence[str | None] | None = None

    @property
    def weight(self) -> Tensor:
        """The frozen weight."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """`(B, ..., in)` to `(B, ..., out)`."""
        y: Tensor = self.base(x)
        if self.chosen is None:
            return y
        if isinstance(self.chosen, str):
            out: Tensor = y + self.adapters[self.chosen](x, y, self.base)
            return out
        assert len(self.chosen) == len(x), f"adapters for {len(self.chosen)} rows, and {len(x)} rows"
        out = y.clone()
        for name in {name for name in self.chosen if name is not None}:
            rows = torch.tensor([row for row, each in enumerate(self.chosen) if each == name], device=x.device)
            out[rows] = y[rows] + self.adapters[name](x[rows], y[rows], self.base)
        return out


def adapt(model: nn.Module, shape: Lora, name: str = DEFAULT, seed: int = 0) -> list[str]:
    """Lay a new adapter on the matrices that `shape.targets` covers, freeze all else, and use it; the matrices' names.

    Raises ConfigError for a pattern that covers none, or a name that is taken.
    """
    if any(name in module.adapters for _, module in adapted(model)):
        raise ConfigError(f"the model has an adapter {name!r} already; choose another name")
    if not name or "." in name:
        raise ConfigError(f"{name!r} cannot be the name of an adapter; use one without a dot")
    wrapped = dict(adapted(model))
    inside = tuple(f"{path}." for path in wrapped)
    linears = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Nf4Linear | Adapted)
        and not path.startswith(inside)
        and not path.endswith(("lm_head", "score_head"))
    }
    names = matching(list(linears), shape.targets)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for path in names:
        module = linears[path]
        if not isinstance(module, Adapted):
            module = Adapted(module)
            model.set_submodule(path, module)
        module.adapters[name] = Adapter(module.base, shape, generator).train(model.training)
    use(model, name)
    return names


def adapted(model: nn.Module) -> Iterator[tuple[str, Adapted]]:
    """The wrapped matrices, by name."""
    return ((path, module) for path, module in model.named_modules() if isinstance(module, Adapted))


def use(model: nn.Module, chosen: str | Sequence[str | None] | None) -> None:
    """Which adapter speaks: one, none, or one (or none) for each row of the batches to come.

    Raises ConfigError for one that the model has not got.
    """
    modules = [module for _, module in adapted(model)]
    known = {name for module in modules for name in module.adapters}
    asked = {chosen} if chosen is None or isinstance(chosen, str) else set(chosen)
    for name in asked - {None}:
        if name not in known:
            raise ConfigError(f"the model has no adapter {name!r}; it has: {', '.join(sorted(known)) or 'none'}")
    for module in modules:
        names: set[str | None] = set(module.adapters)
        if chosen is None or isinstance(chosen, str):
            module.chosen = chosen if chosen in names else None
        else:
            module.chosen = [name if name in names else None for name in chosen]


def merge(model: nn.Module, name: str = DEFAULT) -> nn.Module:
    """Fold an adapter into the weights and take all wrapping off, in place; four-bit weights become whole ones.

    Raises ConfigError for an adapter that the model has not got, UnsupportedError where others would be lost.
    """
    use(model, name)
    held = {other for _, module in adapted(model) for other in module.adapters}
    if held != {name}:
        raise UnsupportedError(
            f"merging {name!r} would lose the adapters {', '.join(sorted(held - {name}))}; drop them first"
        )
    for path, module in list(adapted(model)):
        adapter = module.adapters[name]
        assert isinstance(adapter, Adapter)
        weight = module.base.weight.detach().float() + adapter.change().detach()
        if adapter.magnitude is not None:
            weight = weight * adapter.lengths(module.base).detach()[:, None]
        model.set_submodule(path, _linear(weight, module.base))
    return model


def drop(model: nn.Module, name: str) -> None:
    """Take an adapter off; a matrix without any is as it was. Raises ConfigError where there is none of the name."""
    use(model, name)
    for path, module in list(adapted(model)):
        if name in module.adapters:
            del module.adapters[name]
        if not module.adapters:
            model.set_submodule(path, module.base)
    use(model, None)


def _linear(weight: Tensor, like: nn.Linear | Nf4Linear) -> nn.Linear:
    made = nn.Linear(like.in_features, like.out_features, bias=like.bias is not None, device="meta")
    dtype = like.weight.dtype
    made.weight = nn.Parameter(weight.to(dtype))
    if like.bias is not None:
        made.bias = nn.Parameter(like.bias.detach().clone())
    return made

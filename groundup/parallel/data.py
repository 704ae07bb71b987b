"""Data parallelism: each rank has rows of its own, and the gradients are summed (never averaged: the loss is divided
by the count of all ranks before). PyTorch's `fully_shard` does the sharing (FSDP2, arXiv 2304.11277), in four depths:

    zero=0   nothing is shared: each rank holds all (its "shares" are of one rank, and it has copies)
    zero=1   the optimizer's state is shared: gradients are whole until the last micro, weights from its first
    zero=2   gradients too: each micro's are reduced to shares at once
    zero=3   weights too: a block's are gathered when it runs, forward and backward, and dropped again

The names are those of ZeRO (arXiv 1910.02054). With `replicate` the shares have copies (hybrid sharding): what is
gathered often stays within a group of ranks. Ranks that share the tokens of rows (context) or experts take part too.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from groundup.models._base import Model
from groundup.parallel._base import Backward, Split, blocks, kind_of


def apply(split: Split) -> None:
    """Share what `zero` says over the ranks that work on different tokens."""
    # `score` returns views, which nobody changes in place; and axes made of several have no other way yet (torch 2.13).
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
    warnings.filterwarnings("ignore", message="Slicing a flattened dim from root mesh")
    zero, pipeline = split.settings.zero, split.settings.pipeline > 1
    again = zero == 3 and not pipeline  # a pipeline runs a block for many micros: its weights stay
    grid, experts = _grid(split, experts=False), _grid(split, experts=True)
    for part in split.parts:
        for name, module in part.named_modules():
            if split.settings.expert > 1 and _all_experts(name, module, part):
                _share(module, experts, again)
        for block in blocks(part):
            _share(block, grid, again)
        if again and part.lm_head is not None:
            _share(part.embedding, grid, again)
        _share(part, grid, None if again else False)
        register_fsdp_forward_method(part, "score")
    if not pipeline:
        split.backward = _Step(split.backward, zero)


class _Step:
    """The gradients of a step's micros, reduced as seldom as `zero` allows."""

    def __init__(self, inner: Backward, zero: int) -> None:
        self._inner, self._zero = inner, zero

    def __call__(
        self,
        model: Model,
        objective: Any,
        micros: Sequence[Any],
        divisor: float,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> dict[str, Tensor]:
        """See `Backward`."""
        assert isinstance(model, FSDPModule)
        sums: dict[str, Tensor] = {}
        for number, micro in enumerate(micros, 1):
            last = number == len(micros)
            model.set_is_last_backward(last)
            model.set_requires_gradient_sync(last or self._zero >= 2)
            model.set_requires_all_reduce(last)
            model.set_reshard_after_backward(last or self._zero == 3)
            for name, value in self._inner(model, objective, [micro], divisor, autocast).items():
                sums[name] = sums[name] + value if name in sums else value
        return sums


def _share(module: nn.Module, grid: DeviceMesh, again: bool | None) -> None:
    fully_shard(module, mesh=grid, reshard_after_forward=again)
    assert isinstance(module, FSDPModule)
    module.set_gradient_divide_factor(1.0)
    module.set_force_sum_reduction_for_comms(True)


def _grid(split: Split, experts: bool) -> DeviceMesh:
    """The ranks that share weights, and those that hold copies: one axis, or (copies, shares)."""
    everyone = ("context",) if experts else ("expert", "context")
    zero = split.settings.zero
    copies, shares = (("replicate", *everyone), ("shard",)) if zero == 0 else (("replicate",), ("shard", *everyone))
    if split.mesh.size(*copies) == 1:
        return split.axis(_flat(split, shares))
    return split.axis(_flat(split, copies), _flat(split, shares))


def _flat(split: Split, axes: Sequence[str]) -> str:
    """The name of the axis that these axes make together."""
    real = [axis for axis in axes if split.mesh.size(axis) > 1] or list(axes[:1])
    if len(real) == 1:
        return real[0]
    name = "_".join(real)
    split.axis(*real)._flatten(name)
    return name


def _all_experts(name: str, module: nn.Module, model: Model) -> bool:
    """Whether all that a module holds are split experts: their gradients need no sum over the ranks of that axis."""
    own = [f"{name}.{weight}" for weight, _ in module.named_parameters(recurse=False)]
    return bool(own) and all(kind_of(each, model.shards) == "expert" for each in own)

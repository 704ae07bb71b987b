"""Tensor parallelism (Shoeybi et al. 2019, arXiv 1909.08053): each rank holds a part of every matrix.

`Model.shards` says which matrix is cut how; a column cut is followed by a row cut, so a branch talks once. With
`sequence` the ranks share the tokens between the branches (Korthikanti et al. 2022, arXiv 2205.05198): the same bytes
are sent, and activations between branches take a part of the memory. The vocabulary is cut too: no rank ever holds the
logits of all of it.
"""

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module

from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.head import LogProbs, log_probs
from groundup.mesh import local
from groundup.models._base import Model, Scores
from groundup.parallel._base import Split, fanned, gathered, kind_of, summed


def apply(split: Split) -> None:
    """Cut every matrix that `shards` names.

    Raises UnsupportedError for a model that cannot be cut so, ConfigError where its sizes do not divide.
    """
    axis, apart = split.axis("tensor"), set[str]()
    for part in split.parts:
        check(part, axis.size())
        for name, module in list(part.named_modules()):
            kind = kind_of(name, part.shards)
            if kind in ("column", "row", "vocab"):
                _cut(module, kind, axis, split.sequence)
        for name in sorted({name.rpartition(".")[0] for name, _ in _matrices(part, "column")}):
            enter = partial(_enter, axis=axis, dim=1 if split.sequence else None)
            part.get_submodule(name).register_forward_pre_hook(enter)
        if isinstance(part.head_weight if _has_head(part) else None, DTensor):
            part.score_hidden = partial(_score_hidden, part, axis, split.sequence)  # type: ignore[method-assign]
        if split.sequence:
            part.register_forward_pre_hook(partial(_check_rows, n=axis.size()))
        apart |= {name for name, weight in part.named_parameters() if _in_parts(name, weight, part, split.sequence)}
    split.after.append(lambda: _settle(split.model, apart, axis))


def can_share_tokens(model: Model) -> bool:
    """Whether tensor ranks may share the tokens between branches: where all that looks at other tokens is cut."""
    inside = {name.rpartition(".")[0] for name, _ in _matrices(model, "column")}
    return bool(inside) and all(name in inside for name, module in model.named_modules() if hasattr(module, "attend"))


def check(model: Model, n: int) -> None:
    """Raises UnsupportedError for a model that says nothing of how to cut it, ConfigError where sizes do not divide."""
    who = type(model).__name__
    if not model.shards:
        raise UnsupportedError(f"parallel.tensor={n}: {who} does not say how its matrices are split; use parallel.data")
    for kind, dim in (("column", "out_features"), ("row", "in_features")):
        for name, linear in _matrices(model, kind):
            if not isinstance(linear, nn.Linear):
                raise UnsupportedError(f"parallel.tensor={n}: {name} is a {type(linear).__name__}, no plain matrix")
            unit = getattr(model.get_submodule(name.rpartition(".")[0]), "head_dim", 1)
            count = getattr(linear, dim) // unit
            if count % n:
                what = "heads" if unit > 1 else dim
                raise ConfigError(f"parallel.tensor={n} does not divide {what}={count} of {name}; choose a divisor")


def _matrices(model: Model, kind: str) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in model.named_modules() if kind_of(name, model.shards) == kind)


def _has_head(model: Model) -> bool:
    return model.lm_head is not None or isinstance(model.embedding, nn.Embedding)


def _cut(module: nn.Module, kind: str, axis: DeviceMesh, sequence: bool) -> None:
    leaving: Placement = Shard(1) if sequence else Replicate()
    style: ParallelStyle
    if kind == "column":
        style = ColwiseParallel()
    elif kind == "row":
        style = RowwiseParallel(output_layouts=leaving)
    elif isinstance(module, nn.Embedding):
        style = RowwiseParallel(input_layouts=Replicate(), output_layouts=leaving)
    elif isinstance(module, nn.Linear):
        cut = distribute_tensor(module.weight.detach(), axis, [Shard(0)], src_data_rank=None)
        module.weight = nn.Parameter(cut, requires_grad=module.weight.requires_grad)
        return
    else:
        return
    style.src_data_rank = None  # the weights are the same on all ranks: nothing need be sent
    parallelize_module(module, axis, style)


def _enter(module: nn.Module, args: tuple[Any, ...], axis: DeviceMesh, dim: int | None) -> tuple[Any, ...]:
    """Where a branch begins: all tokens on all ranks, once for all its matrices; backward the gradients are summed."""
    held: Placement = Replicate() if dim is None else Shard(dim)
    x = DTensor.from_local(args[0], axis, [held], run_check=False)
    return x.redistribute(placements=[Replicate()]), *args[1:]


def _check_rows(module: nn.Module, args: tuple[Any, ...], n: int) -> None:
    if args[0].shape[1] % n:
        raise ConfigError(
            f"parallel.tensor={n} does not divide rows of {args[0].shape[1]} tokens; set parallel.sequence to false"
        )


def _in_parts(name: str, weight: Tensor, model: Model, sequence: bool) -> bool:
    """Whether each rank works out only a part of this weight's gradient, though it holds all of the weight."""
    if isinstance(weight, DTensor):
        return False
    return sequence or kind_of(name.rpartition(".")[0], model.shards) == "inner"


@torch.no_grad()
def _settle(model: nn.Module, apart: Collection[str], axis: DeviceMesh) -> None:
    """Gradients as the optimizer wants them: sums of what the ranks have, placed as the weights are."""
    together: list[Tensor] = []
    for name, weight in model.named_parameters():
        grad = weight.grad
        if isinstance(weight, DTensor) and isinstance(grad, DTensor) and grad.placements != weight.placements:
            weight.grad = grad.redistribute(placements=weight.placements)
        if grad is not None and name in apart:
            together.append(local(grad))
    if together:
        flat = torch.cat([grad.flatten() for grad in together])
        all_reduce(flat, group=axis.get_group())
        for grad, total in zip(together, flat.split([grad.numel() for grad in together]), strict=True):
            grad.copy_(total.view_as(grad))


def _score_hidden(
    model: Model,
    axis: DeviceMesh,
    sequence: bool,
    hidden: Tensor,
    targets: Tensor,
    *,
    segments: Tensor | None = None,
    weights: Tensor | None = None,
    ask: Collection[str] = (),
) -> Scores:
    """In place of `Model.score_hidden`. Raises UnsupportedError for what the model cannot say."""
    unknown = sorted(set(ask) - {"entropy"})
    if unknown:
        raise UnsupportedError(f"parallel.tensor: {', '.join(unknown)} cannot be asked of a model whose head is cut")
    hidden = gathered(hidden, axis, 1) if sequence else fanned(hidden, axis)
    weight = cast(DTensor, model.head_weight).to_local()
    return Scores(
        *split_log_probs(hidden, weight, targets, axis, "entropy" in ask, weights, model.head_weight.shape[0])
    )


def split_log_probs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    axis: DeviceMesh,
    entropy: bool,
    weights: Tensor | None,
    vocab_size: int,
) -> LogProbs:
    """`log_probs` where each rank holds `weight` of its part of the vocabulary; the result is the same on all.

    Each works out its part as if there were no other; what is sent are a few numbers for each target.
    """
    first = axis.get_local_rank() * -(-vocab_size // axis.size())
    own = targets - first
    mine = (own >= 0) & (own < len(weight))
    found = log_probs(hidden, weight, own.clamp(0, len(weight) - 1), entropy, weights)
    top = DTensor.from_local(found.lse.detach(), axis, [Partial("max")], run_check=False).full_tensor()
    share = (found.lse - top).exp()
    total = summed(share, axis)
    lse = top + total.log()
    logp = summed((found.logp + found.lse).where(mine, 0.0), axis) - lse
    if found.entropy is None:
        return LogProbs(logp, lse, None)
    mean = summed(share * (found.lse - found.entropy), axis) / total
    return LogProbs(logp, lse, lse - mean)

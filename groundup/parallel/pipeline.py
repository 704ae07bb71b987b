"""Pipeline parallelism: each rank holds some layers, and micros follow each other through them.

The schedules are PyTorch's: 1F1B (arXiv 2104.04473), the same interleaved, and zero bubble (arXiv 2401.10241: ZBV,
where the gradients of weights fill the gaps). A stage is the model itself with the layers of others taken out: what
stands before its list of layers runs on the first stage alone, what stands behind it on the last.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import broadcast_object_list, get_global_rank
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleInterleaved1F1B,
    ScheduleZBVZeroBubble,
)

from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.autocast import compute_dtype
from groundup.models._base import Model
from groundup.parallel._base import Split, blocks, gathered
from groundup.parallel.context import row_part, whole_rows

LOOPS = {"1f1b": 1, "interleaved": 2, "zero-bubble": 2}
"""Stretches of layers that each rank holds."""

Context = Callable[[], AbstractContextManager[Any]]


def apply(split: Split) -> None:
    """Deal out the layers, and hand all micros of a step to one schedule.

    Raises UnsupportedError for a model with tied weights, or without a list of layers; ConfigError for too few layers.
    """
    axis, model = split.axis("pipeline"), split.model
    n_ranks, n_stages = axis.size(), axis.size() * LOOPS[split.settings.schedule]
    check(model, n_ranks, n_stages)
    layers = [*range(len(blocks(model)))]
    cuts = [len(layers) * stage // n_stages for stage in range(n_stages + 1)]
    own = stages_of(axis.get_local_rank(), n_ranks, split.settings.schedule)
    tensor = split.axis("tensor") if split.sequence else None
    split.parts = [
        _stretch(model, layers[cuts[stage] : cuts[stage + 1]], stage > 0, stage < n_stages - 1, tensor) for stage in own
    ]
    _keep(model, [layer for stage in own for layer in layers[cuts[stage] : cuts[stage + 1]]], own, n_stages)
    split.backward = Pipelined(split, own, n_stages)


def check(model: Model, n_ranks: int, n_stages: int) -> None:
    """Raises UnsupportedError for tied weights, ConfigError where there are fewer layers than stages."""
    n_layers = len(blocks(model))
    if model.lm_head is None:
        raise UnsupportedError(
            f"parallel.pipeline={n_ranks}: the first and the last stage would share a matrix; set model.tied to false"
        )
    if n_layers < n_stages:
        raise ConfigError(
            f"parallel.pipeline={n_ranks}: {n_layers} layers do not make {n_stages} stages; use fewer ranks, "
            "or parallel.schedule=1f1b"
        )


def stages_of(rank: int, n_ranks: int, schedule: str) -> list[int]:
    """The stages that a rank holds: in turn, or (zero bubble) there and back, so that the first holds both ends."""
    if schedule == "1f1b":
        return [rank]
    return [rank, 2 * n_ranks - 1 - rank] if schedule == "zero-bubble" else [rank, rank + n_ranks]


class Entry(nn.Module):
    """In place of the embedding, where hidden states come in: hands them on, or this tensor rank's tokens of them."""

    def __init__(self, tensor: DeviceMesh | None) -> None:
        super().__init__()
        self._tensor = tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)` to `(B, T, D)` or `(B, T/n, D)`."""
        return x if self._tensor is None else x.chunk(self._tensor.size(), 1)[self._tensor.get_local_rank()]


class Nothing(nn.Module):
    """In place of a second table of embeddings, of positions: adds nothing."""

    def forward(self, ids: Tensor) -> Tensor:
        """A zero."""
        return torch.zeros((), device=ids.device)


def _stretch(model: Model, layers: Iterable[int], follows: bool, goes_on: bool, tensor: DeviceMesh | None) -> Model:
    """The model with some of its layers, which it shares, and without the ends that are other stages'."""
    part = copy.copy(model)
    part.__dict__ = {key: copy.copy(own) if isinstance(own, dict) else own for key, own in model.__dict__.items()}
    behind = False
    for name, child in model.named_children():
        if child is blocks(model):
            part._modules[name], behind = _chosen(child, layers), True
        elif behind and goes_on:
            part._modules[name] = None if child is model.lm_head else nn.Identity()
        elif not behind and follows:
            if child is model.embedding:
                part._modules[name] = Entry(tensor)
            else:
                part._modules[name] = Nothing() if isinstance(child, nn.Embedding) else nn.Identity()
    return part


def _keep(model: Model, layers: Iterable[int], own: Sequence[int], n_stages: int) -> None:
    """Take out of `model` what no stage of this rank needs."""
    listed, behind = blocks(model), False
    for name, child in list(model.named_children()):
        if child is listed:
            model._modules[name], behind = _chosen(child, layers), True
        elif (n_stages - 1 if behind else 0) not in own:
            model._modules[name] = None


def _chosen(listed: nn.Module, wanted: Iterable[int]) -> nn.ModuleList:
    """Some of the layers, under their own numbers."""
    chosen = nn.ModuleList()
    for number in wanted:
        chosen.add_module(str(number), listed.get_submodule(str(number)))
    return chosen


class Pipelined:
    """The gradients of a step by one schedule for all its micros; see `Backward`."""

    def __init__(self, split: Split, own: Sequence[int], n_stages: int) -> None:
        self._split, self._own, self._n_stages = split, own, n_stages
        self._axis = split.axis("pipeline")
        self._context = split.axis("context") if split.settings.context > 1 else None
        self._schedule: Any = None
        self._shape: tuple[Any, ...] = ()
        self._objective: Any = None
        self._micros: Sequence[Any] = ()
        self._divisor = 1.0
        self._autocast: Context | None = None
        self._sums: dict[str, Tensor] = {}

    def __call__(
        self, model: Model, objective: Any, micros: Sequence[Any], divisor: float, autocast: Context
    ) -> dict[str, Tensor]:
        """See `Backward`. Raises ConfigError where there are too few micros for the ranks."""
        self._objective, self._micros, self._divisor, self._autocast = objective, micros, divisor, autocast
        self._sums = {}
        self._set_up()
        numbers = torch.arange(len(micros))
        first, last = 0 in self._own, self._n_stages - 1 in self._own
        given = (torch.cat([micro.tokens for micro in micros]),) if first else ()
        self._schedule.step(*given, target=numbers if last else None, number=numbers, return_outputs=False)
        return self._told(last)

    def _told(self, last: bool) -> dict[str, Tensor]:
        """What the last stage has summed up, on every rank."""
        group = self._axis.get_group()
        holder = 0 if self._split.settings.schedule == "zero-bubble" else self._axis.size() - 1
        told: list[Any] = [{name: value.cpu() for name, value in self._sums.items()} if last else None]
        broadcast_object_list(told, src=get_global_rank(group, holder), group=group)
        sums: dict[str, Tensor] = told[0]
        return sums

    def _set_up(self) -> None:
        """A schedule for as many micros of this shape as there are now."""
        n, (B, T) = len(self._micros), self._micros[0].tokens.shape
        if n < self._n_stages or n % self._axis.size():
            raise ConfigError(
                f"parallel.pipeline={self._axis.size()}: a step of {n} micros is not a multiple of the ranks that "
                f"fills {self._n_stages} stages; set micro_rows so that there are more"
            )
        assert self._autocast is not None
        device, weight = self._micros[0].tokens.device, next(self._split.model.parameters())
        with self._autocast():
            dtype = compute_dtype(torch.empty(0, dtype=weight.dtype, device=device))
        shape = (n, B, T, dtype)
        if shape == self._shape:
            return
        stages: list[Any] = []
        for part, stage in zip(self._split.parts, self._own, strict=True):
            if not self._shape:
                part.forward = partial(self._forward, part.forward, stage)  # type: ignore[method-assign]
            stages.append(self._stage(part, stage, (B, T), dtype, device))
        self._shape = shape
        made: dict[str, Any] = {"n_microbatches": n, "loss_fn": self._loss, "scale_grads": False}
        match self._split.settings.schedule:
            case "1f1b":
                self._schedule = Schedule1F1B(stages[0], **made)
            case "interleaved":
                self._schedule = ScheduleInterleaved1F1B(stages, **made)
            case "zero-bubble":
                self._schedule = ScheduleZBVZeroBubble(stages, **made)

    def _stage(
        self, part: Model, stage: int, rows: tuple[int, int], dtype: torch.dtype, device: torch.device
    ) -> PipelineStage:
        """A stage that knows the shapes of what comes in and goes out."""
        B, T = rows
        here = T // self._split.mesh.size("context")
        last = stage == self._n_stages - 1
        leaving = here // self._split.mesh.size("tensor") if last and self._split.sequence else here
        hidden = partial(torch.empty, device="meta", dtype=dtype)
        coming = torch.empty(B, T, device="meta", dtype=torch.int64) if stage == 0 else hidden(B, here, part.config.dim)
        return PipelineStage(
            part,
            stage,
            self._n_stages,
            device,
            input_args=(coming.requires_grad_(stage > 0),),
            output_args=(hidden(B, leaving, part.config.dim).requires_grad_(),),
            group=self._axis.get_group(),
        )

    def _forward(self, inner: Callable[..., Tensor], stage: int, x: Tensor, number: Tensor) -> Tensor:
        """One stage's layers on one micro, whose tokens (first stage) or hidden states are `x`."""
        micro, assured = self._micros[int(number)], self._autocast
        positions = micro.positions
        if self._context is not None:
            part, positions = row_part(self._context, micro.tokens, positions)
            x = x[:, part] if stage == 0 else x
        assert assured is not None
        with assured():
            out = inner(x, positions=positions, segments=micro.segments)
        if self._split.sequence and stage < self._n_stages - 1:
            out = gathered(out, self._split.axis("tensor"), 1, alike=True)
        return out.clone() if out._is_view() else out  # zero bubble detaches it in place, which no view allows

    def _loss(self, hidden: Tensor, number: Tensor) -> Tensor:
        """The objective on what the last stage says of one micro, over the divisor."""
        micro, model = self._micros[int(number)], self._split.parts[-1]
        part = slice(None)
        if self._context is not None:
            part, _ = row_part(self._context, micro.tokens, None)
        assert self._autocast is not None
        with self._autocast():
            scores = model.score_hidden(
                hidden,
                micro.targets[:, part],
                segments=micro.segments,
                weights=micro.weights[:, part],
                ask=self._objective.asks,
            )
        if self._context is not None:
            scores = whole_rows(self._context, scores)
        total, metrics = self._objective(scores, micro)
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        return total / self._divisor

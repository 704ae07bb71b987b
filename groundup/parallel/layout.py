"""From a [parallel] section and the number of ranks to a mesh, and from a model to one that is split over it."""

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from groundup.errors import ConfigError, UnsupportedError
from groundup.mesh import Mesh
from groundup.models._base import Model
from groundup.parallel._base import ORDER, Backward, Split
from groundup.parallel.settings import Parallel
from groundup.parallel.tensor import can_share_tokens


@dataclass(frozen=True)
class Spread:
    """What the trainer is given."""

    model: Model
    mesh: Mesh
    backward: Backward


def spread(model: Model, settings: Parallel, mesh: Mesh, backward: Backward) -> Spread:
    """Split `model`, which is whole and the same on every rank, over the ranks of `mesh`; it is changed in place.

    `backward` is that of one process. Raises ConfigError where the sizes are not those of the ranks, or do not divide
    the model's, and UnsupportedError where the model cannot be split so.
    """
    sequence = _sequence(model, settings)
    arranged = mesh.arrange(sizes(settings, mesh.world), sequence)
    split = Split(model, arranged, settings, backward, model.roles(), sequence, parts=[model])
    for name in ORDER:
        if _wanted(name, settings, arranged):
            importlib.import_module(f"groundup.parallel.{name}").apply(split)
    return Spread(split.model, arranged, _Finished(split.backward, split.after) if split.after else split.backward)


def sizes(settings: Parallel, world: int) -> dict[str, int]:
    """How many ranks there are along each axis of the mesh. Raises ConfigError where `world` is not their product."""
    others = settings.tensor * settings.pipeline * settings.context
    data = settings.data or max(1, world // others)
    if data * others != world:
        named = {"data": data, "tensor": settings.tensor, "pipeline": settings.pipeline, "context": settings.context}
        product = " x ".join(f"{name}={size}" for name, size in named.items() if size > 1) or "data=1"
        raise ConfigError(
            f"parallel: {product} is {data * others} ranks, and there are {world}; start it with "
            f"`torchrun --nproc-per-node {data * others} -m groundup run ...`, or change the sizes"
        )
    for name, size, of in (
        ("expert", settings.expert, data),
        ("replicate", settings.replicate, data // settings.expert),
    ):
        if of % size:
            raise ConfigError(f"parallel.{name}={size} does not divide {of} data ranks; choose a divisor")
    each = data // settings.expert
    copies = each if settings.zero == 0 else settings.replicate
    return {
        "pipeline": settings.pipeline,
        "replicate": copies,
        "shard": each // copies,
        "expert": settings.expert,
        "context": settings.context,
        "tensor": settings.tensor,
    }


def cut(rows: int, micro_rows: int | None, ranks: int, settings: Parallel) -> tuple[int, int]:
    """Rows of a micro and micros of a step, for each of `ranks` that share the `rows` of a step.

    A micro is `micro_rows` or, where these are None or more than a rank has, all that it has; a pipeline has as many
    micros as fill it. Raises ConfigError where they do not divide.
    """
    if rows % ranks:
        raise ConfigError(
            f"parallel: {ranks} data ranks do not divide the {rows} rows of a step; set rows to a multiple"
        )
    each = rows // ranks
    micro = min(micro_rows or each, each)
    if settings.pipeline > 1:
        stages = settings.pipeline * (1 if settings.schedule == "1f1b" else 2)
        fitting = [n for n in range(stages, each + 1, settings.pipeline) if each % n == 0 and each // n <= micro]
        if not fitting:
            raise ConfigError(
                f"parallel.pipeline={settings.pipeline}: the {each} rows of a rank cannot be cut into {stages} micros, "
                f"or a multiple of {settings.pipeline} above; set rows to a multiple of {stages * ranks}"
            )
        return each // fitting[0], fitting[0]
    if each % micro:
        raise ConfigError(f"micro_rows={micro} do not divide the {each} rows of a rank; choose a divisor")
    return micro, each // micro


def _sequence(model: Model, settings: Parallel) -> bool:
    """Whether tensor ranks share the tokens between matrices. Raises UnsupportedError where that is asked in vain."""
    if settings.tensor == 1 or settings.sequence is False:
        return False
    can = can_share_tokens(model)
    if settings.sequence and not can:
        raise UnsupportedError(
            f"parallel.sequence: the attention of {type(model).__name__} is not split; leave it out, or set it to false"
        )
    return can


def _wanted(name: str, settings: Parallel, mesh: Mesh) -> bool:
    if name == "data":
        return mesh.size("replicate", "shard", "expert", "context") > 1
    return getattr(settings, name) not in (1, "none", False)


class _Finished:
    """Another backward, and then what is to be done when the gradients of all micros are there."""

    def __init__(self, inner: Backward, after: Sequence[Callable[[], None]]) -> None:
        self._inner, self._after = inner, after

    def __call__(
        self,
        model: Model,
        objective: Any,
        micros: Sequence[Any],
        divisor: float,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> dict[str, Tensor]:
        """See `Backward`."""
        sums = self._inner(model, objective, micros, divisor, autocast)
        for finish in self._after:
            finish()
        return sums

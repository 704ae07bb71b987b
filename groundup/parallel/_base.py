"""What all ways of splitting share: what is passed from one to the next, and the moves of tensors between ranks.

Each file of this folder has `apply(split)`, which changes the model in place. They come in the order of `ORDER`, the
outermost cut first: layers are dealt out before matrices are cut, and what is left is wrapped for the rows last.

The moves are PyTorch's own redistributions, with their gradients (DTensor).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard

from groundup.errors import UnsupportedError
from groundup.mesh import Grid, Mesh
from groundup.models._base import Model, Role
from groundup.parallel.settings import Parallel

ORDER = ("pipeline", "tensor", "expert", "context", "recompute", "compile", "data")


class Backward(Protocol):
    """As the trainer's: the gradients of all micros, summed, and the objective's summed metrics."""

    def __call__(
        self,
        model: Model,
        objective: Any,
        micros: Sequence[Any],
        divisor: float,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> dict[str, Tensor]:
        """See `groundup.train.trainer.backward`."""


@dataclass
class Split:
    """A model on its way to being split."""

    model: Model
    """What the trainer holds: on this rank, the parameters of its layers under the names of the whole model."""
    mesh: Mesh
    settings: Parallel
    backward: Backward
    roles: Mapping[str, Role]
    """Of every parameter of the whole model."""
    sequence: bool = False
    """Whether tensor ranks share the tokens between the matrices."""
    parts: list[Model] = field(default_factory=list)
    """The stretches of layers that run on this rank, in order: one, but for some pipelines."""
    after: list[Callable[[], None]] = field(default_factory=list)
    """What is to be done with the gradients when those of all micros are there."""

    def axis(self, *names: str) -> DeviceMesh:
        """PyTorch's grid of one axis, or of several."""
        assert isinstance(self.mesh, Grid) and self.mesh.devices is not None, "there is one process"
        return self.mesh.devices[names if len(names) > 1 else names[0]]


def blocks(model: nn.Module) -> nn.ModuleList:
    """The list of a model's layers. Raises UnsupportedError where it has none."""
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            return child
    raise UnsupportedError(f"parallel: {type(model).__name__} has no list of layers; train it on one process")


def kind_of(name: str, shards: Mapping[str, str]) -> str | None:
    """What `Model.shards` says of a module or parameter of this name."""
    return next((kind for pattern, kind in shards.items() if fnmatchcase(name, pattern)), None)


def gathered(x: Tensor, axis: DeviceMesh, dim: int, alike: bool = False) -> Tensor:
    """The parts that the ranks of `axis` hold, put together along `dim`, on each of them.

    Backward the gradients of all ranks are summed and each gets its part; with `alike` they are all the same already
    (each rank works out the same loss), and it takes its part of its own.
    """
    grad = [Replicate() if alike else Partial()]
    return _local(
        DTensor.from_local(x, axis, [Shard(dim)], run_check=False).redistribute(placements=[Replicate()]), grad
    )


def turned(x: Tensor, axis: DeviceMesh, whole: int, split: int) -> Tensor:
    """From a part along the dim `whole` to a part along `split`: an all-to-all, and another one backward."""
    return _local(DTensor.from_local(x, axis, [Shard(whole)], run_check=False).redistribute(placements=[Shard(split)]))


def summed(x: Tensor, axis: DeviceMesh) -> Tensor:
    """The sum over `axis`, on each rank; backward each takes the gradient as it is: all work out the same loss."""
    return _local(DTensor.from_local(x, axis, [Partial()], run_check=False).redistribute(placements=[Replicate()]))


def fanned(x: Tensor, axis: DeviceMesh) -> Tensor:
    """One tensor on all ranks, each of which uses it for a part of the result: backward the gradients are summed."""
    return _local(DTensor.from_local(x, axis, [Replicate()], run_check=False), [Partial()])


def _local(x: DTensor, grad: Sequence[Placement] | None = None) -> Tensor:
    return x.to_local(grad_placements=grad)

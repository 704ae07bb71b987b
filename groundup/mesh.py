"""Ranks, axes and collectives; the identity when the world is one process.

The only room-level file that may import `torch.distributed`. A model never sees a mesh; the trainer sees sums.

The axes, outermost first (ranks that talk most are neighbours, so they share a host):

    pipeline    ranks hold different layers
    replicate   ranks hold different rows and the same weights
    shard       ranks hold different rows and different parts of the weights
    expert      as shard; and of the experts of a layer each rank holds some
    context     ranks hold different tokens of the same rows
    tensor      ranks hold different parts of each matrix, and work on the same tokens
"""

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from groundup.stall import Stall

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.tensor import DTensor

T = TypeVar("T")

AXES = ("pipeline", "replicate", "shard", "expert", "context", "tensor")
DATA_AXES = ("replicate", "shard", "expert")
"""Along these, ranks hold different rows."""

MEET_SECONDS = 180.0
"""How long ranks that have started may take to find each other."""
LISTENS, LISTEN_SECONDS = 20, 0.02
"""A rank that is not let in looks up this often, and then looks whether the place has changed."""

PATIENCE_DAYS = 7
"""How long ranks wait for the first one while it works alone (on data, on the evaluation)."""


@dataclass(frozen=True)
class Mesh:
    """A grid of processes. One process is a grid of one, where every collective is the identity."""

    rank: int = 0
    world: int = 1
    data_axes: tuple[str, ...] = ()
    """Along these, ranks hold different rows."""
    token_axes: tuple[str, ...] = ()
    """Along these, ranks work on different tokens where no matrix is split: of other rows, or of the same ones."""
    host: int = 1
    """Ranks on one machine."""

    @property
    def first(self) -> bool:
        """Is this the rank that writes what all have made?"""
        return self.rank == 0

    @property
    def stream(self) -> int:
        """The random numbers that a model draws on this rank: ranks that must draw alike have the same."""
        return self.place(*(axis for axis in AXES if axis != "tensor"))

    def size(self, *axes: str) -> int:
        """How many ranks there are along `axes` together."""
        return 1

    def place(self, *axes: str) -> int:
        """Which of `size(*axes)` this rank is."""
        return 0

    def sum(self, value: T, axes: Sequence[str]) -> T:
        """The sum of a number or tensor over the ranks along `axes`; the value itself when there are no such ranks."""
        return value

    def agree(self, value: T) -> T:
        """The first rank's value, on all: for what depends on the clock or the machine. A plain value."""
        return value

    def any(self, flag: bool) -> bool:
        """Is it so on any rank?"""
        return flag

    def wait(self) -> None:
        """Until all ranks are here, however long one of them works alone."""

    def norm(self, gradients: "Sequence[Tensor]") -> "Tensor":
        """The 2-norm of all gradients of the model, each part of it counted once. A scalar."""
        import torch

        return torch.nn.utils.get_total_norm(gradients)

    def collect(self, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        """All parts of a model's tensors, by name: whole, in this machine's memory, on the first rank; elsewhere none.

        On one process they are as they came. Ranks of one pipeline stage must have the same names in the same order.
        """
        return dict(tensors)

    def arrange(self, sizes: Mapping[str, int], sequence: bool = False) -> "Mesh":
        """The same ranks along axes of these sizes, whose product is the world; an axis that is not named has one.

        With `sequence`, tensor ranks share the tokens between the matrices.
        """
        return self

    def close(self) -> None:
        """Leave the other ranks. To be called once, at the end."""

    @staticmethod
    def from_environment() -> "Mesh":
        """The ranks that torchrun started, not yet arranged; one process where it did not start this one."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        return Mesh() if world == 1 else _join(int(os.environ["RANK"]), world, int(os.environ["LOCAL_RANK"]))


@dataclass(frozen=True)
class Grid(Mesh):
    """Several processes."""

    patient: "ProcessGroup | None" = field(default=None, repr=False, compare=False)
    """All ranks, with `PATIENCE_DAYS`: what waits for the first rank, and numbers that live outside the accelerator."""
    devices: "DeviceMesh | None" = field(default=None, repr=False, compare=False)
    """PyTorch's grid of the axes; None until the ranks are arranged."""

    def size(self, *axes: str) -> int:
        """See `Mesh.size`."""
        return math.prod(self._along(axis).size() for axis in axes if self._has(axis))

    def place(self, *axes: str) -> int:
        """See `Mesh.place`. The last axis counts fastest."""
        index = 0
        for axis in axes:
            here = self._along(axis).get_local_rank() if self._has(axis) else 0
            index = index * self.size(axis) + here
        return index

    def sum(self, value: T, axes: Sequence[str]) -> T:
        """See `Mesh.sum`."""
        import torch
        from torch import distributed

        total = value.clone() if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)
        for axis in axes:
            if self.size(axis) > 1:
                distributed.all_reduce(total, group=self._along(axis).get_group())
        return cast(T, total if isinstance(value, torch.Tensor) else type(value)(total.item()))  # type: ignore[call-arg]

    def agree(self, value: T) -> T:
        """See `Mesh.agree`."""
        from torch import distributed

        told = [value]
        distributed.broadcast_object_list(told, src=0, group=self.patient)
        return told[0]

    def any(self, flag: bool) -> bool:
        """See `Mesh.any`."""
        import torch
        from torch import distributed

        found = torch.tensor(int(flag))
        distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self.patient)
        return bool(found)

    def wait(self) -> None:
        """See `Mesh.wait`."""
        from torch import distributed

        distributed.barrier(group=self.patient)

    def norm(self, gradients: "Sequence[Tensor]") -> "Tensor":
        """See `Mesh.norm`. Every rank counts its own parts, each over the number of ranks that hold the same."""
        import torch
        from torch import distributed

        holders = self.world // self.size("pipeline")
        total = torch.zeros((), dtype=torch.float64)
        if gradients:
            norms = torch.stack(torch._foreach_norm([local(gradient) for gradient in gradients]))
            shares = torch.tensor([parts(gradient) / holders for gradient in gradients], dtype=torch.float64)
            total = (norms.double().square().cpu() * shares).sum()
        distributed.all_reduce(total, group=self.patient)
        return total.sqrt()

    def collect(self, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        """See `Mesh.collect`."""
        from torch import distributed

        own: dict[str, Tensor] = {}
        leads = self.place(*AXES[1:]) == 0
        for name, value in tensors.items():
            made = whole(value.detach())
            if leads:
                own[name] = made.cpu()
        if not leads or self.size("pipeline") == 1:
            return own
        stages: list[Any] | None = [None] * self.size("pipeline") if self.first else None
        distributed.gather_object(own, stages, dst=0, group=self._along("pipeline").get_group())
        return {name: value for stage in stages or () for name, value in stage.items()}

    def arrange(self, sizes: Mapping[str, int], sequence: bool = False) -> "Grid":
        """See `Mesh.arrange`."""
        import torch
        from torch.distributed.device_mesh import init_device_mesh

        names = tuple(axis for axis in AXES if sizes.get(axis, 1) > 1 or axis == "shard")
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        with _meeting():
            devices = init_device_mesh(kind, tuple(sizes.get(axis, 1) for axis in names), mesh_dim_names=names)
        tokens = (*DATA_AXES, "context", *(("tensor",) if sequence else ()))
        rows, tokens = (tuple(axis for axis in axes if sizes.get(axis, 1) > 1) for axes in (DATA_AXES, tokens))
        return Grid(self.rank, self.world, rows, tokens, self.host, self.patient, devices)

    def close(self) -> None:
        """See `Mesh.close`."""
        from torch import distributed

        distributed.destroy_process_group()

    def _has(self, axis: str) -> bool:
        """Axes of one rank are left out, but for `shard`, along which there is always something to share."""
        return self.devices is not None and axis in (self.devices.mesh_dim_names or ())

    def _along(self, axis: str) -> "DeviceMesh":
        assert self.devices is not None, "arrange the ranks first"
        return self.devices[axis]


def _join(rank: int, world: int, local_rank: int) -> Grid:
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _meeting():
        distributed.init_process_group(backend, store=_own_store(rank, world), rank=rank, world_size=world)
        patient = distributed.new_group(backend="gloo", timeout=timedelta(days=PATIENCE_DAYS))
    return Grid(rank, world, host=int(os.environ.get("LOCAL_WORLD_SIZE", world)), patient=patient)


def _own_store(rank: int, world: int) -> "PrefixStore":
    """The ranks' common memory, for the ranks of this start alone.

    torchrun keeps one store over all restarts and nobody clears it, so a rank may read where another one listened in
    its former life, and wait for it for ever (pytorch/pytorch#135712). So the first rank names a place of its own and
    lets in who knocks there; nobody of a former life answers, since each knock is new.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store = next(rendezvous("env://", rank, world))[0]
    mine = uuid4().hex
    if rank == 0:
        store.set("groundup/place", mine)
        for other in range(1, world):
            knock = store.get(f"groundup/{mine}/{other}").decode()
            store.set(f"groundup/{mine}/{knock}", "come in")
        return PrefixStore(mine, store)
    while True:
        place = store.get("groundup/place").decode()
        store.set(f"groundup/{place}/{rank}", mine)
        for _ in range(LISTENS):
            if store.check([f"groundup/{place}/{mine}"]):
                return PrefixStore(place, store)
            time.sleep(LISTEN_SECONDS)


def _meeting() -> Stall:
    """Ends this process, to be started again, where the other ranks are not found in time."""
    return Stall(MEET_SECONDS, lambda text: print(f"the ranks do not find each other: {text}", file=sys.stderr))


def local(value: "Tensor") -> "Tensor":
    """What this rank holds of a tensor that may be spread over several: the very memory, to be read and written."""
    return cast("DTensor", value).to_local() if hasattr(value, "to_local") else value


def parts(value: "Tensor") -> int:
    """Into how many different parts a tensor is split over the ranks; 1 where each holds all of it."""
    if not hasattr(value, "placements"):
        return 1
    placed = cast("DTensor", value)
    return math.prod(
        size
        for size, placement in zip(placed.device_mesh.shape, placed.placements, strict=True)
        if hasattr(placement, "dim")
    )


def whole(value: "Tensor") -> "Tensor":
    """The whole of a tensor that may be spread over several ranks, on each of them: all must ask for it together."""
    return cast("DTensor", value).full_tensor() if hasattr(value, "full_tensor") else value


def spread_like(value: "Tensor", like: "Tensor") -> "Tensor":
    """A copy of a tensor, spread over the ranks as `like` is, with its dtype and device.

    A whole one must be the same on all ranks; nothing is sent then.
    """
    value = value.detach().to(device=like.device, dtype=like.dtype, copy=True)
    if not hasattr(like, "placements"):
        return whole(value)
    from torch.distributed.tensor import distribute_tensor

    placed = cast("DTensor", like)
    if hasattr(value, "placements"):
        return cast("DTensor", value).redistribute(placed.device_mesh, placed.placements)
    return distribute_tensor(value, placed.device_mesh, placed.placements, src_data_rank=None)


def by_whole(function: "Callable[[Tensor], Tensor]", batch: "Tensor", like: "Tensor") -> "Tensor":
    """`function` of a batch of tensors (N, ...) of which this rank holds its part; its part of the N results.

    `like` is one of those that were stacked, before `local`. Every rank is given some of the N whole, so that the work
    is shared as well as the memory. The function must keep the shape, and treat each of the N by itself.
    """
    if not hasattr(like, "placements"):
        return function(batch)
    import torch
    from torch.distributed.tensor import DTensor, Shard

    placed = cast("DTensor", like)
    grid, apart = placed.device_mesh, [Shard(0)] * placed.device_mesh.ndim
    held = [_moved(placement) for placement in placed.placements]
    shape = torch.Size((len(batch), *like.shape))
    stride = torch.empty(shape, device="meta").stride()

    def spread(value: "Tensor", placements: Iterable[Any]) -> DTensor:
        return DTensor.from_local(value, grid, list(placements), run_check=False, shape=shape, stride=stride)

    mine = spread(batch, held).redistribute(placements=apart).to_local()
    made = function(mine) if len(mine) else mine
    return spread(made.contiguous(), apart).redistribute(placements=held).to_local()


def _moved(placement: Any) -> Any:
    """The placement of a stack of tensors that are placed so."""
    if not hasattr(placement, "dim"):
        return placement
    turns = {"split_factor": placement.split_factor} if hasattr(placement, "split_factor") else {}
    return type(placement)(placement.dim + 1, **turns)

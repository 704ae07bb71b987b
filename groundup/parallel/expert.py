"""Expert parallelism (GShard: Lepikhin et al. 2020, arXiv 2006.16668): each rank holds some experts of every layer.

The ranks of this axis have rows of their own, as data ranks do. A token goes to the rank that holds its expert and
comes back: an all-to-all each way, and two more in the backward pass. No token is dropped, so the sizes are told first.
"""

import torch
from torch import Tensor, nn
from torch.distributed import all_to_all_single
from torch.distributed._functional_collectives import all_to_all_single_autograd
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.moe import Experts, perceptrons
from groundup.mesh import local
from groundup.parallel._base import Split


def apply(split: Split) -> None:
    """Deal out the experts of every layer that has them.

    Raises UnsupportedError for a model without experts, ConfigError where their number does not divide.
    """
    axis, n_layers = split.axis("expert"), 0
    for part in split.parts:
        for module in part.modules():
            if isinstance(module, Experts):
                deal(module, axis)
                n_layers += 1
    if n_layers == 0 and split.mesh.size("pipeline") == 1:
        raise UnsupportedError(
            f"parallel.expert: {type(split.model).__name__} has no experts; leave it out, or use model=moe"
        )


def deal(experts: Experts, axis: DeviceMesh) -> None:
    """Keep this rank's experts, and send the tokens of others where theirs are. Raises ConfigError."""
    n = axis.size()
    if experts.number % n:
        raise ConfigError(f"parallel.expert={n} does not divide model.experts={experts.number}; choose a divisor")
    for name, weight in list(experts.named_parameters()):
        own = weight.detach().chunk(n)[axis.get_local_rank()].clone()
        setattr(experts, name, nn.Parameter(DTensor.from_local(own, axis, [Shard(0)], run_check=False)))
    experts.read = Exchange(experts, axis)  # type: ignore[method-assign]


class Exchange:
    """Reads rows that are sorted by expert, each on the rank of its expert."""

    def __init__(self, experts: Experts, axis: DeviceMesh) -> None:
        self._experts, self._axis = (experts,), axis  # in a tuple, lest a module that holds this holds itself

    def __call__(self, rows: Tensor, counts: Tensor) -> Tensor:
        """As `Experts.read`: `rows` `(n, D)` of this rank, `counts` of all experts."""
        (experts,) = self._experts
        n, group = self._axis.size(), self._axis.get_group()
        arriving = torch.empty_like(counts)
        all_to_all_single(arriving, counts, group=group)
        arriving = arriving.view(n, -1)  # (rank they come from, expert of this rank)
        sent, taken = counts.view(n, -1).sum(1).tolist(), arriving.sum(1).tolist()
        numbers = torch.arange(arriving.shape[1], device=rows.device).repeat(n)
        order = numbers.repeat_interleave(arriving.flatten()).argsort(stable=True)
        here = all_to_all_single_autograd(rows, taken, sent, group).index_select(0, order)
        weights = [local(weight) for weight in (experts.gate_proj, experts.up_proj, experts.down_proj)]
        said = perceptrons(here, weights, arriving.sum(0)).index_select(0, order.argsort())
        return all_to_all_single_autograd(said, sent, taken, group)

"""Run by torchrun: bytes that each rank holds of weights, gradients and optimizer state, beside those of one process.

    torchrun ... held.py OPTIMIZER

Counted is the memory behind the tensors, at the optimizer's second step, when all of it is there. The first rank prints
a line of JSON: bytes by kind, of the whole and of each rank.
"""

import json
import sys

import torch
from torch import Tensor, distributed

from groundup.config import Folder
from groundup.mesh import Mesh, local
from groundup.parallel.layout import spread
from groundup.parallel.settings import Parallel
from groundup.train.feeds.conversations import Conversations
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.schedule import Wsd
from groundup.train.trainer import Trainer, backward
from parallel.cases import V
from train import toy

KINDS = ("weights", "gradients", "optimizer")
ROWS = 8


def held(settings: Parallel | None, mesh: Mesh, name: str) -> list[int]:
    """Bytes of each kind on this rank, in a step."""
    config = Folder("models").read({"name": "qwen3", "layers": 4, "dim": 256, "heads": 4, "length": toy.T})
    model = config.build(V, seed=3)  # type: ignore[attr-defined]
    roles, ranks, way = model.roles(), 1, backward
    if settings is not None:
        laid = spread(model, settings, mesh, backward)
        model, mesh, way, ranks = laid.model, laid.mesh, laid.backward, mesh.world
    optimizer = Folder("optim").read({"name": name}).build(model, roles)  # type: ignore[attr-defined]
    feed = Conversations(toy.rows(64), ROWS // ranks, 0, rank=mesh.place(*mesh.data_axes), world=ranks)
    trainer = Trainer(model, feed, Likelihood(), optimizer, Wsd(2, 0, 0.5), mesh=mesh, backward=way)
    found, step = [], optimizer.step

    def noting(scale: float, apply: bool = True) -> None:
        weights = [weight for _, weight in model.named_parameters()]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        assert len(gradients) == len(weights)
        kinds = (weights, gradients, list(optimizer.state_dict().values()))
        found[:] = [behind(tensors) for tensors in kinds]
        step(scale, apply)

    optimizer.step = noting
    for _ in trainer.run():
        pass
    return found


def behind(tensors: list[Tensor]) -> int:
    """Bytes of the memory that tensors stand in, each piece once."""
    pieces = {
        local(tensor).untyped_storage().data_ptr(): local(tensor).untyped_storage().nbytes() for tensor in tensors
    }
    return sum(pieces.values())


def main(name: str) -> None:
    """See the module."""
    torch.set_num_threads(1)
    mesh = Mesh.from_environment()
    whole = held(None, Mesh(), name)
    own: list[list[int]] = [[] for _ in range(mesh.world)]
    distributed.all_gather_object(own, held(Parallel(zero=3), mesh, name))
    if mesh.first:
        kinds = {kind: {"whole": whole[i], "ranks": [each[i] for each in own]} for i, kind in enumerate(KINDS)}
        print(json.dumps(kinds), flush=True)
    mesh.close()


if __name__ == "__main__":
    main(sys.argv[1])

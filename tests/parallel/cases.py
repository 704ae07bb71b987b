"""Run by torchrun: one small model, split in every way that this number of ranks allows, beside itself on one process.

    torchrun ... cases.py DTYPE STEPS PATTERN ...

The first rank prints a line of JSON for each case whose name a pattern matches: LAYOUT/OPTIMIZER/MODEL, the largest
relative distance of a gradient (by tensor norm) and of a loss over all steps, and in the first step alone. DTYPE is
that of everything; with bfloat16 weights stay in float32, as in a run, and `spread` is how far two seeds' losses
are apart.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, distributed

from groundup.config import Folder
from groundup.mesh import Mesh, whole
from groundup.models._base import Model
from groundup.optim._base import OptimizerConfig
from groundup.parallel.layout import spread
from groundup.parallel.settings import Parallel
from groundup.train.feeds.conversations import Conversations
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.precision import Precision
from groundup.train.schedule import Wsd
from groundup.train.trainer import Trainer, backward
from train import toy

V, ROWS, STEPS = 42, 16, 20
SHAPE: dict[str, Any] = {"layers": 4, "dim": 32, "heads": 4, "length": toy.T}
MODELS: dict[str, dict[str, Any]] = {
    "qwen3": {**SHAPE, "kv_heads": 2, "residual_init": "scaled"},
    "llama": {**SHAPE, "residual_init": "scaled"},
    "gpt2": {**SHAPE, "tied": False},
    "tied": {**SHAPE, "name": "gpt2"},
    "moe": {**SHAPE, "residual_init": "scaled", "balance": 0.02},
}
OPTIMIZERS = ("adamw", "muon")

LAYOUTS: dict[int, dict[str, dict[str, Any]]] = {
    2: {
        "data": {"zero": 0},
        "zero1": {"zero": 1},
        "zero2": {"zero": 2},
        "zero3": {"zero": 3},
        "tensor": {"tensor": 2},
        "tensor-plain": {"tensor": 2, "sequence": False},
        "pipeline": {"pipeline": 2},
        "interleaved": {"pipeline": 2, "schedule": "interleaved"},
        "zero-bubble": {"pipeline": 2, "schedule": "zero-bubble"},
        "context": {"context": 2},
        "expert": {"expert": 2},
    },
    4: {
        "data": {"zero": 0},
        "zero3": {"zero": 3},
        "hybrid": {"zero": 3, "replicate": 2},
        "tensor": {"tensor": 4},
        "pipeline": {"pipeline": 4},
        "context": {"context": 4},
        "data-tensor": {"tensor": 2, "zero": 3},
        "data-pipeline": {"pipeline": 2},
        "data-context": {"context": 2, "zero": 0},
        "tensor-pipeline": {"tensor": 2, "pipeline": 2},
        "tensor-context": {"tensor": 2, "context": 2},
        "pipeline-context": {"pipeline": 2, "context": 2},
        "expert": {"expert": 4, "zero": 0},
        "data-expert": {"expert": 2, "zero": 3},
    },
    8: {
        "zero3": {"zero": 3},
        "hybrid-tensor": {"tensor": 2, "zero": 2, "replicate": 2},
        "data-tensor-pipeline": {"tensor": 2, "pipeline": 2},
        "data-tensor-zero-bubble": {"tensor": 2, "pipeline": 2, "schedule": "zero-bubble", "zero": 0},
        "data-context": {"context": 2, "zero": 3},
        "data-context-tensor": {"context": 2, "tensor": 2},
        "data-expert-tensor": {"expert": 2, "tensor": 2},
        "expert-pipeline": {"expert": 4, "pipeline": 2},
    },
}

MORE: dict[int, list[tuple[str, str]]] = {
    2: [
        ("zero3", "tied"),
        ("tensor", "gpt2"),
        ("tensor", "tied"),
        ("pipeline", "gpt2"),
        ("context", "gpt2"),
        ("zero3", "moe"),
        ("tensor", "moe"),
        ("context", "moe"),
    ],
    4: [("data-tensor", "gpt2"), ("tensor", "llama"), ("data-pipeline", "gpt2")],
    8: [("data-tensor-pipeline", "gpt2")],
}
"""Layouts that other models are held to as well."""


def cases(world: int) -> Iterator[tuple[str, str, str]]:
    """Layout, optimizer, model."""
    for layout, settings in LAYOUTS[world].items():
        model = "moe" if "expert" in settings else "llama" if settings.get("tensor") == 4 else "qwen3"
        yield from ((layout, optimizer, model) for optimizer in OPTIMIZERS)
    yield from ((layout, "muon", model) for layout, model in MORE[world])


def built(name: str, dtype: torch.dtype, seed: int = 3) -> Model:
    """A model of which nothing is zero at first."""
    fields = {"name": name, **MODELS[name]}
    config = Folder("models").read(fields)
    return config.build(V, seed=seed).to(torch.float32 if dtype == torch.bfloat16 else dtype)  # type: ignore


def optimizer(name: str, dtype: torch.dtype) -> OptimizerConfig:
    """Settings of which none loses digits."""
    exact = "fp64" if dtype == torch.float64 else "fp32"
    return Folder("optim").read({"name": name, **({"iterate_in": exact} if name == "muon" else {})})  # type: ignore


def run(
    model: Model,
    optim: OptimizerConfig,
    mesh: Mesh,
    settings: Parallel | None,
    steps: int = STEPS,
    precision: Precision | None = None,
) -> tuple[list[float], list[dict[str, Tensor]]]:
    """The losses and the gradients, by step."""
    roles, ranks, way = model.roles(), 1, backward
    if settings is not None:
        laid = spread(model, settings, mesh, backward)
        model, mesh, way = laid.model, laid.mesh, laid.backward
        ranks = mesh.size(*mesh.data_axes)
    each = ROWS // ranks
    micro = each if settings is None else max(1, each // 4)
    feed = Conversations(toy.rows(64), micro, 0, rank=mesh.place(*mesh.data_axes), world=ranks)
    trainer = Trainer(
        model, feed, Likelihood(), optim.build(model, roles), Wsd(steps, 3, 0.5), accumulate=each // micro, mesh=mesh,
        precision=precision, backward=way,
    )  # fmt: skip
    losses, gradients = [], []
    step = trainer.optimizer.step

    def noting(scale: float, apply: bool = True) -> None:
        gradients.append({name: whole(weight.grad).clone() for name, weight in model.named_parameters()})
        step(scale, apply)

    trainer.optimizer.step = noting  # type: ignore[method-assign]
    for log in trainer.run():
        losses.append(float(log.metrics["loss"]))
    return losses, gradients


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest, over tensors, of the norm of the difference over the norm."""
    assert one.keys() <= other.keys(), sorted(one.keys() - other.keys())
    return max(float((value - other[name]).norm() / other[name].norm()) for name, value in one.items())


def main(dtype: torch.dtype, steps: int, patterns: Sequence[str]) -> None:
    """See the module."""
    torch.set_num_threads(1)
    mesh = Mesh.from_environment()
    known: dict[tuple[str, str], Any] = {}
    others: dict[tuple[str, str], list[float]] = {}
    precision = Precision("bf16", torch.device("cpu")) if dtype == torch.bfloat16 else None
    for layout, optim, model in cases(mesh.world):
        name = f"{layout}/{optim}/{model}"
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            continue
        if (optim, model) not in known:
            alone = (optimizer(optim, dtype), Mesh(), None, steps, precision)
            known[optim, model] = run(built(model, dtype), *alone)
            if precision is not None:
                others[optim, model] = run(built(model, dtype, seed=4), *alone)[0]
        losses, gradients = known[optim, model]
        settings = Parallel(**LAYOUTS[mesh.world][layout])
        own_losses, own = run(built(model, dtype), optimizer(optim, dtype), mesh, settings, steps, precision)
        apart = [distance(one, other) for one, other in zip(own, gradients, strict=True)]
        off = [abs(one - other) / other for one, other in zip(own_losses, losses, strict=True)]
        found = torch.tensor([max(apart), apart[0], max(off), off[0]], dtype=torch.float64)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        if mesh.first:
            keys = ("gradients", "first_gradients", "losses", "first_loss")
            row = {"case": name, **dict(zip(keys, found.tolist(), strict=True))}
            if other := others.get((optim, model)):
                row["spread"] = max(abs(one - two) / two for one, two in zip(other, losses, strict=True))
            print(json.dumps(row), flush=True)
    mesh.close()


if __name__ == "__main__":
    main(getattr(torch, sys.argv[1]), int(sys.argv[2]), sys.argv[3:])

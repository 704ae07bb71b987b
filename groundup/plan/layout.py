"""The layout of a model over GPUs that fits and that a simple model of time says is fastest, and why.

Time is compute at `REACHED` of the matmul rate, longer by recompute and by the pipeline's idle ends, and what is sent
over the links: between hosts by the slow one. Gathering weights hides behind compute, other traffic does not. It ranks
layouts; it is no forecast of seconds. (A run's own `parallel=auto` takes the simplest layout that fits where it runs.)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from groundup.errors import ConfigError, UnsupportedError, nearest
from groundup.models._base import Model, ModelConfig
from groundup.parallel.settings import Parallel
from groundup.plan.scale import Layout, dry_run, rank_bytes, require_room, sent_bytes, total
from groundup.recipe import Recipe

REACHED = 0.45
"""Of the datasheet's dense bf16 rate: torchtitan's 8B on 8 H100 reaches 33 to 39 %, Megatron's runs 40 to 55 %."""

AGAIN = {"none": 0.0, "selective": 0.03, "full": 1 / 3}
"""More compute by recompute; selective: Korthikanti et al. 2022 (arXiv 2205.05198), table 4."""

HIDDEN = 0.66
"""Of the compute, what weights and gradients on their way can hide behind."""

USED = 0.9
"""Of a GPU's memory, what a layout may need: the rest is CUDA's context, NCCL's buffers, and holes (a judgement)."""

SIZES = ("data", "tensor", "pipeline", "context", "expert", "replicate", "zero", "recompute")
"""Fields of a [parallel] section that say who shares what."""

POWERS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Cluster:
    """GPUs of one kind, in hosts."""

    gpus: int
    per_host: int = 8
    memory: int = 80_000_000_000
    """Bytes of a GPU."""
    rate: float = 989e12
    """Dense bf16 FLOP/s of a GPU."""
    near: float = 450e9
    """Bytes a second that a GPU sends to others of its host."""
    far: float = 50e9
    """Bytes a second that a GPU sends to other hosts."""


GPUS: Mapping[str, Mapping[str, float]] = {
    "a100": {"memory": 80e9, "rate": 312e12, "near": 300e9, "far": 25e9},
    "h100": {"memory": 80e9, "rate": 989e12, "near": 450e9, "far": 50e9},
    "h200": {"memory": 141e9, "rate": 989e12, "near": 450e9, "far": 50e9},
    "b200": {"memory": 180e9, "rate": 2250e12, "near": 900e9, "far": 50e9},
}
"""NVIDIA's datasheets: HBM, dense bf16, NVLink one way; and a network of 200 or 400 Gb/s for each GPU."""


@dataclass(frozen=True)
class Choice:
    """A layout, what it needs, what it sends, what a step takes, and why it was taken."""

    layout: Layout
    memory: Mapping[str, int]
    sent: Mapping[str, int]
    seconds: float
    why: tuple[str, ...] = ()


def choose(
    config: ModelConfig,
    vocab_size: int,
    cluster: Cluster,
    rows: int,
    optimizer: str = "adamw",
    fixed: Mapping[str, Any] | None = None,
) -> Choice:
    """The fastest layout that fits, for steps of `rows` rows over all ranks; `fixed` fields of `Layout` stay.

    Raises ResourceError, with its bytes, where none fits, and ConfigError where nothing divides.
    """
    with torch.device("meta"):
        model = config.module(vocab_size)
    made = [_weighed(model, layout, cluster, optimizer) for layout in _layouts(model, cluster, rows, dict(fixed or {}))]
    if not made:
        raise ConfigError(
            f"no layout of {cluster.gpus} GPUs divides {config.layers} layers, the heads of model.{config.name} and "
            f"train.rows={rows}; rows that are a multiple of the ranks help"
        )
    fits = [choice for choice in made if total(choice.memory) <= USED * cluster.memory]
    if not fits:
        least = min(made, key=lambda choice: total(choice.memory))
        require_room(least.memory, int(USED * cluster.memory), least.layout)
    best = min(fits, key=lambda choice: (choice.seconds, total(choice.memory)))
    dry_run(config, vocab_size, best.layout)
    return replace(best, why=tuple(_reasons(best, made, cluster)))


def cluster_of(kind: str, gpus: int, per_host: int, gigabytes: float | None) -> Cluster:
    """So many GPUs of a kind. Raises ConfigError for one that is not known."""
    if kind not in GPUS:
        raise ConfigError(f"--gpu {kind}: {nearest(kind, GPUS)} (or give the nearest kind and --gpu-memory GB)")
    made = Cluster(gpus, per_host, **{**GPUS[kind], "memory": int(GPUS[kind]["memory"])})  # type: ignore[arg-type]
    return made if gigabytes is None else replace(made, memory=int(gigabytes * 1e9))


@dataclass(frozen=True)
class Plan:
    """A recipe's pretraining on a cluster."""

    recipe: Recipe
    cluster: Cluster
    choice: Choice
    parameters: int

    def lines(self) -> list[tuple[str, str]]:
        """As a person reads it."""
        choice, cluster = self.choice, self.cluster
        told = [
            ("model", f"{self.recipe.model.name}, {self.parameters / 1e9:.2f} G parameters; every shape fits"),
            ("GPUs", f"{cluster.gpus} of {cluster.memory / 1e9:.0f} GB, {cluster.per_host} in a host"),
            ("layout", choice.layout.named()),
            ("memory of a rank", f"{total(choice.memory) / 1e9:.1f} GB at its peak"),
            *((f"  {name}", f"{size / 1e9:.2f} GB") for name, size in choice.memory.items() if size),
            ("sent in a step", f"{sum(choice.sent.values()) / 1e9:.1f} GB by a rank"),
            *((f"  {axis}", f"{size / 1e9:.2f} GB") for axis, size in choice.sent.items()),
        ]
        told += [("why", line) for line in choice.why]
        return [*told, ("settings", self.settings())]

    def settings(self) -> str:
        """The layout as words of a command."""
        layout, usual = self.choice.layout, Parallel()
        sizes = [
            f"parallel.{name}={getattr(layout, name)}"
            for name in SIZES
            if getattr(layout, name) != getattr(usual, name)
        ]
        return " ".join([*sizes, f"train.micro_rows={layout.rows}"])

    def facts(self) -> dict[str, Any]:
        """As plain values; sizes in bytes."""
        layout = self.choice.layout
        return {
            "parameters": self.parameters,
            "layout": {field.name: getattr(layout, field.name) for field in fields(layout)},
            "memory_bytes": {**self.choice.memory, "total": total(self.choice.memory)},
            "sent_bytes": dict(self.choice.sent),
            "why": list(self.choice.why),
        }


def planned(recipe: Recipe, cluster: Cluster) -> Plan:
    """The layout of a recipe's pretraining on a cluster, its own or the one that is chosen.

    Raises ConfigError or UnsupportedError where it does not divide the model, ResourceError where it does not fit.
    """
    from groundup.parallel.layout import sizes

    config, settings = recipe.model, recipe.parallel
    assert isinstance(config, ModelConfig)
    vocab_size = int(getattr(recipe.tokenizer, "vocab_size", 4096))
    what = (config, vocab_size, cluster, recipe.train.rows, recipe.train.optim.name)
    if settings.auto:
        usual = Parallel()
        told = {name: value for name in SIZES if (value := getattr(settings, name)) != getattr(usual, name)}
        choice = choose(*what, told)
    else:
        own = sizes(settings, cluster.gpus)
        data = own["replicate"] * own["shard"] * own["expert"]
        fixed = {**{name: getattr(settings, name) for name in SIZES}, "data": data, "replicate": own["replicate"]}
        dry_run(config, vocab_size, Layout(**fixed))
        if recipe.train.micro_rows:
            fixed["rows"] = recipe.train.micro_rows
        choice = replace(choose(*what, fixed), why=())
    return Plan(recipe, cluster, choice, config.parameters_count(vocab_size))


def _layouts(model: Model, cluster: Cluster, rows: int, fixed: dict[str, Any]) -> Iterator[Layout]:
    """Every layout that divides the model, the GPUs and the rows."""
    experts = getattr(model.config, "experts", 1)

    def sizes(name: str, choices: tuple[int, ...]) -> tuple[int, ...]:
        return (fixed[name],) if name in fixed else choices

    for tensor in sizes("tensor", tuple(n for n in POWERS if n <= cluster.per_host)):
        for pipeline in sizes("pipeline", tuple(n for n in POWERS[:5] if n <= model.config.layers)):
            for context in sizes("context", (1, 2, 4, 8) if model.config.length >= 16384 else (1,)):
                others = tensor * pipeline * context
                data = fixed.get("data", cluster.gpus // others)
                if data * others != cluster.gpus or rows % data or not _divides(model, tensor, pipeline, context):
                    continue
                for expert in sizes("expert", tuple(n for n in POWERS if experts % n == 0 and data % n == 0)):
                    yield from _ways(Layout(data, tensor, pipeline, context, expert), rows // data, fixed)


def _ways(sizes: Layout, rows: int, fixed: dict[str, Any]) -> Iterator[Layout]:
    """Depths of sharing, recompute, and cuts of a data rank's rows into micros."""
    zeros = (0,) if sizes.data * sizes.context == 1 else (1, 3) if sizes.pipeline == 1 else (1,)
    for zero in (fixed["zero"],) if "zero" in fixed else zeros:
        for recompute in (fixed["recompute"],) if "recompute" in fixed else ("none", "selective", "full"):
            for micro in (fixed["rows"],) if "rows" in fixed else (1, 2, 4, 8, 16):
                if rows % micro or (sizes.pipeline > 1 and rows // micro % sizes.pipeline):
                    continue
                yield replace(
                    sizes, zero=zero, recompute=recompute, rows=micro, accumulate=rows // micro,
                    replicate=fixed.get("replicate", sizes.data if zero == 0 else 1),
                )  # fmt: skip


def _divides(model: Model, tensor: int, pipeline: int, context: int) -> bool:
    from groundup.parallel import context as contexts
    from groundup.parallel import pipeline as pipelines
    from groundup.parallel import tensor as tensors

    try:
        if tensor > 1:
            tensors.check(model, tensor)
        if pipeline > 1:
            pipelines.check(model, pipeline, pipeline)
        if context > 1:
            contexts.check(model, context * tensor)
    except (ConfigError, UnsupportedError):
        return False
    return True


def _weighed(model: Model, layout: Layout, cluster: Cluster, optimizer: str) -> Choice:
    config, sent = model.config, sent_bytes(model, layout)
    tokens = layout.rows * layout.accumulate * config.length * layout.data
    flops = model.flops_per_token(config.length) * tokens / layout.ranks
    bubble = (layout.pipeline - 1) / layout.accumulate
    compute = flops / (REACHED * cluster.rate) * (1 + AGAIN[layout.recompute]) * (1 + bubble)
    spans = {"tensor": layout.tensor, "context": layout.tensor * layout.context, "pipeline": layout.ranks}
    spans |= {"expert": layout.tensor * layout.context * layout.expert, "data": layout.ranks // layout.pipeline}
    took = {
        axis: size / (cluster.near if spans[axis] <= cluster.per_host else cluster.far) for axis, size in sent.items()
    }
    hidden = max(0.0, took.pop("data", 0.0) - HIDDEN * compute)
    return Choice(layout, rank_bytes(model, layout, optimizer), sent, compute + hidden + sum(took.values()))


def _reasons(best: Choice, made: list[Choice], cluster: Cluster) -> Iterator[str]:
    """Beside the chosen size of each axis, the nearest other one: too large, or slower."""
    room = USED * cluster.memory
    yield f"{total(best.memory) / 1e9:.1f} of {room / 1e9:.1f} GB a rank, about {best.seconds:.2f} s a step"
    for axis in ("tensor", "pipeline", "context", "expert", "zero", "recompute"):
        own = getattr(best.layout, axis)
        for other in sorted({getattr(choice.layout, axis) for choice in made} - {own}, key=str):
            same = [choice for choice in made if getattr(choice.layout, axis) == other]
            fits = [choice for choice in same if total(choice.memory) <= room]
            if fits:
                slower = min(choice.seconds for choice in fits) / best.seconds - 1
                yield f"{axis} {own} and not {other}: that is {slower:.0%} slower at best"
            else:
                least = min(total(choice.memory) for choice in same)
                yield f"{axis} {own} and not {other}: that needs {least / 1e9:.1f} GB at least"

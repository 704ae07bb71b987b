"""A model over many GPUs, before there are any: memory of the fullest rank and bytes that it sends in a step.

All by formula, on the shapes of the model alone (built on torch's meta device, where nothing is allocated). The axes
are those of a recipe's [parallel] section. `docs/scale.md` holds the figures against published tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from groundup.errors import ConfigError, ResourceError
from groundup.layers.head import CHUNK, KEEP_BYTES
from groundup.layers.moe import MixtureOfExperts
from groundup.models._base import Model, ModelConfig
from groundup.plan.activations import Recompute, block_bytes
from groundup.plan.memory import STATE, blocks_of

HALF = 2
"""Bytes of a number in bf16, the arithmetic of such runs."""


@dataclass(frozen=True)
class Layout:
    """How many ranks share what. Rows are those of one forward pass on one data rank."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    replicate: int = 1
    zero: int = 3
    recompute: Recompute = "none"
    rows: int = 1
    accumulate: int = 1
    """Micros of a step on one data rank."""

    @property
    def ranks(self) -> int:
        """How many there are."""
        return self.data * self.tensor * self.pipeline * self.context

    def named(self) -> str:
        """As a person writes it."""
        axes = {name: getattr(self, name) for name in ("data", "tensor", "pipeline", "context", "expert")}
        sizes = " x ".join(f"{name} {size}" for name, size in axes.items() if size > 1) or "one rank"
        return f"{sizes}, zero={self.zero}, recompute={self.recompute}, {self.accumulate} x {self.rows} rows"


@dataclass(frozen=True)
class Practice:
    """Where programs differ; the defaults are what this one does."""

    gathered: int = 4
    """Bytes of a weight as it is gathered from the ranks that share it."""
    logit: float = 0.0
    """Bytes that stay of each logit at the peak: none, where the head works in chunks."""
    products: float = 1.0
    """Share of the matrix products' results that selective recompute keeps."""


class Stage(NamedTuple):
    """What one rank of a pipeline holds, in parameters after the tensor cut."""

    blocks: int
    experts: int
    """Of those, the experts': after the expert cut."""
    ends: int
    """Embedding, head, last norm."""
    layers: int


def dry_run(config: ModelConfig, vocab_size: int, layout: Layout) -> Model:
    """The model on the meta device, after a forward and a backward pass of one row: every shape fits.

    Raises ConfigError or UnsupportedError where the layout does not divide the model.
    """
    from groundup.parallel import context, pipeline, tensor

    with torch.device("meta"):
        model = config.module(vocab_size).to(torch.bfloat16)
        tokens = torch.zeros(1, config.length, dtype=torch.int64)
    if layout.tensor > 1:
        tensor.check(model, layout.tensor)
    if layout.context > 1:
        context.check(model, layout.context * layout.tensor)
        if config.length % layout.context:
            raise ConfigError(f"parallel.context={layout.context} does not divide model.length={config.length}")
    if layout.pipeline > 1:
        pipeline.check(model, layout.pipeline, layout.pipeline)
    if layout.expert > 1:
        experts = getattr(config, "experts", None)
        if experts is None or experts % layout.expert:
            raise ConfigError(
                f"parallel.expert={layout.expert} does not divide the model's experts ({experts or 'none'})"
            )
        if layout.data % layout.expert:
            raise ConfigError(f"parallel.expert={layout.expert} does not divide data={layout.data}; choose a divisor")
    model(tokens).sum().backward()
    return model


def stages(model: Model, layout: Layout) -> list[Stage]:
    """What each rank of the pipeline holds."""
    counts, first, last = _counts(model, layout.tensor, layout.expert)
    found, n = [], len(counts)
    for place in range(layout.pipeline):
        own = counts[n * place // layout.pipeline : n * (place + 1) // layout.pipeline]
        ends = (first if place == 0 else 0) + (last if place == layout.pipeline - 1 else 0)
        found.append(Stage(sum(whole for whole, _ in own), sum(experts for _, experts in own), ends, len(own)))
    return found


@lru_cache(maxsize=256)
def _counts(model: Model, tensor: int, expert: int) -> tuple[list[tuple[int, int]], int, int]:
    """Numbers that a rank holds of each block, and of its experts; of what stands before the blocks, and behind them.

    A tied head has no weights of its own; a pipeline refuses it.
    """
    place = {id(weight): number for number, block in enumerate(blocks_of(model)) for weight in block.parameters()}
    blocks = [[0, 0] for _ in blocks_of(model)]
    ends = [0, 0]
    for name, weight in model.named_parameters():
        kind = next((kind for pattern, kind in model.shards.items() if fnmatchcase(_bare(name), pattern)), None)
        size = weight.numel() // {None: 1, "expert": expert}.get(kind, tensor)
        if id(weight) in place:
            blocks[place[id(weight)]][0] += size
            blocks[place[id(weight)]][1] += size if kind == "expert" else 0
        else:
            ends[weight is not model.embedding.weight] += size
    return [(whole, experts) for whole, experts in blocks], ends[0], ends[1]


def _bare(name: str) -> str:
    return name.removesuffix(".weight").removesuffix(".bias")


@lru_cache(maxsize=256)
def _heaviest(model: Model, length: int, recompute: Recompute) -> float:
    """Bytes a token of the block that keeps the most."""
    return max(block_bytes(block, model.config.dim, length, HALF, False, recompute) for block in blocks_of(model))


def rank_bytes(model: Model, layout: Layout, optimizer: str, practice: Practice = Practice()) -> dict[str, int]:
    """Bytes of the fullest rank at the peak of a step, by what they are."""
    places = enumerate(stages(model, layout))
    return max((_place_bytes(model, layout, optimizer, practice, place, stage) for place, stage in places), key=total)


def total(parts: Mapping[str, int]) -> int:
    """The sum of the parts."""
    return sum(parts.values())


def _place_bytes(
    model: Model, layout: Layout, optimizer: str, practice: Practice, place: int, stage: Stage
) -> dict[str, int]:
    """Of the rank at one place of the pipeline."""
    config, V = model.config, model.vocab_size // layout.tensor
    length, D = config.length // layout.context, config.dim
    tokens = layout.rows * length
    shares = layout.data * layout.context // layout.replicate
    of_experts = shares // layout.expert
    plain = stage.blocks - stage.experts + stage.ends
    held = plain / shares + stage.experts / max(1, of_experts)
    whole = stage.blocks + stage.ends
    block = stage.blocks / max(1, stage.layers)
    gathered = whole if layout.zero < 3 or layout.pipeline > 1 else 2 * block + stage.ends
    gradients = whole if layout.zero < 2 or layout.pipeline > 1 else held + block + stage.ends
    each = _heaviest(model, length, layout.recompute)
    if layout.recompute == "selective":
        each = D * HALF + practice.products * (each - D * HALF)
    flying = min(layout.pipeline - place, layout.accumulate)
    ends = place == layout.pipeline - 1
    logits = tokens * V * practice.logit if practice.logit else min(tokens * V * HALF, KEEP_BYTES) + 8 * max(CHUNK, V)
    again = _heaviest(model, length, "none") if layout.recompute != "none" else 0.0
    own = shares == 1
    return {
        "weights": int(4 * held),
        "gradients": int(4 * gradients),
        "optimizer": int(held * STATE.get(optimizer, 8)),
        "gathered weights": 0 if own else int(gathered * practice.gathered + block * HALF),
        "casts": HALF * stage.blocks if layout.recompute == "none" and practice.gathered == 4 else 0,
        "activations": int(
            tokens * (flying * stage.layers * each + again + (2 * D * HALF if ends else 0)) / layout.tensor
        ),
        "sent between ranks": int(4 * tokens * D * HALF) if layout.tensor > 1 else 0,
        "head": int(logits) if ends else 0,
    }


def sent_bytes(model: Model, layout: Layout, practice: Practice = Practice()) -> dict[str, int]:
    """Bytes that the busiest rank sends in a step, by axis. A ring moves (n - 1) / n of a whole to each of n ranks."""
    config, stage = model.config, max(stages(model, layout), key=lambda each: each.blocks + each.ends)
    tokens = layout.rows * config.length // layout.context
    shares = layout.data * layout.context // layout.replicate
    plain = stage.blocks - stage.experts + stage.ends
    rings = [(plain, shares), (stage.experts, max(1, shares // layout.expert))]
    passes = layout.accumulate if layout.pipeline == 1 else 1
    gathers = 2 * passes if layout.zero == 3 and layout.pipeline == 1 else 1
    reduces = passes if layout.zero >= 2 else 1
    data = sum(size * _ring(n) * (gathers * practice.gathered + reduces * 4) for size, n in rings)
    data += sum(2 * _ring(layout.replicate) * 4 * size / n for size, n in rings if layout.replicate > 1)
    forwards = 1 + {"none": 0.0, "selective": 0.5, "full": 1.0}[layout.recompute]
    wave = layout.accumulate * tokens * config.dim * HALF
    shape: Any = config.explicit()
    heads = (shape.heads * 2 + shape.kv_heads * 2) * shape.head_dim if hasattr(shape, "head_dim") else 4 * config.dim
    mixtures = sum(isinstance(module, MixtureOfExperts) for module in model.modules()) * stage.layers / config.layers
    sent = {
        "data": data,
        "tensor": stage.layers * 4 * wave * _ring(layout.tensor) * (1 + forwards),
        "pipeline": 2 * wave / layout.tensor if layout.pipeline > 1 else 0.0,
        "context": stage.layers * layout.accumulate * tokens * heads * HALF * _ring(layout.context) * (1 + forwards)
        / layout.tensor,
        "expert": mixtures * 2 * wave * getattr(config, "active", 0) * _ring(layout.expert) * (1 + forwards),
    }  # fmt: skip
    return {axis: int(size) for axis, size in sent.items() if size}


def require_room(parts: Mapping[str, int], free: int, layout: Layout) -> None:
    """Raises ResourceError, with its bytes, where a rank has not so many free."""
    if total(parts) <= free:
        return
    most = sorted(parts.items(), key=lambda part: -part[1])[:3]
    raise ResourceError(
        f"{layout.named()}: a rank needs {total(parts) / 1e9:.1f} GB and has {free / 1e9:.1f} GB; most of it are "
        + ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in most)
        + "; use more GPUs, parallel.recompute=full, fewer rows at once, or parallel=auto"
    )


def _ring(n: int) -> float:
    return (n - 1) / n

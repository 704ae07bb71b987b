"""Peak memory of a stage of training, by formula: weights, gradients, optimizer, activations, head, engine.

A step has three heights, and the highest counts:

    turn      all activations are there, and the backward pass begins with the head
    end       all gradients are there, and the activations of the last block
    step      all gradients, and what the optimizer works with

A process on a CPU comes to more than the highest: the C library keeps what was freed, and seldom finds a later tensor
that fits there. What it holds in the end is about the sum of all that was ever held.

`bench/memory.py` measures the same settings in processes of their own and prints one over the other.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from groundup.layers.head import CHUNK, KEEP_BYTES
from groundup.models._base import Model, ModelConfig, outline
from groundup.plan.activations import Recompute, around_bytes, block_bytes, kept
from groundup.recipe import Recipe, Training

LIBRARIES = 450_000_000
"""Resident bytes of a process that has imported torch and Arrow and read a corpus (measured)."""

HEAP = 1.05
"""Resident bytes of a process on a CPU over the sum of all that a step holds (measured: 0.97 to 1.24, median 1.06)."""

STATE = {"muon": 4, "normuon": 4, "adamw": 8}
"""Bytes of optimizer state for a hidden matrix's number; all else has AdamW's two moments."""

PROMPT_ROOM = 64
"""Tokens that hold any question of arithmetic, its template included, even when every character is one."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of a stage of training, by what they are."""

    weights: int
    gradients: int
    optimizer: int
    """Its state."""
    casts: int
    """Copies of the weights in the narrow precision, from the forward pass to the backward."""
    activations: int
    head: int
    """Probabilities over the vocabulary that are kept, and the chunk of logits that is worked on."""
    turn: int
    """What the head's backward pass adds: its gradients."""
    block: int
    """Activations of one block made again, and what its backward pass works with."""
    step: int
    """What the optimizer works with."""

    @property
    def peak(self) -> int:
        """The most that is held at once."""
        turn = self.casts + self.activations + self.head + self.turn
        return self.weights + self.optimizer + max(turn, self.gradients + max(self.block, self.step))

    def taken(self, device: str) -> int:
        """What the process takes of the memory of `device`: see the module."""
        return int(HEAP * sum(vars(self).values())) if device == "cpu" else self.peak


def footprint(
    config: ModelConfig,
    vocab_size: int,
    rows: int,
    precision: str,
    optimizer: str,
    *,
    recompute: Recompute = "none",
    accumulate: int = 1,
    device: str = "cpu",
    length: int | None = None,
) -> Footprint:
    """What a step holds whose micros have `rows` rows (`accumulate` of them make the step), of `length` tokens each."""
    length = length or config.length
    shape = _shape(config, vocab_size)
    model, tokens, narrow = shape.model, rows * length, precision != "fp32"
    size, V, D = 2 if narrow else 4, vocab_size, config.dim
    plain = device == "cpu"
    blocks = blocks_of(model)
    per_block = [block_bytes(block, D, length, size, plain, recompute) for block in blocks]
    whole = [kept(block, length, size, plain) for block in blocks]
    activations = tokens * (sum(per_block) + around_bytes(model, length, size))
    logits = tokens * V * size
    chunk = 4 * max(CHUNK, V)
    again = max(whole) if recompute != "none" else 0.0
    head_gradients = V * D * (4 + (4 if narrow else 0)) + tokens * D * size
    casts = 2 * shape.multiplied if narrow else 0  # recompute lets go of them before the backward pass
    summed = 4 * shape.parameters if accumulate > 1 else 0  # of the micros before
    return Footprint(
        weights=4 * shape.parameters,
        gradients=4 * shape.parameters,
        optimizer=STATE.get(optimizer, 8) * shape.matrices + 8 * (shape.parameters - shape.matrices),
        casts=casts if recompute == "none" else 0,
        activations=int(activations),
        head=int((logits if logits <= KEEP_BYTES else 0) + 2 * chunk),
        turn=int(max(head_gradients + summed + tokens * again, 0 if recompute == "none" else casts)),
        block=int(tokens * max(whole)),
        step=shape.muon_work(narrow) if optimizer.endswith("muon") else 0,
    )


def training_bytes(
    config: ModelConfig,
    vocab_size: int,
    rows: int,
    precision: str,
    optimizer: str,
    *,
    device: str = "cpu",
    **how: Any,
) -> int:
    """Resident bytes of a process that trains so, its libraries among them; `footprint` has the rest of its words."""
    found = footprint(config, vocab_size, rows, precision, optimizer, device=device, **how)
    return LIBRARIES + found.taken(device)


def engine_bytes(config: ModelConfig, vocab_size: int, rows: int, length: int, precision: str) -> int:
    """What generating holds beside the weights: the memory of `rows` rows, logits, and a narrow copy of the model.

    The copy holds each matrix in two layouts, for one row and for several; a table of embeddings that is no head, once.
    """
    shape, narrow = _shape(config, vocab_size), precision != "fp32"
    size = 2 if narrow else 4
    with torch.device("meta"):
        memory = sum(part.numel() for layer in shape.model.memory(1, length, torch.float32) for part in layer)
    looked_up = 0 if shape.model.lm_head is None else vocab_size * config.dim
    copied = size * (2 * shape.parameters - looked_up) if narrow else 0
    return int(rows * memory * size + copied + 2 * rows * vocab_size * 4)


def stage_bytes(recipe: Recipe, vocab_size: int, device: str = "cpu") -> dict[str, int]:
    """Peak bytes of each stage that trains."""
    config = recipe.model
    assert isinstance(config, ModelConfig)
    found = {}
    for name, settings in (("pretrain", recipe.train), ("sft", recipe.sft), ("grpo", recipe.grpo)):
        if settings.steps != 0:
            found[name] = LIBRARIES + _stage(recipe, settings, config, vocab_size, device)
    return found


def _stage(recipe: Recipe, settings: Training, config: ModelConfig, vocab_size: int, device: str) -> int:
    micro = settings.micro_rows or settings.rows
    room = getattr(settings, "max_tokens", None)
    length = config.length if room is None else min(config.length, PROMPT_ROOM + room)
    found = footprint(
        config, vocab_size, micro, recipe.precision, settings.optim.name, length=length, device=device,
        accumulate=settings.rows // micro, recompute=recipe.parallel.recompute,
    )  # fmt: skip
    best = settings.steps is None and getattr(settings, "patience", None) is not None
    copies = found.weights * (bool(getattr(settings, "average", None)) + best)
    if room is None:
        return found.taken(device) + copies
    engine = engine_bytes(
        config, vocab_size, getattr(settings, "drawn_rows", None) or settings.rows, length, recipe.precision
    )
    reference = found.weights if getattr(settings, "kl", 0) else 0
    return found.taken(device) + copies + engine + reference  # the engine keeps its cache while the model learns


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The layers of a model, in order."""
    return [block for child in model.children() if isinstance(child, nn.ModuleList) for block in child]


@dataclass(frozen=True)
class _Shape:
    """Counts of a model's parameters."""

    model: Model
    parameters: int
    matrices: int
    """Of hidden matrices."""
    multiplied: int
    """That a matmul casts to the precision of its region: those of layers, not the head (it makes its own)."""
    groups: dict[tuple[int, int], int]
    """(rows, columns) -> how many matrices of that shape there are."""

    def muon_work(self, narrow: bool) -> int:
        """Bytes of Muon's iteration on the largest group of equal shapes: the batch, three of its kind, two squares."""
        size, most = (2 if narrow else 4), 0
        for (rows, columns), count in self.groups.items():
            short = min(rows, columns)
            iterating = size * (3 * rows * columns + 2 * short * short)
            stacking = (4 + size) * rows * columns
            most = max(most, count * max(iterating, stacking))
        return most


@lru_cache(maxsize=256)
def _shape(config: ModelConfig, vocab_size: int) -> _Shape:
    model = outline(config, vocab_size)
    roles = model.roles()
    groups: dict[tuple[int, int], int] = defaultdict(int)
    for name, weight in model.named_parameters():
        if roles[name] == "matrix":
            *leading, rows, columns = weight.shape
            groups[rows, columns] += int(torch.Size(leading).numel())
    matrices = sum(rows * columns * count for (rows, columns), count in groups.items())
    return _Shape(model, sum(weight.numel() for weight in model.parameters()), matrices, matrices, dict(groups))

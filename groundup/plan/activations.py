"""What each kind of layer keeps for the backward pass, in bytes a token: the part of training's memory that grows with
the batch.

The formulas are read off the layers; `tests/plan/test_memory.py` compares them with what autograd saves of every
architecture. D is a layer's width, F that of a perceptron, `a` that of all query heads, `size` the bytes of a number in
the arithmetic of the matmuls (2 under bf16, else 4).
"""

from functools import singledispatch
from typing import Literal

from torch import nn

from groundup.layers.attention import BLOCK, PLAIN_LENGTH, Attention
from groundup.layers.mlp import GeluMLP, ReluSquaredMLP, SwiGLU
from groundup.layers.moe import MixtureOfExperts
from groundup.layers.norm import RMSNorm
from groundup.layers.recurrence import LSTM, MinGRU
from groundup.models._base import Model
from groundup.models.gpt2 import Gpt2Attention
from groundup.models.speedrun import SpeedrunBlock, SpeedrunModel

Recompute = Literal["none", "selective", "full"]


@singledispatch
def kept(layer: nn.Module, length: int, size: int, plain: bool) -> float:
    """Bytes a token that `layer` and all in it keep in rows of `length`.

    `plain`: attention by matmuls around a softmax, which keeps the probabilities; else by a fused kernel.
    """
    return sum(kept(child, length, size, plain) for child in layer.children())


@kept.register
def _(layer: RMSNorm, length: int, size: int, plain: bool) -> float:
    """What goes in; what comes out, which the next matmuls keep; the scale."""
    return 2 * layer.weight.numel() * size + 4


@kept.register
def _(layer: nn.LayerNorm, length: int, size: int, plain: bool) -> float:
    """As RMSNorm, with mean and scale."""
    return 2 * layer.weight.numel() * size + 8


@kept.register
def _(layer: Attention, length: int, size: int, plain: bool) -> float:
    """Queries, keys and values as the products take them, the output; where they are normed, as they were before."""
    a, g = layer.q_proj.out_features, layer.k_proj.out_features
    normed = 0.0
    if isinstance(layer.q_norm, RMSNorm):
        normed = (a + g) * size + 4 * (a + g) / layer.head_dim
    return normed + _products(a, g, a // layer.head_dim, length, size, plain)


@kept.register
def _(layer: Gpt2Attention, length: int, size: int, plain: bool) -> float:
    """As Attention; nothing is normed."""
    a = layer.c_proj.in_features
    return _products(a, a, a // layer.head_dim, length, size, plain)


def _products(a: int, g: int, heads: int, length: int, size: int, plain: bool) -> float:
    """Of `plain` the keys and values of every query head, and half of the square of probabilities."""
    if plain and length <= PLAIN_LENGTH:
        return (4 * a + heads * (length + BLOCK) / 2) * size
    return (3 * a + 2 * g) * size + 4 * heads


@kept.register
def _(layer: SwiGLU, length: int, size: int, plain: bool) -> float:
    """The gate before and after its curve, the other branch, their product."""
    return 4 * layer.down_proj.in_features * size


@kept.register
def _(layer: GeluMLP, length: int, size: int, plain: bool) -> float:
    """Before and after the curve."""
    return 2 * layer.c_proj.in_features * size


@kept.register
def _(layer: ReluSquaredMLP, length: int, size: int, plain: bool) -> float:
    """After the curve, and squared."""
    return 2 * layer.down_proj.in_features * size


@kept.register
def _(layer: SpeedrunBlock, length: int, size: int, plain: bool) -> float:
    """What is in it; the stream before the embedding is mixed in; the table's values and their gates."""
    dim = layer.attn_norm.weight.numel()
    inside = sum(kept(child, length, size, plain) for child in layer.children())
    mixed = 0 if layer.mix is None else dim * size
    return inside + mixed + (0 if layer.values_gate is None else (dim + 2 * layer.values_gate.out_features) * size)


@kept.register
def _(layer: MixtureOfExperts, length: int, size: int, plain: bool) -> float:
    """Each token once for each of its experts: what goes in, SwiGLU's four, what comes out; three places of 8 bytes."""
    _, dim, hidden = layer.experts.down_proj.shape
    routed = layer.gate.active * ((2 * dim + 4 * hidden) * size + 3 * 8 + 4 * 4)
    router = 4 * len(layer.gate.weight) + (4 * dim if size < 4 else 0)
    return router + routed + kept(layer.shared_experts, length, size, plain)


@kept.register
def _(layer: MinGRU, length: int, size: int, plain: bool) -> float:
    """Gate, candidate, what is kept and the states, in float32; where that is not narrow, for the next product too."""
    return layer.gate_proj.in_features * (4 * 4 + (size if size < 4 else 0))


@kept.register
def _(layer: LSTM, length: int, size: int, plain: bool) -> float:
    """Gates, cell and its curve of every token, in float32, and its states for the products."""
    return layer.state_proj.in_features * (6 * 4 + 2 * size)


def block_bytes(block: nn.Module, dim: int, length: int, size: int, plain: bool, recompute: Recompute) -> float:
    """Bytes a token that one block keeps until its turn in the backward pass."""
    if recompute == "full":
        return dim * size
    if recompute == "selective":
        return dim * size + sum(products(module, size) for module in block.modules())
    return kept(block, length, size, plain)


def around_bytes(model: Model, length: int, size: int) -> float:
    """Bytes a token that is kept before the first block and behind the last."""
    read = 3 * model.config.dim * size if isinstance(model, SpeedrunModel) else 0  # tables, gates and a norm
    return read + sum(
        kept(child, length, size, True) for child in model.children() if not isinstance(child, nn.ModuleList)
    )


def products(module: nn.Module, size: int) -> float:
    """Bytes a token that the matrix products of this very module put out: what selective recompute keeps."""
    if isinstance(module, nn.Linear):
        return module.out_features * size
    if isinstance(module, MixtureOfExperts):
        _, dim, hidden = module.experts.down_proj.shape
        return module.gate.active * (2 * hidden + dim) * size + 4 * len(module.gate.weight)
    return 0.0

"""Speedrun: what teaches a small model most in a short time, whether or not anyone else's program can run it.

Qwen3's skeleton with what nanochat and modded-nanogpt found to pay (nanochat dev/LOG.md; modded-nanogpt README.md),
each a switch: a squared ReLU in place of SwiGLU, and short cuts that let a layer see

    x0        the embedding itself, mixed into the stream before every layer by two learned scalars
    values    the token again, as a value of attention: a second table in every other layer, behind a gate
    smear     the token before, through a gate of 13 weights
    bigrams   the pair of the token and the one before, as a row of a hashed table

and logits that are held within ±`softcap`. It has no form in other libraries, so it exports to none.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from groundup.layers.attention import Attention, Sight, remember, split_heads
from groundup.layers.autocast import compute_dtype
from groundup.layers.cache import Cache
from groundup.layers.mlp import ReluSquaredMLP, SwiGLU
from groundup.layers.norm import RMSNorm, rms_norm
from groundup.layers.rope import rotate, rotation
from groundup.models._base import Model, ModelConfig, Role, check_heads

GATE_CHANNELS = 12
"""Channels of the stream that gates read (nanochat's)."""

GATE_REACH = 3.0
"""A gate of values goes from 0 to this (nanochat's)."""

START_X0 = 0.1
"""The share of the embedding in every layer at first (nanochat's)."""

HASH = 1_000_003
"""Odd and larger than any vocabulary: neighbouring pairs fall on different rows."""


class Speedrun(ModelConfig):
    """A model for the shortest time to a loss. Heads have `dim / heads` channels; every matrix is without a bias."""

    heads: int = Field(4, ge=1)
    hidden: int | None = Field(None, ge=1)
    """Width of the MLP; None is 4·dim, or 8/3·dim with a gate: as many weights."""
    theta: float = Field(10_000.0, gt=1)
    """Base of the rotary angles."""
    eps: float = Field(1e-6, gt=0)
    gated: bool = False
    """SwiGLU in place of the squared ReLU."""
    x0: bool = True
    values: bool = True
    smear: bool = True
    bigrams: int = Field(4, ge=0)
    """Rows of the table of pairs, in vocabularies; 0: there is none."""
    softcap: float = Field(15.0, ge=0)
    """What logits are held within, by a hyperbolic tangent; 0: nothing."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_heads(self.dim, self.heads, None, None)
        return self

    @classmethod
    def of_width(cls, width: int, length: int) -> Self:
        """See `ModelConfig.of_width`; heads of 64."""
        return super().of_width(width, length).model_copy(update={"heads": max(1, width // 64)})

    def explicit(self) -> Self:
        """See `ModelConfig.explicit`."""
        wide = 64 * -(-self.dim * 8 // (3 * 64)) if self.gated else 4 * self.dim
        return self.model_copy(update={"hidden": self.hidden or wide})

    def module(self, vocab_size: int) -> "SpeedrunModel":
        """The model, its weights not yet set."""
        return SpeedrunModel(self, vocab_size)


class SpeedrunAttention(Attention):
    """QK-normed attention whose values may have more added to them."""

    def forward(
        self,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        sight: Sight,
        memory: tuple[Tensor, ...] | None = None,
        more: Tensor | None = None,
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`; `more` `(B, T, D)` is added to the values."""
        q, k, v = self.project(x)
        if more is not None:
            v = v + split_heads(more.to(v.dtype), self.head_dim)
        q, k = rotate(self.q_norm(q), *turn), rotate(self.k_norm(k), *turn)
        if memory is not None:
            k, v = remember(memory, k, v, sight)
        out: Tensor = self.o_proj(self.attend(q, k, v, sight))
        return out


class SpeedrunBlock(nn.Module):
    """Attention and MLP on normalised copies of the stream, after the embedding has been mixed into it again."""

    def __init__(self, config: Speedrun, vocab_size: int, has_values: bool) -> None:
        super().__init__()
        dim, hidden = config.dim, config.explicit().hidden
        assert hidden is not None
        self.mix = nn.Parameter(torch.empty(2)) if config.x0 else None
        self.attn_norm = RMSNorm(dim, config.eps)
        self.attn = SpeedrunAttention(dim, config.heads, config.heads, dim // config.heads, True, config.eps)
        self.mlp_norm = RMSNorm(dim, config.eps)
        self.mlp: nn.Module = SwiGLU(dim, hidden) if config.gated else ReluSquaredMLP(dim, hidden)
        self.values = nn.Embedding(vocab_size, dim, _weight=torch.empty(vocab_size, dim)) if has_values else None
        self.values_gate = nn.Linear(GATE_CHANNELS, config.heads, bias=False) if has_values else None

    def forward(
        self,
        x: Tensor,
        first: Tensor,
        tokens: Tensor,
        turn: tuple[Tensor, Tensor],
        sight: Sight,
        memory: tuple[Tensor, ...] | None,
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`; `first` is what went into the first layer."""
        if self.mix is not None:
            kept, again = self.mix.to(x.dtype).unbind()
            x = kept * x + again * first
        read = self.attn_norm(x)
        more = None
        if self.values is not None and self.values_gate is not None:
            gate = GATE_REACH * self.values_gate(read[..., :GATE_CHANNELS]).sigmoid()  # (B, T, heads)
            more = (self.values(tokens).to(gate.dtype).unflatten(-1, (gate.shape[-1], -1)) * gate[..., None]).flatten(2)
        x = x + self.attn(read, turn, sight, memory, more)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class SpeedrunModel(Model):
    """Token embedding with what stands before it, blocks, a last norm, the head."""

    config: Speedrun

    def __init__(self, config: Speedrun, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.softcap = config.softcap
        self.head_dim = config.dim // config.heads
        rows = config.bigrams * vocab_size
        self.embed_tokens = nn.Embedding(vocab_size, config.dim, _weight=torch.empty(vocab_size, config.dim))
        self.bigrams = nn.Embedding(rows, config.dim, _weight=torch.empty(rows, config.dim)) if rows else None
        self.smear_gate = nn.Linear(GATE_CHANNELS, 1) if config.smear else None
        self.layers = nn.ModuleList(
            SpeedrunBlock(config, vocab_size, config.values and (config.layers - number) % 2 == 1)
            for number in range(config.layers)
        )
        self.norm = RMSNorm(config.dim, config.eps)
        self.lm_head = None if config.tied else nn.Linear(config.dim, vocab_size, bias=False)

    @property
    def embedding(self) -> nn.Embedding:
        """The table of token embeddings."""
        return self.embed_tokens

    def forward(
        self,
        tokens: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Hidden states `(B, T, D)`; see `Model.forward`."""
        sight = Sight.of(tokens, segments, cache)
        first = x = self.read(tokens, _before(tokens, segments, cache))
        at = sight.positions if positions is None else positions
        turn = rotation(at, self.head_dim, self.config.theta, x.dtype)
        memories = [None] * len(self.layers) if cache is None else cache.layers[:-1]
        for block, memory in zip(self.layers, memories, strict=True):
            x = block(x, first, tokens, turn, sight, memory)
        if cache is not None:
            cache.advance(tokens.shape[1])
        out: Tensor = self.norm(x)
        return out

    def read(self, tokens: Tensor, before: Tensor) -> Tensor:
        """What goes into the first layer `(B, T, D)`, from tokens and the ones before them, -1 where there is none."""
        x = self.embed_tokens(tokens)
        x = x.to(compute_dtype(x))
        if self.bigrams is not None:
            pairs = ((before + 1) * HASH + tokens) % self.bigrams.num_embeddings
            x = x + self.bigrams(pairs).to(x.dtype)
        if self.smear_gate is not None:
            there = (before >= 0)[..., None]
            gate = self.smear_gate(x[..., :GATE_CHANNELS]).sigmoid() * there
            x = x + gate * self.embed_tokens(before.clamp(min=0)).to(x.dtype)
        gain = torch.ones((), device=x.device).expand(x.shape[-1])
        return rms_norm(x, gain, self.config.eps)

    def memory(self, rows: int, length: int, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
        """Keys and values `(rows, heads, length, head_dim)` of each layer; and the last token `(rows, 1)`."""
        shape = (rows, self.config.heads, length, self.head_dim)
        kept: list[tuple[Tensor, ...]] = [
            (torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in self.layers
        ]
        return [*kept, (torch.zeros(rows, 1, dtype=torch.int64),)]

    def attention_flops(self, length: int) -> float:
        """`12·D·T` for each layer."""
        return 12.0 * self.config.layers * self.config.dim * length

    def roles(self) -> dict[str, Role]:
        """Gates are too small to be made orthogonal: they move as vectors do."""
        return {name: "vector" if name.endswith("_gate.weight") else role for name, role in super().roles().items()}

    def initialize(self, generator: torch.Generator) -> None:
        """Normal weights; what adds to the stream at zero: projections into it, pairs, the gates' weights."""
        super().initialize(generator)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight", "bigrams.weight", "_gate.weight")):
                    weight.zero_()
                elif name.endswith("mix"):
                    weight.copy_(torch.tensor([1.0, START_X0]))
                elif name == "smear_gate.bias":
                    weight.fill_(-3.0)  # a gate of 0.05: the token before hardly counts at first


def _before(tokens: Tensor, segments: Tensor | None, cache: Cache | None) -> Tensor:
    """The token before each `(B, T)`, -1 at the beginning of a row or segment; the cache's last token is kept up."""
    before = tokens.roll(1, 1)
    before[:, 0] = -1
    if segments is not None:
        before[:, 1:].masked_fill_(segments[:, 1:] != segments[:, :-1], -1)
    if cache is not None:
        (last,) = cache.layers[-1]
        before[:, 0] = torch.where(cache.lengths > 0, last[:, 0], -1)
        last.copy_(tokens[:, -1:] if cache.counts is None else tokens.gather(1, cache.counts[:, None] - 1))
    return before

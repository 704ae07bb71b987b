"""Recurrent baselines, LSTM and minGRU: a fixed state where attention looks back at everything.

The block is Llama's with the attention replaced, so that a comparison shows what attention is worth and nothing else.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from groundup.layers.autocast import compute_dtype
from groundup.layers.cache import Cache
from groundup.layers.mlp import SwiGLU
from groundup.layers.norm import RMSNorm
from groundup.layers.recurrence import LSTM, MinGRU, Recurrence
from groundup.models._base import Model, ModelConfig

CELLS: dict[str, type[Recurrence]] = {"lstm": LSTM, "mingru": MinGRU}


class Rnn(ModelConfig):
    """A recurrent language model."""

    cell: Literal["lstm", "mingru"] = "lstm"

    def module(self, vocab_size: int) -> "RnnModel":
        """The model, its weights not yet set."""
        return RnnModel(self, vocab_size)


class RnnBlock(nn.Module):
    """Recurrence and MLP, each on a normalised copy of the residual stream and added to it."""

    def __init__(self, config: Rnn) -> None:
        super().__init__()
        self.input_norm = RMSNorm(config.dim)
        self.recurrence: Recurrence = CELLS[config.cell](config.dim)
        self.o_proj = nn.Linear(config.dim, config.dim, bias=False)
        self.mlp_norm = RMSNorm(config.dim)
        self.mlp = SwiGLU(config.dim, 64 * math.ceil(config.dim * 8 / 3 / 64))

    def forward(
        self, x: Tensor, starts: Tensor | None, memory: tuple[Tensor, ...] | None, counts: Tensor | None
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        x = x + self.o_proj(self.recurrence(self.input_norm(x), starts, memory, counts))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class RnnModel(Model):
    """Token embedding, blocks, a last norm, the head."""

    config: Rnn

    def __init__(self, config: Rnn, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(vocab_size, config.dim, _weight=torch.empty(vocab_size, config.dim))
        self.layers = nn.ModuleList(RnnBlock(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.dim)
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
        """Hidden states `(B, T, D)`; see `Model.forward`. A recurrence has its order and needs no positions."""
        starts = None
        if segments is not None:
            starts = segments != segments.roll(1, 1)
        elif cache is not None:
            starts = torch.zeros_like(tokens, dtype=torch.bool)
            starts[:, 0] = cache.lengths == 0
        x = self.embed_tokens(tokens)
        x = x.to(compute_dtype(x))
        memories = [None] * len(self.layers) if cache is None else cache.layers
        counts = None if cache is None else cache.counts
        for block, memory in zip(self.layers, memories, strict=True):
            x = block(x, starts, memory, counts)
        if cache is not None:
            cache.advance(tokens.shape[1])
        out: Tensor = self.norm(x)
        return out

    def memory(self, rows: int, length: int, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
        """The states `(rows, D)` of each layer, in float32 whatever `dtype` says: they add up over a whole row."""
        n_states = CELLS[self.config.cell].n_states
        return [tuple(torch.zeros(rows, self.config.dim) for _ in range(n_states)) for _ in self.layers]

    def initialize(self, generator: torch.Generator) -> None:
        """Normal weights; projections into the residual stream smaller by √(2·layers); forget gates open."""
        super().initialize(generator)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.mul_((2 * self.config.layers) ** -0.5)
                elif name.endswith("input_proj.bias"):
                    weight[self.config.dim : 2 * self.config.dim] = 1.0  # Jozefowicz et al. 2015

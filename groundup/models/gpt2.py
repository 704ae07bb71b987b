"""GPT-2: a pre-norm decoder with LayerNorm, GELU, learned positions and biases.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners". Parameters are named as in transformers'
GPT2LMHeadModel, without its leading `transformer.`; matrices are `(out, in)`, where its Conv1D holds `(in, out)`.
"""

from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from groundup.errors import ConfigError
from groundup.layers.attention import Sight, attend, remember, split_heads
from groundup.layers.autocast import compute_dtype
from groundup.layers.cache import Cache
from groundup.layers.mlp import GeluMLP
from groundup.models._base import Model, ModelConfig, Stock

EPS = 1e-5  # GPT-2's layer_norm_epsilon

STOCK = Stock(
    model_type="gpt2",
    fields={
        "n_embd": "dim",
        "n_layer": "layers",
        "n_head": "heads",
        "n_positions": "length",
        "embd_pdrop": "dropout",
        "resid_pdrop": "dropout",
        "tie_word_embeddings": "tied",
    },
    fixed={
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "layer_norm_epsilon": (EPS,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "reorder_and_upcast_attn": (False,),
        "add_cross_attention": (False,),
    },
    defaults={"n_positions": 1024, "embd_pdrop": 0.1, "resid_pdrop": 0.1, "tie_word_embeddings": True},
    prefix="transformer.",
    turned=("h.*.c_attn.weight", "h.*.c_proj.weight", "h.*.c_fc.weight"),
    ignored=("h.*.attn.bias", "h.*.attn.masked_bias"),
)


class Gpt2(ModelConfig):
    """A GPT-2."""

    heads: int = Field(4, ge=1)
    tied: bool = True
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the embeddings and on what each branch adds to the residual stream, in training."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dim % self.heads:
            raise ConfigError(f"dim={self.dim} does not divide by heads={self.heads}; choose a multiple")
        return self

    def module(self, vocab_size: int) -> "Gpt2Model":
        """The model, its weights not yet set."""
        return Gpt2Model(self, vocab_size)


class Gpt2Attention(nn.Module):
    """Multi-head attention with one matrix for queries, keys and values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.head_dim = dim // heads
        self.attend = attend
        self.c_attn = nn.Linear(dim, 3 * dim)
        self.c_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, sight: Sight, memory: tuple[Tensor, ...] | None) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        q, k, v = (split_heads(part, self.head_dim) for part in self.c_attn(x).chunk(3, -1))
        if memory is not None:
            k, v = remember(memory, k, v, sight)
        out: Tensor = self.c_proj(self.attend(q, k, v, sight))
        return out


class Gpt2Block(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream and added to it."""

    def __init__(self, config: Gpt2) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.dim, EPS)
        self.attn = Gpt2Attention(config.dim, config.heads)
        self.ln_2 = nn.LayerNorm(config.dim, EPS)
        self.mlp = GeluMLP(config.dim, 4 * config.dim)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, sight: Sight, memory: tuple[Tensor, ...] | None) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        x = x + self.drop(self.attn(self.ln_1(x), sight, memory))
        out: Tensor = x + self.drop(self.mlp(self.ln_2(x)))
        return out


class Gpt2Model(Model):
    """Token and position embeddings, blocks, a last norm, the head."""

    shards: ClassVar = {
        "wte": "vocab",
        "h.*.mlp.c_fc": "column",
        "h.*.mlp.c_proj": "row",
        "lm_head": "vocab",
    }
    exports: ClassVar = {"huggingface": "GPT2LMHeadModel", "gguf": "gpt2", "onnx": "text-generation"}
    stock: ClassVar = STOCK
    config: Gpt2

    def __init__(self, config: Gpt2, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(vocab_size, config.dim, _weight=torch.empty(vocab_size, config.dim))
        self.wpe = nn.Embedding(config.length, config.dim, _weight=torch.empty(config.length, config.dim))
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList(Gpt2Block(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.dim, EPS)
        self.lm_head = None if config.tied else nn.Linear(config.dim, vocab_size, bias=False)

    @property
    def embedding(self) -> nn.Embedding:
        """The table of token embeddings."""
        return self.wte

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
        x = self.wte(tokens)
        dtype = compute_dtype(x)
        x = self.drop(x.to(dtype) + self.wpe(sight.positions if positions is None else positions).to(dtype))
        memories = [None] * len(self.h) if cache is None else cache.layers
        for block, memory in zip(self.h, memories, strict=True):
            x = block(x, sight, memory)
        if cache is not None:
            cache.advance(tokens.shape[1])
        out: Tensor = self.ln_f(x)
        return out

    def memory(self, rows: int, length: int, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
        """Keys and values `(rows, heads, length, head_dim)` of each layer."""
        shape = (rows, self.config.heads, length, self.config.dim // self.config.heads)
        return [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in self.h]

    def attention_flops(self, length: int) -> float:
        """`12·D·T` for each layer."""
        return 12.0 * self.config.layers * self.config.dim * length

    def initialize(self, generator: torch.Generator) -> None:
        """Normal weights; projections into the residual stream smaller by √(2·layers) (GPT-2's rule)."""
        super().initialize(generator)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.endswith("c_proj.weight"):
                    weight.mul_((2 * self.config.layers) ** -0.5)

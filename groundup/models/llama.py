"""Llama: a pre-norm decoder with RMSNorm, rotary positions, grouped-query attention and SwiGLU.

Touvron et al. 2023, arXiv 2302.13971; grouped queries: Ainslie et al. 2023, arXiv 2305.13245. Parameters are named as
in transformers' LlamaForCausalLM, without its leading `model.`.
"""

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from groundup.layers.attention import Attention, Sight
from groundup.layers.autocast import compute_dtype
from groundup.layers.cache import Cache
from groundup.layers.mlp import SwiGLU
from groundup.layers.norm import RMSNorm
from groundup.layers.rope import rotation
from groundup.models._base import Model, ModelConfig, Stock, check_heads

STOCK = Stock(
    model_type="llama",
    fields={
        "hidden_size": "dim",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
        "num_key_value_heads": "kv_heads",
        "head_dim": "head_dim",
        "intermediate_size": "hidden",
        "max_position_embeddings": "length",
        "rms_norm_eps": "eps",
        "rope_theta": "theta",
        "rope_parameters.rope_theta": "theta",
        "tie_word_embeddings": "tied",
    },
    fixed={
        "hidden_act": ("silu", "swish"),
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "attention_dropout": (0.0,),
        "rope_parameters.rope_type": ("default",),
    },
    defaults={
        "num_key_value_heads": None,
        "head_dim": None,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
        "rope_parameters.rope_theta": 10_000.0,
        "tie_word_embeddings": False,
    },
    prefix="model.",
    ignored=("*rotary_emb.inv_freq",),
)


class Llama(ModelConfig):
    """A Llama. What is None follows from the other fields."""

    heads: int = Field(4, ge=1)
    kv_heads: int | None = Field(None, ge=1)
    """Heads of keys and values, each shared by `heads / kv_heads` queries; None is one for each."""
    head_dim: int | None = Field(None, ge=2)
    """None is `dim / heads`."""
    hidden: int | None = Field(None, ge=1)
    """Width of the MLP; None is 8/3·dim rounded up to a multiple of 64 (the weights of 4·dim without a gate)."""
    theta: float = Field(10_000.0, gt=1)
    """Base of the rotary angles."""
    eps: float = Field(1e-6, gt=0)
    residual_init: Literal["scaled", "zero"] = "zero"
    """Projections into the residual stream start at zero (every block is then the identity at first; modded-nanogpt),
    or smaller by √(2·layers) (GPT-2's rule)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_heads(self.dim, self.heads, self.kv_heads, self.head_dim)
        return self

    @classmethod
    def of_width(cls, width: int, length: int) -> Self:
        """See `ModelConfig.of_width`; heads of 64."""
        return super().of_width(width, length).model_copy(update={"heads": max(1, width // 64)})

    def explicit(self) -> Self:
        """See `ModelConfig.explicit`."""
        follows = {
            "kv_heads": self.kv_heads or self.heads,
            "head_dim": self.head_dim or self.dim // self.heads,
            "hidden": self.hidden or 64 * math.ceil(self.dim * 8 / 3 / 64),
        }
        return self.model_copy(update=follows)

    def module(self, vocab_size: int) -> "LlamaModel":
        """The model, its weights not yet set."""
        return LlamaModel(self, vocab_size)


class LlamaBlock(nn.Module):
    """Attention and MLP, each on a normalised copy of the residual stream and added to it."""

    def __init__(self, config: Llama, qk_norm: bool) -> None:
        super().__init__()
        dim, heads = config.dim, config.heads
        head_dim = config.head_dim or dim // heads
        self.input_layernorm = RMSNorm(dim, config.eps)
        self.self_attn = Attention(dim, heads, config.kv_heads or heads, head_dim, qk_norm, config.eps)
        self.post_attention_layernorm = RMSNorm(dim, config.eps)
        self.mlp = SwiGLU(dim, config.hidden or 64 * math.ceil(dim * 8 / 3 / 64))

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], sight: Sight, memory: tuple[Tensor, ...] | None
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        x = x + self.self_attn(self.input_layernorm(x), turn, sight, memory)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class LlamaModel(Model):
    """Token embedding, blocks, a last norm, the head."""

    shards: ClassVar = {
        "embed_tokens": "vocab",
        "layers.*.self_attn.[qkv]_proj": "column",
        "layers.*.self_attn.o_proj": "row",
        "layers.*.mlp.gate_proj": "column",
        "layers.*.mlp.up_proj": "column",
        "layers.*.mlp.down_proj": "row",
        "lm_head": "vocab",
    }
    exports: ClassVar = {"huggingface": "LlamaForCausalLM", "gguf": "llama", "onnx": "text-generation"}
    stock: ClassVar = STOCK
    qk_norm: ClassVar[bool] = False
    config: Llama

    def __init__(self, config: Llama, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.head_dim = config.head_dim or config.dim // config.heads
        self.embed_tokens = nn.Embedding(vocab_size, config.dim, _weight=torch.empty(vocab_size, config.dim))
        self.layers = nn.ModuleList(LlamaBlock(config, self.qk_norm) for _ in range(config.layers))
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
        x = self.embed_tokens(tokens)
        x = x.to(compute_dtype(x))
        at = sight.positions if positions is None else positions
        turn = rotation(at, self.head_dim, self.config.theta, x.dtype)
        memories = [None] * len(self.layers) if cache is None else cache.layers
        for block, memory in zip(self.layers, memories, strict=True):
            x = block(x, turn, sight, memory)
        if cache is not None:
            cache.advance(tokens.shape[1])
        out: Tensor = self.norm(x)
        return out

    def memory(self, rows: int, length: int, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
        """Keys and values `(rows, kv_heads, length, head_dim)` of each layer."""
        shape = (rows, self.config.kv_heads or self.config.heads, length, self.head_dim)
        return [(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)) for _ in self.layers]

    def attention_flops(self, length: int) -> float:
        """`12·heads·head_dim·T` for each layer."""
        return 12.0 * self.config.layers * self.config.heads * self.head_dim * length

    def initialize(self, generator: torch.Generator) -> None:
        """Normal weights; projections into the residual stream scaled down or zero."""
        super().initialize(generator)
        factor = 0.0 if self.config.residual_init == "zero" else (2 * self.config.layers) ** -0.5
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if name.removesuffix(".weight").endswith(("o_proj", "down_proj")):
                    weight.mul_(factor)

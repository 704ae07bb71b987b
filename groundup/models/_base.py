"""What every architecture is: a config that builds it, and a model that scores and remembers."""

import copy
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from groundup.config import Component
from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.cache import Cache
from groundup.layers.head import capped, log_probs
from groundup.layers.packed import Packed, pack, packable

Split = Literal["column", "row", "vocab", "expert", "inner"]
"""By output, by input, by token id, by expert; or whole on every rank, each of which uses it on its split part."""
Role = Literal["matrix", "embedding", "head", "vector"]


class ModelConfig(Component):
    """The shape of a model; `build` makes it."""

    layers: int = Field(6, ge=1)
    dim: int = Field(256, ge=1)
    length: int = Field(256, ge=1)
    """The context: the most tokens that a row may have."""
    tied: bool = False
    """One matrix for the embedding and the head."""
    std: float = Field(0.02, gt=0)
    """Standard deviation of the initial weights (GPT-2's)."""

    @classmethod
    def of_width(cls, width: int, length: int) -> Self:
        """A sensible shape for a width: one layer for every 48 of it (64 in nanochat; small models gain by depth)."""
        return cls(dim=width, layers=max(2, round(width / 48)), length=length)

    @abstractmethod
    def module(self, vocab_size: int) -> "Model":
        """The model, its weights not yet set; `build` sets them."""

    def build(self, vocab_size: int, seed: int = 0) -> "Model":
        """The model with initial weights that depend on `seed` alone; no global random state is touched."""
        with torch.device("meta"):
            model = self.module(vocab_size)
        # As `to_empty` does, whose `empty_like` would load torch's compiler: 1.6 s.
        model._apply(lambda weight: torch.empty(weight.shape, dtype=weight.dtype))  # type: ignore[no-untyped-call]
        model.initialize(torch.Generator().manual_seed(seed))
        return model

    def explicit(self) -> Self:
        """The same shape with every field given: what is None and follows from others is worked out."""
        return self

    def parameters_count(self, vocab_size: int) -> int:
        """The number of parameters of the model; nothing is allocated."""
        return sum(weight.numel() for weight in outline(self, vocab_size).parameters())

    def flops_per_token(self, vocab_size: int, length: int) -> float:
        """What `Model.flops_per_token` says of the model; nothing is allocated."""
        return outline(self, vocab_size).flops_per_token(length)


@lru_cache(maxsize=256)
def outline(config: ModelConfig, vocab_size: int) -> "Model":
    """The shapes of a model: one without memory, on the device `meta`. Not to be changed, it is shared."""
    with torch.device("meta"):
        return config.module(vocab_size)


@dataclass(frozen=True)
class Stock:
    """How transformers writes down the same model, as data; its class is named in `Model.exports`.

    Names of its config are dotted where they are nested. Names of weights differ by `prefix` alone, which the head is
    without.
    """

    model_type: str
    fields: Mapping[str, str]
    """Its field -> ours. Two of its fields may be one of ours."""
    fixed: Mapping[str, tuple[Any, ...]]
    """Its field -> the values under which both compute the same; the first is what it has when nothing is said."""
    defaults: Mapping[str, Any]
    """Its field -> its value when nothing is said; a field of ours that is not here must be said."""
    prefix: str
    turned: tuple[str, ...] = ()
    """Patterns of our names of matrices that it holds as `(in, out)`."""
    ignored: tuple[str, ...] = ()
    """Patterns of tensors in old files that hold no weights."""
    grouped: tuple[str, ...] = ()
    """Patterns of our names of tensors with a matrix for each expert: `a.b` is `a.0.b.weight`, `a.1.b.weight` ..."""


@dataclass
class Scores:
    """What a model says about the targets of a batch, all float32. `logp` and `lse` `(B, T)` are there always."""

    logp: Tensor
    lse: Tensor
    entropy: Tensor | None = None
    """(B, T) of the model's distribution, in nats."""
    value: Tensor | None = None
    """(B, T) what a head of one output says at each token."""
    divergence: Tensor | None = None
    """(B, T) from a teacher, in nats."""
    pooled: Tensor | None = None
    """(B, S, K) what a head says at the last token of each segment."""
    aux: Tensor | None = None
    """A scalar that is added to the loss, itself a sum over tokens."""


class Model(nn.Module):
    """Tokens in, hidden states out; one path for training and for decoding.

    A subclass has `config` and `lm_head` (None where it is tied) and writes `embedding`, `forward`, `memory` and, where
    the initial weights are special, `initialize`.
    """

    shards: ClassVar[Mapping[str, Split]] = {}
    """How parameters may be split over ranks, by name pattern; empty refuses by name."""
    exports: ClassVar[Mapping[str, str]] = {}
    """Format to the stock class that the weights map on by renaming; empty refuses by name."""
    stock: ClassVar[Stock | None] = None
    """How transformers writes it down; None where it has no such class."""

    config: ModelConfig
    lm_head: nn.Linear | None
    softcap: float = 0.0
    """What logits are held within, ±, by a hyperbolic tangent; 0: nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.packed_head: Packed | None = None  # as `pack` lays it out

    @property
    @abstractmethod
    def embedding(self) -> nn.Embedding:
        """The table of token embeddings."""

    @property
    def head_weight(self) -> Tensor:
        """The `(V, D)` matrix that turns hidden states to logits."""
        return self.embedding.weight if self.lm_head is None else self.lm_head.weight

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return self.embedding.num_embeddings

    @abstractmethod
    def forward(
        self,
        tokens: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Hidden states `(B, T, D)` of tokens `(B, T)`.

        `positions` `(B, T)` count from 0 at the start of the row, or of what is in the cache, unless given. Tokens see
        only the earlier ones with the same number in `segments` `(B, T)`. With a cache the tokens follow what each row
        has read, and are remembered.
        """

    @abstractmethod
    def memory(self, rows: int, length: int, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
        """The empty memory of each layer for `rows` rows of up to `length` tokens."""

    def logits(self, hidden: Tensor) -> Tensor:
        """`(..., D)` to `(..., V)`."""
        product = functional.linear(hidden, self.head_weight) if self.packed_head is None else self.packed_head(hidden)
        return capped(product, self.softcap)

    def pack(self, kind: type[Packed] = Packed) -> None:
        """Lay the weights out for products of few rows, where that is faster; from then on they only generate."""
        if packable(self.head_weight):
            pack(self, but=self.lm_head, kind=kind)
            self.packed_head = kind(self.head_weight)

    def score(
        self,
        tokens: Tensor,
        targets: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        weights: Tensor | None = None,
        ask: Collection[str] = (),
    ) -> Scores:
        """How likely each target `(B, T)` is after the tokens up to its place; never holds `(B, T, V)` in float32.

        Where `weights` `(B, T)` are 0 no score is needed: it may be 0. `ask` may name "entropy". Raises
        UnsupportedError for what this model cannot say.
        """
        hidden = self(tokens, positions=positions, segments=segments)
        return self.score_hidden(hidden, targets, segments=segments, weights=weights, ask=ask)

    def score_hidden(
        self,
        hidden: Tensor,
        targets: Tensor,
        *,
        segments: Tensor | None = None,
        weights: Tensor | None = None,
        ask: Collection[str] = (),
    ) -> Scores:
        """`score` from hidden states `(B, T, D)`. Raises UnsupportedError for what this model cannot say."""
        unknown = sorted(set(ask) - {"entropy"})
        if unknown:
            raise UnsupportedError(
                f"{type(self).__name__} cannot score {', '.join(unknown)}; ask for entropy, or for nothing"
            )
        return Scores(*log_probs(hidden, self.head_weight, targets, "entropy" in ask, weights, self.softcap))

    def new_cache(self, rows: int, length: int, dtype: torch.dtype | None = None) -> Cache:
        """An empty memory on the model's device, in `dtype` (that of the weights unless given)."""
        weight = self.embedding.weight
        with torch.device(weight.device):
            memory = self.memory(rows, length, dtype or weight.dtype)
            return Cache(memory, torch.zeros(rows, dtype=torch.int64), length)

    def after_step(self, mesh: Any) -> None:
        """Called after each optimizer step; only models with balanced experts do anything."""

    def flops_per_token(self, length: int) -> float:
        """Training FLOPs per token in rows of `length`: `6·N_matmul + 12·D·T` for each layer of attention.

        N_matmul counts the head and not the embeddings; forward is a third. Attention counts as if it were not causal
        (PaLM, Chowdhery et al. 2022, appendix B, arXiv 2204.02311; the form that nanochat and most MFU figures use).
        """
        roles = self.roles()
        matmul = sum(weight.numel() for name, weight in self.named_parameters() if roles[name] == "matrix")
        return 6.0 * (matmul + self.head_weight.numel()) + self.attention_flops(length)

    def attention_flops(self, length: int) -> float:
        """The part of `flops_per_token` that grows with the row."""
        return 0.0

    def roles(self) -> dict[str, Role]:
        """What each parameter is to an optimizer: a hidden matrix, an embedding, the head, or a vector."""
        roles: dict[str, Role] = {}
        tables = {id(module.weight) for module in self.modules() if isinstance(module, nn.Embedding)}
        for name, weight in self.named_parameters():
            if id(weight) in tables:
                roles[name] = "embedding"
            elif weight is self.head_weight:
                roles[name] = "head"
            else:
                roles[name] = "matrix" if weight.ndim >= 2 else "vector"
        return roles

    def initialize(self, generator: torch.Generator) -> None:
        """Set every weight: matrices normal with the config's `std`, biases 0, gains 1."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim >= 2:
                    weight.normal_(0.0, self.config.std, generator=generator)
                else:
                    weight.fill_(0.0 if name.endswith("bias") else 1.0)


def alias(model: Model) -> Model:
    """A copy of the same weights: whose modules may be changed, and set to a mode, without the model's knowing."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


def generating(model: Model, device: torch.device | None, dtype: torch.dtype | None, *, packed: bool) -> Model:
    """A copy in evaluation mode, there and in that precision (None: as it is).

    Of the same weights if they are that already; else of its own, which may be packed.
    """
    weight = model.head_weight
    device, dtype = device or weight.device, dtype or weight.dtype
    if (device, dtype) == (weight.device, weight.dtype):
        return alias(model).eval()
    made = copy.deepcopy(model).to(device, dtype).requires_grad_(False).eval()
    if packed:
        made.pack()
    return made


def check_heads(dim: int, heads: int, kv_heads: int | None, head_dim: int | None) -> None:
    """Raises ConfigError where the heads do not divide as they must."""
    if head_dim is None and dim % heads:
        raise ConfigError(f"dim={dim} does not divide by heads={heads}; choose a multiple, or set head_dim")
    if kv_heads is not None and heads % kv_heads:
        raise ConfigError(f"heads={heads} do not divide by kv_heads={kv_heads}; choose a divisor")
    if (head_dim or dim // heads) % 2:
        raise ConfigError(f"head_dim={head_dim or dim // heads} is odd; rotary positions turn pairs: make it even")

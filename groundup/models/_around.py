"""A model around another: all it does the other does, until a subclass says what more there is."""

from typing import Any

import torch
from torch import Tensor, nn

from groundup.layers.cache import Cache
from groundup.layers.packed import Packed
from groundup.models._base import Model, Role


class Around(Model):
    """`body` under another name. Any architecture, unchanged."""

    def __init__(self, body: Model) -> None:
        super().__init__()
        self.config, self.body, self.softcap = body.config, body, body.softcap

    @property
    def embedding(self) -> nn.Embedding:
        """The body's table of token embeddings."""
        return self.body.embedding

    @property
    def head_weight(self) -> Tensor:
        """The body's `(V, D)` matrix."""
        return self.body.head_weight

    def forward(
        self,
        tokens: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The body's hidden states `(B, T, D)`."""
        hidden: Tensor = self.body(tokens, positions=positions, segments=segments, cache=cache)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """The body's."""
        return self.body.logits(hidden)

    def pack(self, kind: type[Packed] = Packed) -> None:
        """The body's; what is around it stays as it is."""
        self.body.pack(kind)

    def memory(self, rows: int, length: int, dtype: torch.dtype) -> list[tuple[Tensor, ...]]:
        """The body's."""
        return self.body.memory(rows, length, dtype)

    def after_step(self, mesh: Any) -> None:
        """The body's."""
        self.body.after_step(mesh)

    def flops_per_token(self, length: int) -> float:
        """The body's."""
        return self.body.flops_per_token(length)

    def roles(self) -> dict[str, Role]:
        """The body's."""
        return {f"body.{name}": role for name, role in self.body.roles().items()}

"""Batch: the one currency of training. A method differs from another only in which tensors it fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groundup.tokens.pack import Row


@dataclass(frozen=True)
class Batch:
    """B rows of T tokens. What a method does not need is None."""

    tokens: Tensor
    """(B, T) int64."""
    targets: Tensor
    """(B, T) int64: the token that follows."""
    weights: Tensor
    """(B, T) float32; 0.0 = not trained on."""
    count: float
    """What the summed loss is divided by: trained tokens, or pairs."""
    positions: Tensor | None = None
    """(B, T) int64; None: 0, 1, 2 ... along each row."""
    segments: Tensor | None = None
    """(B, T) int64: tokens see their own segment only; None: each row is one."""
    ref_logp: Tensor | None = None
    """(B, T) log-probability of the targets under the reference model."""
    old_logp: Tensor | None = None
    """(B, T) log-probability of the targets under the policy that drew them."""
    advantage: Tensor | None = None
    """(B, T) how much better than expected the token's roll-out was."""
    returns: Tensor | None = None
    """(B, T) what a value head should predict."""
    old_value: Tensor | None = None
    """(B, T) what it predicted when the roll-out was drawn."""
    pair: Tensor | None = None
    """(B, S) int64: which pair of its row a segment belongs to."""
    segment_weight: Tensor | None = None
    """(B, S) 1.0 for the preferred segment of a pair or a liked one, -1.0 for the other or a disliked one, else 0.0."""
    margin: Tensor | None = None
    """(B, S) by how much a preferred segment is better, in log-odds; 0.0 for all others."""

    label: Tensor | None = None
    """(B, S) int64: the class of a segment, where it has one."""
    number: Tensor | None = None
    """(B, S) float32: the number of a segment, where it has one."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved: dict[str, Any] = {name: value.to(device, non_blocking=True) for name, value in self.tensors().items()}
        return replace(self, **moved)

    def tensors(self) -> dict[str, Tensor]:
        """The fields that hold tensors, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def in_rows_of(self, length: int) -> Batch:
        """The same tokens in more rows of `length`, a divisor of T. For batches without segments' or pairs' fields."""
        rows: dict[str, Any] = {name: value.reshape(-1, length) for name, value in self.tensors().items()}
        return replace(self, **rows)

    def cut(self, start: int, stop: int) -> Batch:
        """Rows `start` to `stop`, counted anew by their weights: for batches whose count is one of tokens."""
        rows = {name: value[start:stop] for name, value in self.tensors().items()}
        return replace(self, **rows, count=float(rows["weights"].sum()))


def collate(rows: Sequence[Row]) -> Batch:
    """One batch of equally long rows, counted by their weights.

    Positions and segments that say nothing (0, 1, 2 ...; one segment a row) become None: the same result by the faster
    way through attention.
    """
    tokens, targets, positions, segments = (
        np.stack([getattr(row, name) for row in rows]) for name in ("tokens", "targets", "positions", "segments")
    )
    weights = np.stack([row.weights for row in rows])
    plain = bool((positions == np.arange(positions.shape[1])).all())
    alone = bool((segments == segments[:, :1]).all())
    return Batch(
        tokens=torch.from_numpy(tokens),
        targets=torch.from_numpy(targets),
        weights=torch.from_numpy(weights),
        count=float(weights.sum(dtype=np.float64)),
        positions=None if plain else torch.from_numpy(positions),
        segments=None if alone else torch.from_numpy(segments),
    )

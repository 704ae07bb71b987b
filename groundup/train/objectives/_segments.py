"""Sums over segments and pairs, for objectives that judge whole replies. Shapes: S segments in a row, P pairs in all.

Both replies of a pair lie in one row, each its own segment, so that a loss over pairs is additive over rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from groundup.train.batch import Batch


def totals(values: Tensor, batch: Batch) -> Tensor:
    """(B, T) to (B, S): the weighted sum over each segment; what stands at a token of weight 0 has no part in it."""
    idle = batch.weights == 0
    weighted = values.masked_fill(idle, 0.0) * batch.weights
    if batch.segments is None:
        return weighted.sum(1, keepdim=True)
    n = int(batch.segments.max()) + 1 if batch.segment_weight is None else batch.segment_weight.shape[1]
    return weighted.new_zeros(len(weighted), n).scatter_add(1, batch.segments, weighted)


def means(values: Tensor, batch: Batch) -> Tensor:
    """(B, T) to (B, S): the weighted mean over each segment; 0 where a segment has no weight."""
    lengths = totals(batch.weights.new_ones(batch.weights.shape), batch)
    return totals(values, batch) / lengths.masked_fill(lengths == 0, 1.0)


def by_pair(values: Tensor, batch: Batch) -> Tensor:
    """(B, S) to (P,): the sum over the two replies of each pair, in the order of the rows."""
    assert batch.pair is not None and batch.segment_weight is not None, "pairs need a feed of preferences"
    idle = batch.segment_weight == 0
    sums = values.new_zeros(values.shape).scatter_add(1, batch.pair, values.masked_fill(idle, 0.0))
    members = values.new_zeros(values.shape).scatter_add(1, batch.pair, batch.segment_weight.abs())
    return sums[members > 0]


def lead(values: Tensor, batch: Batch) -> Tensor:
    """(B, S) to (P,): by how much the preferred reply of each pair is ahead of the other."""
    assert batch.segment_weight is not None, "pairs need a feed of preferences"
    return by_pair(values * batch.segment_weight, batch)


def softplus(values: Tensor) -> Tensor:
    """`log(1 + exp(values))`, that is -log sigmoid(-values), without overflow."""
    return values.logaddexp(values.new_zeros(()))


def verdict(losses: Tensor, margins: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """What an objective over pairs returns: the sum of the losses (P,), and the sums of what is reported.

    `accuracy` is the share of pairs whose preferred reply is ahead (a tie is not), `margin` by how much on average.
    """
    loss, ahead = losses.sum(), margins.detach()
    return loss, {"loss": loss.detach(), "accuracy": (ahead > 0).sum().to(ahead.dtype), "margin": ahead.sum()}

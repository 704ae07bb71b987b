"""Context parallelism (Ulysses: Jacobs et al. 2023, arXiv 2309.14509): each rank holds some tokens of every row.

All of a block but attention works on one token at a time. For attention the ranks trade tokens for heads: each gets all
tokens of some heads, and afterwards its tokens of all heads back. So every rank has the same work, causal or not, and
the fast ways through attention stay. Scores are put together to whole rows before the objective sees them.
"""

import math
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.attention import Sight
from groundup.models._base import Model, Scores
from groundup.parallel._base import Split, gathered, turned

Attend = Callable[[Tensor, Tensor, Tensor, Sight], Tensor]


def apply(split: Split) -> None:
    """Have every attention trade tokens for heads, and `score` take its part of whole rows.

    Raises UnsupportedError for a model without attention, ConfigError where its heads do not divide.
    """
    axis = split.axis("context")
    for part in split.parts:
        check(part, axis.size() * split.mesh.size("tensor"))
        mixers: list[Any] = [module for module in part.modules() if hasattr(module, "attend")]
        for mixer in mixers:
            mixer.attend = Ulysses(axis, mixer.attend)
        part.score = RowPart(axis, part.score)  # type: ignore[method-assign]


def check(model: Model, n: int) -> None:
    """Raises UnsupportedError for a model without attention, ConfigError where `n` does not divide its heads."""
    if not any(hasattr(module, "attend") for module in model.modules()):
        raise UnsupportedError(f"parallel.context: {type(model).__name__} has no attention; use parallel.data")
    heads = getattr(model.config, "heads", 0)
    if heads % n:
        raise ConfigError(f"parallel.context x parallel.tensor = {n} do not divide model.heads={heads}")


class Ulysses:
    """Attention over whole rows by ranks that hold a part of each: all tokens of some heads."""

    def __init__(self, axis: DeviceMesh, attend: Attend) -> None:
        self._axis, self._attend = axis, attend
        self._last: tuple[Sight | None, Sight | None] = (None, None)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
        """As `layers.attention.attend` `(B, H, T/n, d)`, but `sight.segments` are those of the whole row."""
        groups, n = k.shape[1], self._axis.size()
        copies = math.lcm(groups, n) // groups
        if copies > 1:
            k, v = (x.repeat_interleave(copies, 1) for x in (k, v))
        q, k, v = (turned(x, self._axis, 2, 1) for x in (q, k, v))
        return turned(self._attend(q, k, v, self._whole(sight, q.shape[2])), self._axis, 2, 1)

    def _whole(self, sight: Sight, length: int) -> Sight:
        """The sight of whole rows, made once for all layers of one pass."""
        if self._last[0] is not sight:
            slots = torch.arange(length, device=sight.positions.device)[None]
            whole = sight.__dict__.setdefault("whole", Sight(slots, length, sight.segments))
            self._last = (sight, whole)
        assert self._last[1] is not None
        return self._last[1]


class RowPart:
    """`Model.score` of whole rows by ranks that each work on a part of them."""

    def __init__(self, axis: DeviceMesh, score: Callable[..., Scores]) -> None:
        self._axis, self._score = axis, score

    def __call__(
        self,
        tokens: Tensor,
        targets: Tensor,
        *,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        weights: Tensor | None = None,
        ask: Collection[str] = (),
    ) -> Scores:
        """See `Model.score`. Raises UnsupportedError for what needs the hidden states of whole rows."""
        if refused := sorted(set(ask) - {"entropy", "value"}):
            raise UnsupportedError(f"parallel.context: {', '.join(refused)} cannot be asked of a part of a row")
        part, positions = row_part(self._axis, tokens, positions)
        scores = self._score(
            tokens[:, part],
            targets[:, part],
            positions=positions,
            segments=segments,
            weights=None if weights is None else weights[:, part],
            ask=ask,
        )
        return whole_rows(self._axis, scores)


def row_part(axis: DeviceMesh, tokens: Tensor, positions: Tensor | None) -> tuple[slice, Tensor]:
    """Which tokens of rows `(B, T)` are this rank's, and where they stand. Raises ConfigError if T does not divide."""
    length, n = tokens.shape[1], axis.size()
    if length % n:
        raise ConfigError(
            f"parallel.context={n} does not divide rows of {length} tokens; set model.length to a multiple"
        )
    here = axis.get_local_rank() * (length // n)
    part = slice(here, here + length // n)
    if positions is None:
        positions = torch.arange(length, device=tokens.device)[None]
    return part, positions[:, part]


def whole_rows(axis: DeviceMesh, scores: Scores) -> Scores:
    """The scores of whole rows, on every rank; all work out the same loss from them."""

    def put_together(value: Tensor | None) -> Any:
        return None if value is None else gathered(value, axis, 1, alike=True)

    return Scores(
        put_together(scores.logp),
        put_together(scores.lse),
        entropy=put_together(scores.entropy),
        value=put_together(scores.value),
        aux=scores.aux,
    )

"""Ranks, axes and collectives; the identity when the world is one process.

The only room-level file that may import `torch.distributed`. A model never sees a mesh; the trainer sees sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Mesh:
    """A grid of processes. One process is a grid of one, where every collective is the identity."""

    rank: int = 0
    world: int = 1
    data_axes: tuple[str, ...] = ()

    def sum(self, value: T, axes: Sequence[str]) -> T:
        """The sum of `value` over the ranks along `axes`; the value itself when there are no such ranks."""
        return value

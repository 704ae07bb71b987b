"""Two models on the same items: the difference of each score, with an interval that knows that the items are the same.

An item is hard for both models, so their differences vary far less than their scores: a difference can be certain
where the two intervals overlap widely.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from groundup.errors import DataError
from groundup.eval.interval import Interval, bootstrap

Columns = Mapping[str, Sequence[Any]]
"""The items of a benchmark as columns: `ids`, and `scores`, `nats`, `n_bytes` as far as they were measured."""


@dataclass(frozen=True)
class Difference:
    """What the second model has over the first on `n` items: of scores, and of bits per byte (less is better)."""

    n: int
    score: Interval | None
    bits: Interval | None

    @property
    def certain(self) -> bool:
        """Is an interval clear of zero: that of the scores, or where there are none of the bits?"""
        told = self.score or self.bits
        return told is not None and (told.low > 0 or told.high < 0)

    def facts(self) -> dict[str, Any]:
        """Plain values."""
        parts = {"score": self.score, "bits_per_byte": self.bits}
        return {"n": self.n, "certain": self.certain, **{name: part and part.facts() for name, part in parts.items()}}


def difference(first: Columns, second: Columns) -> Difference:
    """The second model minus the first, over the items that both were asked. Raises DataError where there is none."""
    places = {name: place for place, name in enumerate(first["ids"])}
    pairs = [(places[name], place) for place, name in enumerate(second["ids"]) if name in places]
    if not pairs:
        raise DataError("no item was asked of both; measure both with the same --limit and --seed")
    score = bits = None
    if "scores" in first and "scores" in second:
        score = bootstrap([second["scores"][there] - first["scores"][here] for here, there in pairs])
    sizes = [first["n_bytes"][here] for here, _ in pairs] if "n_bytes" in first else []
    if all(sizes) and sizes and all(None not in (first["nats"][here], second["nats"][there]) for here, there in pairs):
        bits = bootstrap([(second["nats"][there] - first["nats"][here]) / log(2) for here, there in pairs], sizes)
    return Difference(len(pairs), score, bits)

"""Paired differences: same items, an interval narrower than those of the scores."""

from random import Random

import pytest

from groundup.errors import DataError
from groundup.eval.compare import difference
from groundup.eval.interval import wilson


def columns(scores: list[float], first: int = 0) -> dict[str, list]:
    return {
        "ids": [str(n + first) for n in range(len(scores))],
        "scores": scores,
        "nats": [2.0 - score for score in scores],
        "n_bytes": [4] * len(scores),
    }


def test_a_small_difference_on_the_same_items_is_certain() -> None:
    random = Random(1)
    before = [float(random.random() < 0.5) for _ in range(400)]
    after = [1.0 if place % 20 == 0 else score for place, score in enumerate(before)]
    found = difference(columns(before), columns(after))
    gained = sum(after) - sum(before)
    assert found.score is not None and found.bits is not None
    assert found.score.value == pytest.approx(gained / 400)
    assert found.certain and found.score.low > 0
    assert found.bits.value < 0
    apart = [wilson(round(sum(scores)), 400) for scores in (before, after)]
    assert apart[0].high > apart[1].low  # the scores alone would not tell


def test_only_items_of_both_count() -> None:
    found = difference(columns([1.0, 0.0, 1.0]), columns([0.0, 0.0, 1.0], first=1))
    assert found.n == 2
    assert found.score is not None and found.score.value == pytest.approx((0.0 - 0.0 + 0.0 - 1.0) / 2)
    with pytest.raises(DataError, match="--limit and --seed"):
        difference(columns([1.0]), columns([1.0], first=5))


def test_the_same_model_differs_by_nothing() -> None:
    found = difference(columns([1.0, 0.0]), columns([1.0, 0.0]))
    assert not found.certain
    assert found.facts()["score"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_texts_have_bits_and_no_scores() -> None:
    texts = {"ids": ["0", "1"], "nats": [8.0, 4.0], "n_bytes": [8, 4]}
    better = {**texts, "nats": [4.0, 2.0]}
    found = difference(texts, better)
    assert found.score is None and found.bits is not None and found.bits.value < 0
    assert found.certain

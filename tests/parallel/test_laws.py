"""N ranks are one rank: every way of splitting a model leaves its gradients and losses what they are on one process."""

import pytest

from parallel.ranks import figures

EXACT = 1e-9
"""In float64, Newton-Schulz too, over 20 steps: relative, a gradient by the norm of its tensor."""
ROUNDED = 1e-5
"""In float32, the gradients of the first step."""
LOSSES = 1e-4
"""In float32, the losses of 20 steps."""


def test_two_ranks_are_one() -> None:
    cases = ("zero3/muon/qwen3", "tensor/muon/qwen3")
    found = figures(2, "float64", *cases, steps=3)
    assert len(found) == len(cases)
    for case, row in found.items():
        assert row["gradients"] < EXACT and row["losses"] < EXACT, (case, row)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_every_layout_is_one_rank(ranks: int) -> None:
    found = figures(ranks, "float64", "*", seconds=1700)
    assert len(found) >= 14
    for case, row in found.items():
        assert row["gradients"] < EXACT and row["losses"] < EXACT, (case, row)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_every_layout_is_one_rank_but_for_rounding(ranks: int) -> None:
    for case, row in figures(ranks, "float32", "*/adamw/*", "*/muon/qwen3", seconds=1700).items():
        assert row["first_gradients"] < ROUNDED and row["losses"] < LOSSES, (case, row)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_in_bfloat16_ranks_are_no_further_apart_than_seeds(ranks: int) -> None:
    found = figures(ranks, "bfloat16", "*/muon/qwen3", "*/adamw/moe", seconds=1700)
    assert len(found) >= 5
    for case, row in found.items():
        assert row["losses"] < row["spread"], (case, row)

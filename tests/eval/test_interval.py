"""Intervals against values from the literature and against their own promise: coverage."""

from math import comb

import numpy as np
import pytest

from groundup.eval.interval import Interval, bootstrap, mean, pass_at, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (450, 500, 0.8706, 0.9233),
    ],
)
def test_wilson_agrees_with_published_values(right: int, n: int, low: float, high: float) -> None:
    found = wilson(right, n)
    assert found.value == right / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_wilson_is_symmetric_and_holds_its_value() -> None:
    for n in (1, 7, 500):
        for right in range(n + 1):
            found, other = wilson(right, n), wilson(n - right, n)
            assert 0.0 <= found.low <= found.value <= found.high <= 1.0
            assert found.low == pytest.approx(1 - other.high)


def test_wilson_of_nothing_is_everything_and_nonsense_is_refused() -> None:
    assert wilson(0, 0) == Interval(0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="5 right out of 3"):
        wilson(5, 3)


def test_bootstrap_of_a_mean_is_near_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_bootstrap_of_a_ratio_weighs_large_units_more() -> None:
    assert bootstrap([10.0, 10.0], [1.0, 9.0]).value == 2.0
    exact = bootstrap([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (exact.low, exact.value, exact.high) == (2.0, 2.0, 2.0)


def test_bootstrap_repeats_and_is_chunked_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random(50)
    whole = bootstrap(values)
    assert bootstrap(values) == whole
    assert bootstrap(values, seed=1) != whole
    monkeypatch.setattr("groundup.eval.interval._DRAWS", 500)
    assert bootstrap(values) == whole


def test_bootstrap_covers_what_it_says() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for seed in range(100):
        found = bootstrap(generator.exponential(1.0, 60), seed=seed)
        covered += found.low <= 1.0 <= found.high
    assert 87 <= covered <= 99  # of 100; a percentile interval of a skewed sample of 60 covers about 93


@pytest.mark.parametrize(("values", "weights"), [([], None), ([1.0], [0.0]), ([1.0, 2.0], [1.0]), ([1.0], [-1.0])])
def test_bootstrap_refuses_what_has_no_ratio(values: list[float], weights: list[float] | None) -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        bootstrap(values, weights)


def test_bootstrap_passes_over_draws_that_weigh_nothing() -> None:
    found = bootstrap([0.0, 3.0], [0.0, 1.0])
    assert (found.low, found.high) == (3.0, 3.0)


def test_mean_is_wilson_for_right_and_wrong_only() -> None:
    assert mean([1.0, 0.0, 1.0, 1.0]) == wilson(3, 4)
    assert mean([0.5, 0.0, 1.0]) == bootstrap([0.5, 0.0, 1.0])


def test_pass_at_k_counts_the_ways_to_draw_only_wrong_ones() -> None:
    assert pass_at(1, 8, 2) == pytest.approx(0.25)
    assert pass_at(8, 8, 1) == 1.0
    assert pass_at(2, 4, 2) == pytest.approx(1 - 1 / 6)
    assert pass_at(5, 10, 0) == 0.0
    with pytest.raises(ValueError, match="at least 9 samples"):
        pass_at(9, 8, 1)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_pass_at_k_has_no_bias(k: int) -> None:
    n, chance = 8, 0.3
    expected = sum(comb(n, c) * chance**c * (1 - chance) ** (n - c) * pass_at(k, n, c) for c in range(n + 1))
    assert expected == pytest.approx(1 - (1 - chance) ** k)

"""pass@k against its definition, and without bias against a coin of known chance."""

from itertools import combinations
from math import comb

import pytest

from groundup.eval.passk import pass_at_k


@pytest.mark.parametrize(("n", "passed", "k"), [(5, 2, 1), (5, 2, 3), (6, 1, 4), (4, 0, 2), (4, 4, 1), (5, 3, 3)])
def test_it_is_the_share_of_draws_with_one_that_passes(n: int, passed: int, k: int) -> None:
    draws = list(combinations([True] * passed + [False] * (n - passed), k))
    assert pass_at_k(n, passed, k) == pytest.approx(sum(any(draw) for draw in draws) / len(draws))


@pytest.mark.parametrize("k", [1, 3, 8])
def test_it_has_no_bias(k: int) -> None:
    n, chance = 8, 0.3
    expected = sum(comb(n, c) * chance**c * (1 - chance) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert expected == pytest.approx(1 - (1 - chance) ** k)

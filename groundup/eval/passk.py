"""pass@k: would at least one of k programs pass, judged by n of them."""

from math import prod


def pass_at_k(n: int, passed: int, k: int) -> float:
    """The unbiased estimate of the chance that one of `k` programs passes, of `n` drawn of which `passed` did.

    1 - C(n - passed, k) / C(n, k), as a product, which does not overflow (Chen et al. 2021, arXiv 2107.03374).

    >>> pass_at_k(4, passed=2, k=1)
    0.5
    """
    assert 1 <= k <= n and 0 <= passed <= n, f"pass@{k} of {n} programs, {passed} passed"
    if n - passed < k:
        return 1.0
    return 1.0 - prod(1.0 - k / number for number in range(n - passed + 1, n + 1))

"""How sure a measured number is: Wilson and bootstrap intervals, and the unbiased pass@k."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb, inf, sqrt
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
# Student's t at 0.975 for 1, 2, ... degrees of freedom.
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
RESAMPLES = 2000  # an end then wavers by 0.06 of the standard error: sqrt(p (1 - p) / 2000) / normal density, p = 0.025
_DRAWS = 1 << 22  # numbers held at once while resampling: 32 MB


@dataclass(frozen=True)
class Interval:
    """A measured value and the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def facts(self) -> dict[str, float]:
        """Plain values for an artifact's facts."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(right: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share, `right` out of `n` (Wilson 1927); of none at all, anything between 0 and 1.

    Raises ValueError unless 0 <= right <= n.
    """
    if not 0 <= right <= n:
        raise ValueError(f"{right} right out of {n} is not a share; count right answers out of all answers")
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = right / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At the ends the formula gives 0 and 1 but for rounding, which would leave the value outside its own interval.
    return Interval(share, 0.0 if right == 0 else centre - half, 1.0 if right == n else centre + half)


def bootstrap(
    values: Sequence[float] | NDArray[np.float64],
    weights: Sequence[float] | NDArray[np.float64] | NDArray[np.int64] | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval:
    """The percentile interval of `sum(values) / sum(weights)` when whole units are drawn anew (Efron 1979).

    `values` and `weights` (n,) belong to the same n units: bits and bytes of each document, say. Without weights it is
    the mean. Raises ValueError for no units, or for weights that are negative or all zero.
    """
    above = np.asarray(values, dtype=np.float64)
    below = np.ones_like(above) if weights is None else np.asarray(weights, dtype=np.float64)
    if above.size == 0 or above.shape != below.shape or below.min() < 0 or below.sum() == 0:
        raise ValueError(f"{above.size} values over weights that sum to {below.sum()}: measure at least one unit")
    generator, n = np.random.default_rng(seed), above.size
    chunk = max(1, _DRAWS // n)
    drawn = []
    for first in range(0, RESAMPLES, chunk):
        counts = generator.multinomial(n, np.full(n, 1 / n), size=min(chunk, RESAMPLES - first))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append((counts @ above) / (counts @ below))
    ratios = np.concatenate(drawn)
    tail = (1 - confidence) / 2
    # A draw of units that all weigh nothing says nothing.
    low, high = np.quantile(ratios[np.isfinite(ratios)], [tail, 1 - tail])
    return Interval(float(above.sum() / below.sum()), float(low), float(high))


def mean(scores: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean of scores of independent examples: Wilson when each is right or wrong, else bootstrap."""
    if all(score in (0.0, 1.0) for score in scores):
        return wilson(round(sum(scores)), len(scores))
    return bootstrap(scores, seed=seed)


def student(values: Sequence[float]) -> Interval:
    """The mean of a few independent measurements, such as those of several seeds, with its t interval (Student 1908).

    One measurement says nothing of its spread: its interval is everything. Raises ValueError for none.
    """
    if not len(values):
        raise ValueError("there is nothing to take the mean of")
    value = fmean(values)
    if len(values) == 1:
        return Interval(value, -inf, inf)
    degrees = len(values) - 1
    # The table's last entries differ from the first terms of the expansion (Abramowitz and Stegun 26.7.5) by 0.1 %.
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    beyond = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    half = (T_975[degrees - 1] if degrees <= len(T_975) else beyond) * stdev(values) / sqrt(len(values))
    return Interval(value, value - half, value + half)


def pass_at(k: int, samples: int, right: int) -> float:
    """The chance that at least one of `k` samples is right, when `right` of `samples` were.

    The unbiased estimate of Chen et al. 2021 (arXiv 2107.03374).

    Raises ValueError unless 1 <= k <= samples and 0 <= right <= samples.
    """
    if not (1 <= k <= samples and 0 <= right <= samples):
        raise ValueError(f"pass@{k} of {samples} samples with {right} right: take at least {k} samples of each example")
    return 1.0 - comb(samples - right, k) / comb(samples, k)

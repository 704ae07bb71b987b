"""What the machine reaches at best: the denominators of the floors."""

import time
from collections.abc import Callable

import numpy as np


def copied_bytes_per_second(n_bytes: int = 1 << 28) -> float:
    """Bytes a second that are read and written in copying an array of `n_bytes`: the best of five, on one core."""
    source = np.ones(max(n_bytes, 1 << 12) // 8)
    target = np.empty_like(source)
    return 2 * source.nbytes / _best(lambda: np.copyto(target, source))


def read_bytes_per_second(n_bytes: int) -> float:
    """Bytes a second at which the weights of a model of that size can be read, on all cores: the best of several.

    Small models lie in the cache and are read faster than memory.
    """
    import torch

    weights = torch.ones(max(n_bytes, 1 << 12) // 4)
    return 4 * len(weights) / _best(lambda: weights.sum(), repeats=max(5, (1 << 29) // n_bytes))


def _best(work: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])

"""A cache is rows that share nothing, and views that share everything."""

import torch

from groundup.layers.cache import Cache


def test_slices_share_memory_and_rows_are_copied() -> None:
    cache = Cache([(torch.zeros(3, 2),), (torch.zeros(3, 4), torch.zeros(3))], torch.zeros(3, dtype=torch.int64), 8)
    part = cache.slice(1, 3, torch.tensor([2, 1]))
    part.layers[1][0][0] = 7.0
    part.advance(2)
    assert cache.rows == 3 and part.rows == 2
    assert cache.lengths.tolist() == [0, 2, 1]
    cache.copy(cache, [1], [0])
    assert cache.layers[1][0].tolist() == [[7.0] * 4, [7.0] * 4, [0.0] * 4]
    cache.advance(1)
    assert cache.lengths.tolist() == [3, 3, 2]
    cache.clear(1, 3)
    assert cache.lengths.tolist() == [3, 0, 0]

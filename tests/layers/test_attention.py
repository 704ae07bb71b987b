"""The ways to compute attention agree, values and gradients."""

import pytest
import torch
from torch import Tensor

from groundup.errors import UnsupportedError
from groundup.layers.attention import BLOCK, Attention, Sight, attend
from groundup.layers.cache import Cache
from groundup.layers.rope import rotation


def inputs(heads: int, groups: int, T: int, keys: int | None = None) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, heads, T, 6), (2, groups, keys or T, 6), (2, groups, keys or T, 6)]
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]


def segments(T: int) -> Tensor:
    return torch.stack([torch.arange(T) // 5, (torch.arange(T) >= T // 2).long()])


@pytest.mark.parametrize("T", [1, 7, BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize("heads, groups", [(2, 2), (4, 2)])
@pytest.mark.parametrize("split", [False, True])
def test_plain_equals_sdpa(T: int, heads: int, groups: int, split: bool) -> None:
    sight = Sight.of(torch.zeros(2, T), segments(T) if split else None, None)
    results = {}
    for backend in ("plain", "sdpa"):
        q, k, v = inputs(heads, groups, T)
        out = attend(q, k, v, sight, backend)
        out.backward(torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out))
        results[backend] = [out, q.grad, k.grad, v.grad]
    for one, other in zip(results["plain"], results["sdpa"], strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("heads, groups", [(2, 2), (4, 1)])
@pytest.mark.parametrize("lengths, T", [((3, 3), 1), ((9, 2), 1), ((0, 4), 3)])
def test_plain_equals_sdpa_after_a_cache(heads: int, groups: int, lengths: tuple[int, int], T: int) -> None:
    cache = Cache([], torch.tensor(lengths), 32)
    sight = Sight.of(torch.zeros(2, T), None, cache)
    q, k, v = inputs(heads, groups, T, sight.n_keys)
    torch.testing.assert_close(attend(q, k, v, sight, "plain"), attend(q, k, v, sight, "sdpa"))


def test_a_query_sees_its_own_segment_up_to_itself() -> None:
    sight = Sight.of(torch.zeros(1, 4), torch.tensor([[0, 0, 1, 1]]), None)
    assert sight.hidden is not None
    seen = (~sight.hidden)[0, 0].int().tolist()
    assert seen == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_segments_after_a_cache_are_refused() -> None:
    cache = Cache([], torch.zeros(1, dtype=torch.int64), 8)
    with pytest.raises(UnsupportedError, match="leave out segments"):
        Sight.of(torch.zeros(1, 4), torch.zeros(1, 4), cache)


def test_a_split_layer_has_fewer_heads() -> None:
    """Half of the heads of each projection is an Attention of half the heads, with no number changed."""
    torch.manual_seed(0)
    whole = Attention(16, heads=4, kv_heads=2, head_dim=4, qk_norm=True, eps=1e-6)
    x, turn, sight = (
        torch.randn(2, 5, 16),
        rotation(torch.arange(5)[None], 4, 10_000.0),
        Sight.of(torch.zeros(2, 5), None, None),
    )
    total = torch.zeros(2, 5, 16)
    for half in range(2):
        part = Attention(16, heads=4, kv_heads=2, head_dim=4, qk_norm=True, eps=1e-6)
        for name in ("q_proj", "k_proj", "v_proj"):
            getattr(part, name).weight = torch.nn.Parameter(getattr(whole, name).weight.chunk(2)[half])
        part.o_proj.weight = torch.nn.Parameter(whole.o_proj.weight.chunk(2, 1)[half])
        total += part(x, turn, sight)
    torch.testing.assert_close(total, whole(x, turn, sight))

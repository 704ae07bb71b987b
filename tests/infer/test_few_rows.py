"""Products and attention of a few rows against the same in float64."""

import pytest
import torch

from groundup.infer.few_rows import FewRows, attend_few, available
from groundup.layers.attention import Sight, attend_one

pytestmark = [
    pytest.mark.skipif(not torch.cpu._is_avx512_bf16_supported(), reason="needs AVX-512 with bfloat16"),
    pytest.mark.skipif(not available(), reason="needs a C++ compiler"),
]
ROUNDING = 2**-8
"""Of bfloat16."""


@pytest.mark.parametrize("n_in, n_out", [(64, 48), (512, 1408), (33, 17), (2, 1), (7, 130)])
def test_products_are_right_for_any_number_of_rows(n_in: int, n_out: int) -> None:
    torch.manual_seed(n_in)
    weight, bias = torch.randn(n_out, n_in).bfloat16(), torch.randn(n_out).bfloat16()
    plain, biased = FewRows(weight), FewRows(weight, bias)
    for rows in (1, 2, 3, 7, 8, 9, 15, 16, 17, 32, 37):
        x = torch.randn(rows, 1, n_in).bfloat16()
        want = x.double() @ weight.double().T
        for made, right in ((plain(x), want), (biased(x), want + bias.double())):
            assert made.shape == (rows, 1, n_out) and made.dtype == torch.bfloat16
            assert (made.double() - right).norm() < 2 * ROUNDING * right.norm()


def test_projections_that_are_joined_come_apart_again() -> None:
    linears = [torch.nn.Linear(32, width, bias=False, dtype=torch.bfloat16) for width in (32, 16, 48)]
    x = torch.randn(5, 32).bfloat16()
    parts = FewRows.of(linears)(x).split([32, 16, 48], -1)
    for part, linear in zip(parts, linears, strict=True):
        torch.testing.assert_close(part, linear(x), rtol=ROUNDING * 2, atol=ROUNDING * 2)


@pytest.mark.parametrize("heads, groups, width", [(4, 4, 64), (8, 2, 32), (2, 1, 96), (2, 2, 256), (4, 2, 48)])
def test_attention_sees_what_it_may_and_no_more(heads: int, groups: int, width: int) -> None:
    torch.manual_seed(width)
    for rows, n_keys in ((1, 1), (3, 15), (3, 16), (2, 17), (5, 100)):
        q = torch.randn(rows, 1, heads, width).bfloat16().transpose(1, 2)
        memory = torch.randn(2, rows, groups, 2 * n_keys, width).bfloat16()
        seen = torch.randint(0, n_keys, (rows, 1))
        seen[-1] = n_keys - 1
        for row in range(rows):
            memory[:, row, :, int(seen[row]) + 1 :] = torch.nan  # what was there before, and must not count
        k, v = memory[:, :, :, :n_keys]
        made = attend_few(q, k, v, Sight(seen, n_keys, square=False)) if width % 32 == 0 else None
        for row in range(rows):
            n = int(seen[row]) + 1
            alone = Sight(seen[row : row + 1], n, square=False)
            mine = (x[row : row + 1, :, :n].double() for x in (k, v))
            want = attend_one(q[row : row + 1].double(), *mine, alone)
            got = attend_few(q[row : row + 1], k[row : row + 1, :, :n], v[row : row + 1, :, :n], alone)
            assert (got.double() - want).norm() < ROUNDING * want.norm()
            assert made is None or made[row].equal(got[0])

"""The perceptrons, and their gradients, are the formulas in fp32; in bfloat16 they stay within its rounding."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from groundup.layers.mlp import GeluMLP, ReluSquaredMLP, SwiGLU, gelu

FORMULAS = {
    SwiGLU: lambda m, x: (functional.silu(x @ m.gate_proj.weight.T) * (x @ m.up_proj.weight.T)) @ m.down_proj.weight.T,
    ReluSquaredMLP: lambda m, x: (x @ m.up_proj.weight.T).clamp(min=0) ** 2 @ m.down_proj.weight.T,
    GeluMLP: lambda m, x: (
        functional.gelu(x @ m.c_fc.weight.T + m.c_fc.bias, approximate="tanh") @ m.c_proj.weight.T + m.c_proj.bias
    ),
}


def gradients(module: nn.Module, x: Tensor, out: Tensor) -> list[Tensor]:
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    return list(torch.autograd.grad((out * upstream).sum(), [x, *module.parameters()]))


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize(("dim", "hidden", "rows"), [(8, 24, 5), (33, 70, 17), (64, 256, 40)])
def test_equals_the_formula(kind: type[nn.Module], dim: int, hidden: int, rows: int) -> None:
    torch.manual_seed(1)
    module = kind(dim, hidden)
    x = torch.randn(2, rows, dim, requires_grad=True)
    exact = [FORMULAS[kind](module, x)]
    exact += gradients(module, x, exact[0])
    plain = [module(x)]
    for one, other in zip([*plain, *gradients(module, x, plain[0])], exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = [module(x)]
    for one, other in zip([*narrow, *gradients(module, x, narrow[0])], exact, strict=True):
        assert (one - other).norm() < 1e-2 * other.norm()


def test_gelu_in_bfloat16_is_as_near_as_its_rounding() -> None:
    x = torch.linspace(-8, 8, 40_001)
    exact = functional.gelu(x, approximate="tanh")
    rounded = (exact.bfloat16().float() - exact).norm()
    assert (
        gelu(x.bfloat16()).float() - functional.gelu(x.bfloat16().float(), approximate="tanh")
    ).norm() < rounded * 1.5
    torch.testing.assert_close(gelu(x), exact)

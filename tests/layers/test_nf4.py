"""Four-bit weights: the published levels, the error of a normal weight, gradients as of the weight that is used."""

import pytest
import torch
from torch import nn

from groundup.errors import ConfigError
from groundup.layers.nf4 import Nf4Linear, dequantized, levels, quantized, to_four_bits

PUBLISHED = (
    -1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0,
)  # fmt: skip
"""Appendix E of arXiv 2305.14314."""


def test_the_levels_are_the_published_ones() -> None:
    torch.testing.assert_close(levels(), torch.tensor(PUBLISHED), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(8, 64), (3, 50), (1, 1)])
def test_each_weight_is_the_nearest_level_times_the_scale_of_its_block(shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    codes, scales = quantized(weight)
    assert codes.dtype == torch.uint8 and len(codes) == -(-weight.numel() // 64) * 32
    back = dequantized(codes, scales, shape)
    flat, again = weight.flatten(), back.flatten()
    for start in range(0, len(flat), 64):
        block = flat[start : start + 64]
        choices = levels() * block.abs().max()
        nearest = (block[:, None] - choices).abs().min(1).values
        torch.testing.assert_close((block - again[start : start + 64]).abs(), nearest)
    again_codes, _ = quantized(back)
    assert torch.equal(dequantized(again_codes, scales, shape), back)


def test_zeros_stay_zeros() -> None:
    assert (dequantized(*quantized(torch.zeros(2, 64)), (2, 64)) == 0).all()


@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradient_are_those_of_the_weight_that_is_used(bias: bool) -> None:
    torch.manual_seed(0)
    four = Nf4Linear(nn.Linear(48, 20, bias=bias))
    whole = nn.Linear(48, 20, bias=bias)
    whole.weight = nn.Parameter(four.weight)
    if bias:
        whole.bias = four.bias
    x = torch.randn(3, 5, 48)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [module(each) for module, each in zip((four, whole), inputs, strict=True)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        (output**2).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_linears_are_put_in_four_bits_by_name() -> None:
    net = nn.Sequential(nn.Linear(64, 64), nn.Sequential(nn.Linear(64, 64)))
    assert to_four_bits(net, ["1.*"]) == ["1.0"]
    assert isinstance(net[0], nn.Linear) and isinstance(net[1][0], Nf4Linear)
    with pytest.raises(ConfigError, match="no name matches 'zero'"):
        to_four_bits(net, ["zero"])

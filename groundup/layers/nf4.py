"""Four-bit weights (NF4 of QLoRA, Dettmers et al. 2023, arXiv 2305.14314), wrapped from outside by name pattern.

A weight is one of 16 levels times the largest magnitude in its block of 64. The levels are quantiles of a normal
distribution, so that each is used about as often as the next. Weights are frozen; adapters train beside them.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from groundup.layers.freeze import matching

BLOCK = 64  # weights that share a scale, as in the paper: 4.5 bits a weight with float32 scales


@cache
def levels() -> Tensor:
    """The 16 levels, ascending from -1 to 1, with 0 among them: 8 quantiles above it and 7 below (appendix E).

    The outermost quantile is the mean of 1 - 1/30 and 1 - 1/32, which the two sides would need by themselves.
    """
    edge = 0.5 * ((1 - 1 / 30) + (1 - 1 / 32))
    above = torch.special.ndtri(torch.linspace(edge, 0.5, 9, dtype=torch.float64))[:-1]
    below = -torch.special.ndtri(torch.linspace(edge, 0.5, 8, dtype=torch.float64))[:-1]
    found = torch.cat([below, torch.zeros(1, dtype=torch.float64), above]).sort().values
    return (found / found.max()).float()


class Nf4Linear(nn.Module):
    """A Linear whose weight is kept in four bits and made anew, in the dtype of the input, each time it is used."""

    codes: Tensor
    scales: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        codes, scales = quantized(linear.weight.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().clone(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The weight as it is used, float32 `(out, in)`."""
        return dequantized(self.codes, self.scales, (self.out_features, self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., in)` to `(..., out)`."""
        shape = (self.out_features, self.in_features)
        out: Tensor = _FourBit.apply(x, self.codes, self.scales, shape)  # type: ignore[no-untyped-call]
        return out if self.bias is None else out + self.bias.to(out.dtype)


class _FourBit(torch.autograd.Function):
    """Keeps four bits a weight for the backward pass, not the weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, scales: Tensor, shape: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(codes, scales)
        ctx.shape = shape
        return functional.linear(x, dequantized(codes, scales, shape).to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        codes, scales = ctx.saved_tensors
        return grad @ dequantized(codes, scales, ctx.shape).to(grad.dtype), None, None, None


def quantized(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes, two to a byte, uint8 `(n / 2,)`, and a float32 scale for each block; the last block is filled up."""
    flat = functional.pad(weight.float().flatten(), (0, -weight.numel() % BLOCK)).view(-1, BLOCK)
    scales = flat.abs().amax(1)
    table = levels().to(weight.device)
    between = (table[1:] + table[:-1]) / 2
    codes = torch.bucketize(flat / scales.masked_fill(scales == 0, 1.0)[:, None], between)
    high, low = codes.to(torch.uint8).view(-1, 2).unbind(1)
    return high << 4 | low, scales


def dequantized(codes: Tensor, scales: Tensor, shape: tuple[int, int]) -> Tensor:
    """The float32 weight `shape` of codes and scales."""
    table = levels().to(codes.device)
    values = table[torch.stack([codes >> 4, codes & 15], 1).long()].view(-1, BLOCK) * scales[:, None]
    return values.flatten()[: shape[0] * shape[1]].view(shape)


def to_four_bits(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Put the Linears that the patterns cover in four bits, in place; their names. Raises ConfigError.

    Do so before adapters are added. The head is not a Linear that is called, and stays as it is.
    """
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    names = matching([name for name in linears if not name.endswith("lm_head")], patterns)
    for name in names:
        model.set_submodule(name, Nf4Linear(linears[name]))
    return names

"""Weights in 8 or 4 bits: Linears are replaced from outside, by name, and compute in the dtype of what they are given.

    int8   one scale for each output; weights are -127 .. 127
    int4   one scale for each output and group of 32 inputs; weights are -7 .. 7, two in a byte

Symmetric round-to-nearest; each scale is the one of a few that leaves the least squared error (clipping the largest
weights a little pays: Frantar et al. 2022, arXiv 2210.17323, and AWQ, arXiv 2306.00978, search in the same way).
"""

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundup.errors import UnsupportedError

Kind = Literal["int8", "int4"]
M = TypeVar("M", bound=nn.Module)

LARGEST: Mapping[str, int] = {"int8": 127, "int4": 7}
GROUP = 32  # inputs that share a scale in int4; Q4_0's block
SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
"""Scales that are tried, as shares of the one that clips nothing."""

HIDDEN = ("*.[qkvo]_proj", "*.gate_proj", "*.up_proj", "*.down_proj", "*.c_attn", "*.c_proj", "*.c_fc")
"""The matrices between embedding and head, in every architecture of the house."""


class QuantizedLinear(nn.Module):
    """A Linear whose weight is held in 8 or 4 bits and made whole for each product."""

    codes: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, n_in: int, n_out: int, bias: bool, kind: Kind) -> None:
        """Raises UnsupportedError where the inputs do not fill groups."""
        super().__init__()
        if kind == "int4" and n_in % GROUP:
            raise UnsupportedError(f"int4 takes groups of {GROUP} inputs and a layer has {n_in}; use int8")
        self.kind, self.n_in = kind, n_in
        packed = n_in if kind == "int8" else n_in // 2
        self.register_buffer("codes", torch.zeros(n_out, packed, dtype=torch.int8 if kind == "int8" else torch.uint8))
        groups = 1 if kind == "int8" else n_in // GROUP
        self.register_buffer("scale", torch.zeros(n_out, groups, dtype=torch.float16))
        self.register_buffer("bias", torch.zeros(n_out) if bias else None)

    @classmethod
    def of(cls, linear: nn.Linear, kind: Kind) -> "QuantizedLinear":
        """A Linear, rounded. Raises UnsupportedError as the constructor does."""
        made = cls(linear.in_features, linear.out_features, linear.bias is not None, kind)
        codes, scale = rounded(linear.weight.detach().float(), kind)
        made.codes, made.scale = (codes if kind == "int8" else _pack(codes)), scale
        if linear.bias is not None:
            made.bias = linear.bias.detach().clone()
        return made.to(linear.weight.device)

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The weight `(n_out, n_in)` that the codes stand for."""
        codes = self.codes if self.kind == "int8" else _unpack(self.codes)
        grouped = codes.view(len(codes), self.scale.shape[1], -1).float() * self.scale.float()[:, :, None]
        return grouped.view(len(codes), self.n_in).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., n_in)` to `(..., n_out)`."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.linear(x, self.weight(x.dtype), bias)


def quantize(model: M, kind: Kind, patterns: Sequence[str] = HIDDEN) -> M:
    """A copy whose Linears with a name of the `patterns` are held in 8 or 4 bits; the rest is as it was.

    Raises UnsupportedError where no Linear has such a name, or one does not fill groups.
    """
    made = copy.deepcopy(model)
    n_replaced = 0
    for name, module in list(made.named_modules()):
        if isinstance(module, nn.Linear) and any(fnmatchcase(name, pattern) for pattern in patterns):
            parent, _, last = name.rpartition(".")
            setattr(made.get_submodule(parent), last, QuantizedLinear.of(module, kind))
            n_replaced += 1
    if not n_replaced:
        raise UnsupportedError(f"{type(model).__name__} has no Linear named {', '.join(patterns)}; nothing to quantize")
    return made


def rounded(weight: Tensor, kind: Kind) -> tuple[Tensor, Tensor]:
    """Codes `(n_out, n_in)` int8 and scales `(n_out, groups)` float16 of a weight `(n_out, n_in)` float32."""
    largest = LARGEST[kind]
    grouped = weight.view(len(weight), 1 if kind == "int8" else -1, weight.shape[1] if kind == "int8" else GROUP)
    whole = grouped.abs().amax(-1, keepdim=True).clamp_min(1e-6) / largest
    best = torch.full_like(whole, float("inf"))
    scale = whole
    for shrink in SHRINKS:
        tried = (whole * shrink).half().float()
        error = ((grouped / tried).round().clamp(-largest, largest) * tried - grouped).square().sum(-1, keepdim=True)
        scale, best = torch.where(error < best, tried, scale), torch.minimum(error, best)
    codes = (grouped / scale).round().clamp(-largest, largest).to(torch.int8)
    return codes.view_as(weight), scale.squeeze(-1).half()


def stored_bytes(model: nn.Module) -> int:
    """Bytes that the weights and buffers of a model take."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())


def _pack(codes: Tensor) -> Tensor:
    """Two codes of -7 .. 7 in a byte, the even one in the lower half."""
    shifted = (codes + 8).to(torch.uint8)
    return shifted[:, ::2] | (shifted[:, 1::2] << 4)


def _unpack(packed: Tensor) -> Tensor:
    pairs = torch.stack([packed & 15, packed >> 4], -1)
    return pairs.flatten(1).to(torch.int8) - 8

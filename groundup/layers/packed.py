"""Linears of a copy that only generates: laid out once as the processor's library wants them, and joined.

A product of a few rows is bound by the reading of its weights, so their layout counts, and one call for all Linears
that read the same input. On two cores (Zen 4, bfloat16) a layer 512 wide takes 0.73 ms for one row and 0.85 for 16;
packed and joined 0.39 and 0.48. The operators are oneDNN's, those that torch's compiler uses. For one row alone oneDNN
reads 17 GB/s; torch's own product of a row reads what memory gives, 27 GB/s, so the plain layout is kept for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST = 32
"""Inputs and outputs of a Linear that is worth it; gates of a few channels are not."""


class Packed(nn.Module):
    """One or several Linears of the same input as one product. The weight can no longer be read or trained."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, widths: Sequence[int] = ()) -> None:
        """Of `weight` `(n_out, n_in)`; `widths` say how much of `n_out` is whose."""
        super().__init__()
        self.widths = list(widths) or [len(weight)]
        self._plain = weight.detach()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self._plain)
        self._bias = bias

    @classmethod
    def of(cls, linears: Sequence[nn.Linear]) -> "Packed":
        """Linears of the same input, all with a bias or all without."""
        weight = torch.cat([linear.weight.detach() for linear in linears])
        biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
        return cls(weight, torch.cat(biases) if biases else None, [linear.out_features for linear in linears])

    def forward(self, x: Tensor) -> Tensor:
        """`(..., n_in)` to `(..., n_out)`."""
        if x.numel() == x.shape[-1]:
            return _row(x, self._plain, self._bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return out


@contextmanager
def without_onednn() -> Iterator[None]:
    """Products by torch's own code; oneDNN is switched off for the whole process meanwhile."""
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = True  # type: ignore[assignment]


def _row(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The product of one row; the switch costs 0.5 us, as a context 1.5."""
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        return functional.linear(x, weight, bias)
    finally:
        torch.backends.mkldnn.enabled = True  # type: ignore[assignment]


def products(x: Tensor, *projections: nn.Module) -> Sequence[Tensor]:
    """What each of several projections of a layer makes of `x`; one product where they have been joined."""
    first = projections[0]
    if isinstance(first, Packed) and len(first.widths) == len(projections):
        parts: tuple[Tensor, ...] = first(x).split(first.widths, -1)
        return parts
    return [projection(x) for projection in projections]


def pack(model: nn.Module, but: nn.Module | None = None, kind: type[Packed] = Packed) -> None:
    """Pack the Linears below `model`, in place, `but` one; those that a module names in its `together` become one.

    Linears of another class (quantized ones) stay as they are, and those of a module with `reads_weights`.
    """
    for module in list(model.modules()):
        if getattr(type(module), "reads_weights", False):
            continue
        names: tuple[str, ...] = getattr(type(module), "together", ())
        joined = [getattr(module, name) for name in names]
        if joined and all(type(part) is nn.Linear for part in joined):
            one = kind.of(joined)
            for name in names:
                setattr(module, name, one)
        for name, part in module.named_children():
            if type(part) is nn.Linear and part is not but and min(part.weight.shape) >= SMALLEST:
                setattr(module, name, kind.of([part]))


def packable(weight: Tensor) -> bool:
    """Whether products with such weights are faster packed: in bfloat16 on a processor that multiplies it."""
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and _supported()


@cache
def _supported() -> bool:
    """Torch has no word for it that also knows of oneDNN's own limits, so it is tried."""
    try:
        Packed(torch.zeros(32, 32, dtype=torch.bfloat16))(torch.zeros(1, 32, dtype=torch.bfloat16))
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True

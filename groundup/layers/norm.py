"""Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from groundup.layers.autocast import compute_dtype


class RMSNorm(nn.Module):
    """`x / rms(x) * weight` over the last dimension. The result has the dtype the next matmul wants."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`(..., D)` to `(..., D)` in the autocast dtype."""
        return rms_norm(x, self.weight, self.eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """RMSNorm as one autograd node; statistics in float32, result in the autocast dtype."""
    dtype = compute_dtype(x)
    if not torch.is_grad_enabled():
        return _scaled(x, root_mean_square(x, eps), weight, dtype)
    result: Tensor = _RmsNorm.apply(x, weight, eps, dtype)  # type: ignore[no-untyped-call]
    return result


class _RmsNorm(torch.autograd.Function):
    """Three passes over memory forward where the composed form takes seven, and one saved tensor instead of four."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        root = root_mean_square(x, eps)
        ctx.save_for_backward(x, weight, root.reciprocal())
        return _scaled(x, root, weight, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        dim = x.shape[-1]
        gain, scale = weight.to(grad.dtype), scale.to(x.dtype)
        normed = (x * scale).to(grad.dtype)
        product = grad * normed
        grad_weight = product.sum(tuple(range(product.ndim - 1)))
        mean = (product @ gain).unsqueeze(-1).div_(-dim)
        grad_x = normed.mul_(mean).addcmul_(grad, gain).to(x.dtype).mul_(scale)
        return grad_x, grad_weight.to(weight.dtype), None, None


def _scaled(x: Tensor, root: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    return (x / root.to(x.dtype)).to(dtype).mul_(weight.to(dtype))


def root_mean_square(x: Tensor, eps: float) -> Tensor:
    """`sqrt(mean(x²) + eps)` over the last dimension, kept, in float32 (or wider)."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    root = norm.mul_(x.shape[-1] ** -0.5)
    if torch.compiler.is_exporting():  # ONNX has no hypotenuse
        return root.square().add(eps).sqrt()
    return root.hypot_(norm.new_full((), eps**0.5))

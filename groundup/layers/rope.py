"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864), pairs laid out as in Llama's published weights."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


def rotation(
    positions: Int[Tensor, "rows T"], head_dim: int, theta: float, dtype: torch.dtype = torch.float32
) -> tuple[Float[Tensor, "rows 1 T d"], Float[Tensor, "rows 1 T d"]]:
    """What turns a vector at each position: `x * first + swap(x) * second`, where `swap` exchanges the halves of `x`.

    Cosines, twice; and sines, the first time negative. Worked out in float32.
    """
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angles = positions[:, None, :, None].float() * theta**-exponents
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1).to(dtype), torch.cat((-sin, sin), -1).to(dtype)


def rotate(
    x: Float[Tensor, "B H T d"], cos: Float[Tensor, "#B 1 T d"], sin: Float[Tensor, "#B 1 T d"]
) -> Float[Tensor, "B H T d"]:
    """Turn each pair of `x` by its position's angle, as `rotation` gives it.

    The result is contiguous in this order of dimensions, which the matmuls of attention want; its gradient is laid out
    as `(B, T, H, head_dim)`, which the projections want.
    """
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    if not torch.is_grad_enabled():
        if not torch.compiler.is_exporting() and x.shape[2] == 1:  # a third of the calls; the same bits
            return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
        return _turn(x, cos, sin, 1, torch.empty(x.shape, dtype=x.dtype, device=x.device))
    result: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return result


class _Rotate(torch.autograd.Function):
    """The gradient of a rotation is the rotation back: nothing but the angles is saved."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1, torch.empty(x.shape, dtype=x.dtype, device=x.device))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        B, H, T, d = grad.shape
        out = torch.empty(B, T, H, d, dtype=grad.dtype, device=grad.device).transpose(1, 2)
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, sin, -1, out), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor, direction: int, out: Tensor) -> Tensor:
    (a, b), (left, right) = x.chunk(2, -1), out.chunk(2, -1)
    cos, sin = cos.chunk(2, -1)[1], sin.chunk(2, -1)[1]
    torch.mul(a, cos, out=left).addcmul_(b, sin, value=-direction)
    torch.mul(b, cos, out=right).addcmul_(a, sin, value=direction)
    return out

"""How far one model's next-token distribution is from another's, without ever holding both `(B, T, V)`.

Logits are made a chunk of rows at a time, and made again for the backward pass, as in `head.py`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from groundup.layers.head import CHUNK


def divergence(
    hidden: Float[Tensor, "*rows D"],
    weight: Float[Tensor, "V D"],
    taught: Float[Tensor, "*rows E"],
    taught_weight: Float[Tensor, "V E"],
    reverse: bool = False,
) -> Float[Tensor, "*rows"]:
    """KL(teacher, student) of every row in nats, float32; with `reverse` KL(student, teacher).

    Differentiable in `hidden` and `weight`, the student's; the teacher is a constant. Forward, the student covers all
    that the teacher might say; reverse, it keeps to what the teacher would say (arXiv 2306.08543).
    """
    rows, other = hidden.reshape(-1, hidden.shape[-1]), taught.reshape(-1, taught.shape[-1])
    found: Tensor = _Divergence.apply(rows, weight, other.detach(), taught_weight.detach(), reverse)  # type: ignore[no-untyped-call]
    return found.view(hidden.shape[:-1])


class _Divergence(torch.autograd.Function):
    """Keeps the hidden states alone."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, taught: Tensor, taught_weight: Tensor, reverse: bool
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, taught, taught_weight)
        ctx.reverse = reverse
        found = torch.empty(len(hidden), device=hidden.device)
        for part in _parts(len(hidden), len(weight)):
            ours, theirs = _logp(hidden[part], weight), _logp(taught[part], taught_weight)
            found[part] = _kl(ours, theirs) if reverse else _kl(theirs, ours)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, taught, taught_weight = ctx.saved_tensors
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        for part in _parts(len(hidden), len(weight)):
            ours, theirs = _logp(hidden[part], weight), _logp(taught[part], taught_weight)
            if ctx.reverse:
                slope = ours.exp() * (ours - theirs - _kl(ours, theirs)[:, None])
            else:
                slope = ours.exp() - theirs.exp()
            slope *= grad[part, None]
            grad_hidden[part] = (slope @ weight.float()).to(hidden.dtype)
            grad_weight += (slope.t() @ hidden[part].float()).to(weight.dtype)
        return grad_hidden, grad_weight, None, None, None


def _parts(n: int, V: int) -> list[slice]:
    size = max(1, CHUNK // V)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _logp(hidden: Tensor, weight: Tensor) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        return functional.linear(hidden, weight.to(hidden.dtype)).float().log_softmax(-1)


def _kl(first: Tensor, second: Tensor) -> Tensor:
    return (first.exp() * (first - second)).sum(-1)

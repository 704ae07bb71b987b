"""From hidden states to log-probabilities without ever holding a float32 `(B, T, V)`.

The vocabulary is far wider than the model, so logits are made a chunk of rows at a time. The probabilities are kept for
the backward pass in the matmul's dtype while they are small, and made again where they would be large (as cut
cross-entropy does, Wijmans et al. 2024, arXiv 2411.09009).
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from groundup.layers.autocast import compute_dtype

CHUNK = 2**21  # logits in one chunk: 8 MB as float32, about what a core's share of the cache holds
KEEP_BYTES = 2**29  # probabilities up to this size are kept for the backward pass rather than made twice


class LogProbs(NamedTuple):
    """What the head says about the targets; all float32, of the shape of the targets."""

    logp: Tensor
    lse: Tensor
    entropy: Tensor | None


def log_probs(
    hidden: Float[Tensor, "*rows D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, "*rows"],
    entropy: bool = False,
    weights: Float[Tensor, "*rows"] | None = None,
) -> LogProbs:
    """The log-probability of `targets` `(B, T)` under `softmax(hidden @ weight.T)`.

    `lse` is the log of the sum of the exponentials of the logits. Differentiable in hidden and weight, whichever of the
    results the loss uses. On a CPU, where `weights` are 0 nothing is worked out and all results are 0: half of a row of
    conversation, a quarter of the work. (On a GPU, finding those places would make the host wait.)
    """
    dtype, shape = compute_dtype(hidden), targets.shape
    rows, wanted = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1, 1)
    places = _weighted(weights) if weights is not None and hidden.device.type == "cpu" else None
    if places is not None:
        rows, wanted = rows.index_select(0, places), wanted[places]
    found = _LogProbs.apply(rows.to(dtype), weight, wanted, entropy)  # type: ignore[no-untyped-call]
    if places is not None:
        found = [part.new_zeros(targets.numel(), 1).index_copy(0, places, part) for part in found]
    logp, lse, spread = found
    return LogProbs(logp.view(shape), lse.view(shape), spread.view(shape) if entropy else None)


def _weighted(weights: Tensor) -> Tensor | None:
    """The places of weights that are not 0; None where they are too many to gain by leaving out the rest."""
    places = weights.reshape(-1).nonzero()[:, 0]
    return places if len(places) < 0.9 * weights.numel() else None


class _LogProbs(torch.autograd.Function):
    """Keeps `exp(logits - top)` and not the probabilities: dividing a row by its sum is left to the row's factor."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, entropy: bool) -> tuple[Tensor, ...]:
        n, V = hidden.shape[0], weight.shape[0]
        size = max(1, CHUNK // V)
        lower = weight.to(hidden.dtype)
        keep = any(ctx.needs_input_grad[:2]) and n * V * hidden.element_size() <= KEEP_BYTES
        kept = hidden.new_empty(n if keep else 0, V)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        buffer = hidden.new_empty(min(size, n), V, dtype=wide)
        logp, total, lse, spread = (hidden.new_zeros(n, 1, dtype=wide) for _ in range(4))
        for part in _parts(n, size):
            logits = _logits(hidden[part], lower)
            powers, total[part], lse[part] = _exponentials(logits, buffer)
            logp[part] = logits.gather(1, targets[part]) - lse[part]
            if entropy:
                spread[part] = lse[part] - (powers * logits).sum(-1, keepdim=True) / total[part]
            if keep:
                kept[part] = powers
        ctx.save_for_backward(hidden, weight, targets, total, lse, spread, kept)
        ctx.size, ctx.entropy = size, entropy
        return logp, lse, spread

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logp: Tensor, grad_lse: Tensor, grad_entropy: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, total, lse, spread, kept = ctx.saved_tensors
        n, V = hidden.shape[0], weight.shape[0]
        lower = weight.to(hidden.dtype)
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        buffer = hidden.new_empty(0 if len(kept) else min(ctx.size, n), V, dtype=lse.dtype)
        for part in _parts(n, ctx.size):
            powers = kept[part] if len(kept) else _exponentials(_logits(hidden[part], lower), buffer)[0]
            powers = powers.to(hidden.dtype)
            grad = powers * ((grad_lse[part] - grad_logp[part]) / total[part]).to(powers.dtype)
            if ctx.entropy:
                probs = powers / total[part]
                surprise = torch.xlogy(probs, probs).addcmul_(probs, spread[part])
                grad -= (surprise * grad_entropy[part]).to(grad.dtype)
            target = grad.gather(1, targets[part]) + grad_logp[part].to(grad.dtype)
            grad.scatter_(1, targets[part], target)  # scatter_add_ would copy a bfloat16 matrix to float32 and back
            with torch.autocast(hidden.device.type, enabled=False):
                grad_hidden[part] = grad @ lower
                grad_weight += grad.t() @ hidden[part]
        return grad_hidden, grad_weight, None, None


def _parts(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _logits(hidden: Tensor, weight: Tensor) -> Tensor:
    with torch.autocast(hidden.device.type, enabled=False):
        return functional.linear(hidden, weight)


def _exponentials(logits: Tensor, buffer: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`exp(logits - top)` (a view of the buffer), its sum `(n, 1)`, and the log-sum-exp of the logits `(n, 1)`."""
    top = logits.amax(-1, keepdim=True)
    powers = buffer[: len(logits)].copy_(logits).sub_(top).exp_()
    total = powers.sum(-1, keepdim=True)
    return powers, total, total.log().add_(top)

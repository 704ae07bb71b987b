"""From hidden states to log-probabilities without ever holding a float32 `(B, T, V)`.

The vocabulary is far wider than the model, so logits are made a chunk of rows at a time. The probabilities are kept for
the backward pass in the matmul's dtype while they are small, and made again where they would be large (as cut
cross-entropy does, Wijmans et al. 2024, arXiv 2411.09009).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from groundup.layers.autocast import compute_dtype

CHUNK = 2**21  # logits in one chunk: 8 MB as float32; best of 2^17 to 2^22 at V = 2048 and 8192 (docs/diary.md)
KEEP_BYTES = 2**29  # probabilities up to this size are kept for the backward pass rather than made twice


class LogProbs(NamedTuple):
    """What the head says about the targets; all float32, of the shape of the targets."""

    logp: Tensor
    lse: Tensor
    entropy: Tensor | None


def capped(logits: Tensor, softcap: float) -> Tensor:
    """`softcap · tanh(logits / softcap)` (Gemma 2, arXiv 2408.00118); with 0 the logits as they are."""
    return softcap * torch.tanh(logits / softcap) if softcap else logits


def log_probs(
    hidden: Float[Tensor, "*rows D"],
    weight: Float[Tensor, "V D"],
    targets: Int[Tensor, "*rows"],
    entropy: bool = False,
    weights: Float[Tensor, "*rows"] | None = None,
    softcap: float = 0.0,
) -> LogProbs:
    """The log-probability of `targets` `(B, T)` under `softmax(capped(hidden @ weight.T))`.

    `lse` is the log of the sum of the exponentials of the logits. Differentiable in hidden and weight, whichever of the
    results the loss uses. On a CPU, where `weights` are 0 nothing is worked out and all results are 0: half of a row of
    conversation, a quarter of the work. (On a GPU, finding those places would make the host wait.)
    """
    dtype, shape = compute_dtype(hidden), targets.shape
    rows, wanted = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1, 1)
    places = _weighted(weights) if weights is not None and hidden.device.type == "cpu" else None
    if places is not None:
        rows, wanted = rows.index_select(0, places), wanted[places]
    found = _LogProbs.apply(rows.to(dtype), weight, wanted, entropy, softcap)  # type: ignore[no-untyped-call]
    if places is not None:
        found = [part.new_zeros(targets.numel(), 1).index_copy(0, places, part) for part in found]
    logp, lse, spread = found
    return LogProbs(logp.view(shape), lse.view(shape), spread.view(shape) if entropy else None)


def _weighted(weights: Tensor) -> Tensor | None:
    """The places of weights that are not 0; None where they are too many to gain by leaving out the rest."""
    places = weights.reshape(-1).nonzero()[:, 0]
    return places if len(places) < 0.9 * weights.numel() else None


class _LogProbs(torch.autograd.Function):
    """Logits a chunk of rows at a time. Between the passes only the probabilities are kept, or nothing.

    What is kept becomes, in place, the gradient of the logits: then one product gives each of the two gradients. A
    second backward pass with the same gradients (zero-bubble pipelines take that of the weights apart) finds it made.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, entropy: bool, softcap: float
    ) -> tuple[Tensor, ...]:
        n, V = hidden.shape[0], weight.shape[0]
        size = max(1, CHUNK // V)
        lower = weight.to(hidden.dtype)
        learning = any(ctx.needs_input_grad[:2])
        keep = learning and n * V * hidden.element_size() <= KEEP_BYTES
        kept = hidden.new_empty(n if keep else 0, V)
        wide = torch.promote_types(hidden.dtype, torch.float32)
        logp, lse, spread = (hidden.new_zeros(n, 1, dtype=wide) for _ in range(3))
        buffer = hidden.new_empty(2, min(n, size), V, dtype=wide)
        for part in _parts(n, size):
            raw = _logits(hidden[part], lower, softcap)
            logits, probs = buffer[:, : len(raw)].unbind()
            lse[part] = _softmax(logits.copy_(raw), probs)
            logp[part] = logits.gather(1, targets[part]) - lse[part]
            if entropy:
                spread[part] = lse[part] - torch.linalg.vecdot(probs, logits).unsqueeze(-1)
            if keep:
                kept[part] = probs
        ctx.save_for_backward(hidden, weight, targets, logp, lse, spread)
        ctx.size, ctx.entropy, ctx.softcap, ctx.kept, ctx.spent = size, entropy, softcap, kept, None
        return logp, lse, spread

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, logp, lse, spread = ctx.saved_tensors
        kept, lower = ctx.kept, weight.to(hidden.dtype)
        terms = (targets, logp, lse, spread, *grads)
        with torch.autocast(hidden.device.type, enabled=False):
            if len(kept):
                again, ctx.spent = ctx.spent, grads
                same = again is None or all(torch.equal(*pair) for pair in zip(again, grads, strict=True))
                assert same, "the probabilities were used up by an earlier backward pass"
                for part in _parts(len(hidden), ctx.size) if again is None else ():
                    _to_gradient(kept[part], [term[part] for term in terms], ctx.entropy, ctx.softcap)
                return kept @ lower, (kept.t() @ hidden).to(weight.dtype), None, None, None
            grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
            for part in _parts(len(hidden), ctx.size):
                logits = _logits(hidden[part], lower, ctx.softcap)
                grad = logits.to(lse.dtype).sub_(lse[part]).exp_().to(hidden.dtype)
                _to_gradient(grad, [term[part] for term in terms], ctx.entropy, ctx.softcap)
                grad_hidden[part] = grad @ lower
                grad_weight += grad.t() @ hidden[part]
        return grad_hidden, grad_weight, None, None, None


def _to_gradient(probs: Tensor, terms: Sequence[Tensor], entropy: bool, softcap: float) -> None:
    """Turn the probabilities `(n, V)` into the gradient of the logits, in place.

    `terms` `(n, 1)` are targets, logp, lse and entropy, then the gradients of the last three.
    """
    targets, logp, lse, spread, grad_logp, grad_lse, grad_entropy = terms
    slope = _slope(probs, targets, logp, lse, softcap) if softcap else None
    factor = (grad_lse - grad_logp).to(probs.dtype)
    if entropy:
        surprise = torch.xlogy(probs, probs).addcmul_(probs, spread.to(probs.dtype))
        probs.mul_(factor).sub_(surprise.mul_(grad_entropy.to(probs.dtype)))
    else:
        probs.mul_(factor)
    rows, wanted = torch.arange(len(probs), device=probs.device), targets[:, 0]
    probs[rows, wanted] += grad_logp[:, 0].to(probs.dtype)  # scatter would copy the whole of a bfloat16 matrix, twice
    if slope is not None:
        probs.mul_(slope)


def _slope(probs: Tensor, targets: Tensor, logp: Tensor, lse: Tensor, softcap: float) -> Tensor:
    """The slope of the cap at each logit `(n, V)`: 1 - (logit / softcap)².

    The logits come back from the probabilities; where those are too small to tell, their gradient is nothing as well.
    """
    tiny = torch.finfo(probs.dtype).tiny
    logits = probs.clamp_min(tiny).log_().add_(lse.to(probs.dtype))
    logits[torch.arange(len(probs), device=probs.device), targets[:, 0]] = (logp + lse)[:, 0].to(probs.dtype)
    return logits.div_(softcap).square_().neg_().add_(1.0)


def _parts(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _logits(hidden: Tensor, weight: Tensor, softcap: float) -> Tensor:
    """Logits `(n, V)` in the matmul's dtype."""
    with torch.autocast(hidden.device.type, enabled=False):
        return capped(functional.linear(hidden, weight), softcap)


def _softmax(logits: Tensor, out: Tensor) -> Tensor:
    """The softmax of float32 logits `(n, V)` into `out`, and the log of the sum of their exponentials `(n, 1)`.

    The sum comes from the likeliest entry, whose probability is at least 1 / V: no second pass of exponentials.
    """
    torch.softmax(logits, -1, out=out)
    return logits.amax(-1, keepdim=True) - out.amax(-1, keepdim=True).log_()

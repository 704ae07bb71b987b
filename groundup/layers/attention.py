"""Attention: who sees whom (`Sight`), how it is computed (`attend`), and the usual layer around it (`Attention`).

All attention of the house passes `attend`, the one place that chooses how it is computed:

    plain   batched matmuls around a softmax, over the causal half of the square; the faster one on a CPU: on one core
            in bfloat16 at T = 256 61 ms against 122 forward and backward, and 2.6 against 6.0 ms to decode 128 rows
    sdpa    PyTorch's scaled_dot_product_attention: memory linear in T; on a GPU, and where rows are long
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from groundup.errors import UnsupportedError
from groundup.layers.cache import Cache
from groundup.layers.norm import RMSNorm
from groundup.layers.packed import products
from groundup.layers.rope import rotate

Backend = Literal["plain", "sdpa"]

BLOCK = 64  # queries per block of `plain`: at T = 256 it skips 3/8 of the square; measured best of 32, 64, 128, 256
PLAIN_LENGTH = 1024  # above it the saved T² probabilities of `plain` cost more than they spare


@dataclass(frozen=True)
class Sight:
    """Which keys each query sees, worked out once per forward pass and shared by all layers.

    `positions` `(B or 1, T)` are the slots that the tokens of this pass take among the `n_keys` keys; a query sees the
    keys up to its own slot, and of these only the ones in its own segment. `square`: queries and keys are the same
    tokens; `full`: every query sees every key.
    """

    positions: Tensor
    n_keys: int
    segments: Tensor | None = None
    square: bool = True
    full: bool = False

    @classmethod
    def of(cls, tokens: Tensor, segments: Tensor | None, cache: Cache | None) -> "Sight":
        """The sight of `tokens` `(B, T)` that follow what is in `cache`.

        Raises UnsupportedError for segments together with a cache.
        """
        T = tokens.shape[1]
        slots = torch.arange(T, device=tokens.device)[None]
        if cache is None:
            return cls(slots, T, segments)
        if segments is not None:
            raise UnsupportedError("a cache holds one segment a row; leave out segments, or the cache")
        if torch.compiler.is_exporting():  # a graph for any length looks at all of the cache that it is given
            return cls(cache.lengths[:, None] + slots, cache.length, square=False)
        shortest, longest = (int(end) for end in cache.lengths.aminmax())
        assert longest + T <= cache.length, f"{longest} + {T} tokens do not fit in a cache of {cache.length}"
        return cls(
            cache.lengths[:, None] + slots, longest + T, square=longest == 0, full=T == 1 and longest == shortest
        )

    @cached_property
    def rows(self) -> Tensor:
        """The number of each row of `positions`, `(B, 1)`."""
        return torch.arange(self.positions.shape[0], device=self.positions.device)[:, None]

    @cached_property
    def hidden(self) -> Tensor | None:
        """True where a query must not look, `(B or 1, 1, T, n_keys)`; None where the rule is plain causal or all."""
        if self.full or (self.square and self.segments is None):
            return None
        keys = torch.arange(self.n_keys, device=self.positions.device)
        hidden = keys > self.positions[:, :, None]
        if self.segments is not None:
            hidden = hidden | (self.segments[:, :, None] != self.segments[:, None, :])
        return hidden[:, None]


def attend(
    q: Float[Tensor, "B H T d"],
    k: Float[Tensor, "B G K d"],
    v: Float[Tensor, "B G K d"],
    sight: Sight,
    backend: Backend | None = None,
) -> Float[Tensor, "B T Hd"]:
    """Softmax attention of the queries over the `K` keys they see; `G` heads of keys serve `H / G` of queries each."""
    if backend is None:
        backend = "plain" if _plain_is_faster(q, sight) else "sdpa"
    if backend == "plain":
        return _attend_square(q, k, v, sight) if sight.square else _attend_grouped(q, k, v, sight)
    hidden = sight.hidden
    causal = hidden is None and not sight.full
    seen = None if hidden is None else ~hidden
    out = functional.scaled_dot_product_attention(q, k, v, seen, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])
    return out.transpose(1, 2).flatten(2)


def attend_one(q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
    """`attend` of one token a row as products and sums, for the compiler of a step on a CPU, which makes two loops of
    them: 16 rows look at 144 keys in 0.18 ms, where `plain` takes 0.33 and `sdpa` 1.17.
    """
    B, H, _, d = q.shape
    assert sight.hidden is not None
    q = (q.float() * d**-0.5).view(B, k.shape[1], -1, 1, d)
    logits = (q * k[:, :, None].float()).sum(-1).masked_fill(sight.hidden, -math.inf)
    probs = torch.softmax(logits, -1)
    out = (probs[..., None] * v[:, :, None].float()).sum(3)
    return out.to(v.dtype).reshape(B, 1, H * d)


def _plain_is_faster(q: Tensor, sight: Sight) -> bool:
    if torch.compiler.is_exporting():
        return False
    return q.device.type == "cpu" and (q.shape[2] == 1 or sight.n_keys <= PLAIN_LENGTH)


def _attend_square(q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
    """The queries' own tokens are the keys: training, and the reading of a prompt."""
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = (x.repeat_interleave(groups, 1) for x in (k, v))
    out: Tensor = _Plain.apply(q, k, v, sight)  # type: ignore[no-untyped-call]
    return out


def _attend_grouped(q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
    """Few queries and many keys: those that share a head of keys are rows of one matmul, nothing is repeated."""
    B, H, T, d = q.shape
    k, v = k.flatten(0, 1), v.flatten(0, 1)
    q = (q * d**-0.5).reshape(len(k), -1, d)
    if q.dtype == torch.bfloat16:  # oneDNN copies keys that stand on the right, turned: half of the whole time
        logits = torch.bmm(k, q.transpose(1, 2)).transpose(1, 2)
    else:
        logits = torch.bmm(q, k.transpose(1, 2))
    if sight.hidden is not None:
        logits = logits.reshape(B, H, T, -1).masked_fill(sight.hidden, -math.inf)
    out = torch.bmm(torch.softmax(logits, -1, dtype=q.dtype).reshape(len(k), -1, logits.shape[-1]), v)
    return out.view(B, H, T, d).transpose(1, 2).flatten(2)


class _Plain(torch.autograd.Function):
    """Square causal attention in blocks of queries, each against the keys up to its end."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
        B, H, T, d = q.shape
        hidden, later = sight.hidden, None
        if hidden is None:
            later = torch.ones(BLOCK, BLOCK, dtype=torch.bool, device=q.device).triu_(1)
        scaled = torch.mul(q, d**-0.5, out=q.new_empty(q.shape))
        q, k, v = ((x.contiguous().view(B * H, T, d)) for x in (scaled, k, v))
        out = torch.empty(B, T, H, d, dtype=q.dtype, device=q.device)
        kept = []
        for start in range(0, T, BLOCK):
            stop = min(start + BLOCK, T)
            logits = torch.bmm(q[:, start:stop], k[:, :stop].transpose(1, 2))
            if later is not None:
                logits[:, :, start:].masked_fill_(later[: stop - start, : stop - start], -math.inf)
            elif hidden is not None:
                logits.view(B, H, stop - start, stop).masked_fill_(hidden[:, :, start:stop, :stop], -math.inf)
            probs = torch.softmax(logits, -1, dtype=q.dtype)  # on CUDA autocast would widen it
            out[:, start:stop] = torch.bmm(probs, v[:, :stop]).view(B, H, stop - start, d).transpose(1, 2)
            if any(ctx.needs_input_grad[:3]):
                kept.append(probs)
        ctx.save_for_backward(q, k, v, *kept)
        return out.view(B, T, H * d)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *kept = ctx.saved_tensors
        B, T, _ = grad.shape
        d = q.shape[-1]
        H = q.shape[0] // B
        grad = grad.view(B, T, H, d).transpose(1, 2).contiguous().view(B * H, T, d)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for index, probs in enumerate(kept):
            start = index * BLOCK
            stop = min(start + BLOCK, T)
            grad_out = grad[:, start:stop]
            grad_v[:, :stop] += torch.bmm(probs.transpose(1, 2), grad_out)
            grad_probs = torch.bmm(grad_out, v[:, :stop].transpose(1, 2))
            grad_logits = torch._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
            grad_q[:, start:stop] = torch.bmm(grad_logits, k[:, :stop])
            grad_k[:, :stop] += torch.bmm(grad_logits.transpose(1, 2), q[:, start:stop])
        grad_q *= d**-0.5
        return grad_q.view(B, H, T, d), grad_k.view(B, H, T, d), grad_v.view(B, H, T, d), None


class Attention(nn.Module):
    """Multi-head attention with rotary positions, grouped keys and values, and optional QK-norm; no biases.

    The number of heads is read from the width of the projections, so that a split layer simply has fewer.
    """

    together: ClassVar = ("q_proj", "k_proj", "v_proj")

    def __init__(self, dim: int, heads: int, kv_heads: int, head_dim: int, qk_norm: bool, eps: float) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.attend = attend  # where ranks share the tokens of a row, another takes its place
        self.q_proj = nn.Linear(dim, heads * head_dim, bias=False)
        self.k_proj = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(dim, kv_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(heads * head_dim, dim, bias=False)
        self.q_norm = RMSNorm(head_dim, eps) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(head_dim, eps) if qk_norm else nn.Identity()

    def forward(
        self, x: Tensor, turn: tuple[Tensor, Tensor], sight: Sight, memory: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`; `turn` is the rotation, `memory` the layer's keys and values in a cache."""
        q, k, v = self.project(x)
        q, k = rotate(self.q_norm(q), *turn), rotate(self.k_norm(k), *turn)
        if memory is not None:
            k, v = remember(memory, k, v, sight)
        out: Tensor = self.o_proj(self.attend(q, k, v, sight))
        return out

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries `(B, H, T, d)`, keys and values `(B, G, T, d)`, not yet normed or turned."""
        q, k, v = (split_heads(part, self.head_dim) for part in products(x, self.q_proj, self.k_proj, self.v_proj))
        return q, k, v


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """`(B, T, H·d)` seen as `(B, H, T, d)`."""
    return x.view(*x.shape[:2], -1, head_dim).transpose(1, 2)


def remember(memory: tuple[Tensor, ...], k: Tensor, v: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
    """Write the new keys and values into the cache and return all that are there, `(B, H, n_keys, d)`."""
    if sight.square:
        for kept, new in zip(memory, (k, v), strict=True):
            kept[:, :, : sight.n_keys] = new
        return k, v
    for kept, new in zip(memory, (k, v), strict=True):
        if sight.full:
            kept[:, :, sight.n_keys - 1 : sight.n_keys] = new
        else:
            kept[sight.rows, :, sight.positions] = new.transpose(1, 2).to(kept.dtype)
    keys, values = (kept[:, :, : sight.n_keys].to(k.dtype) for kept in memory)
    return keys, values

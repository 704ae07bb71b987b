"""A mixture of experts: many small perceptrons, of which each token passes a few, and one that all tokens pass.

    scores = sigmoid(router(x))                        how well each expert suits the token
    chosen = top-k of scores + bias                    the bias evens the load and does nothing else
    out    = shared(x) + sum of weight · expert(x)     weights: the chosen scores, over their sum

No token is dropped and no expert has a capacity: pairs of token and expert are sorted by expert, and each expert reads
its stretch at once. Many small experts beside a shared one: DeepSeekMoE (arXiv 2401.06066). Balance without a loss of
its own: Wang et al. 2024 (arXiv 2408.15664); sigmoid scores with it: DeepSeek-V3 (arXiv 2412.19437).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundup.layers.autocast import as_it_is, compute_dtype
from groundup.layers.mlp import SwiGLU

ROUND = 64
"""An expert's rows are filled up to a multiple: oneDNN makes and keeps a program of 1 MB for each number of rows."""


class Router(nn.Module):
    """Chooses `active` experts for each token, and counts how often it chose each while it trains."""

    e_score_correction_bias: Tensor

    def __init__(self, dim: int, experts: int, active: int, scale: float) -> None:
        super().__init__()
        self.active, self.scale = active, scale
        self.weight = nn.Parameter(torch.empty(experts, dim))
        self.register_buffer("e_score_correction_bias", torch.zeros(experts))
        self.counts: Tensor | None = None
        """`(experts,)` tokens of each expert since the last `balance`; None where nothing was counted."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights `(N, active)` and numbers `(N, active)` of the experts of each token `(N, D)`; in float32 or wider.

        Under recompute a layer counts twice, which the sign in `balance` does not see.
        """
        wide = torch.promote_types(x.dtype, torch.float32)
        with as_it_is(x):
            scores = functional.linear(x.to(wide), self.weight.to(wide)).sigmoid()
        chosen = (scores.detach() + self.e_score_correction_bias).topk(self.active, -1, sorted=False).indices
        if self.training and torch.is_grad_enabled():
            counts = counted(chosen, len(self.weight))
            self.counts = counts if self.counts is None else self.counts + counts
        weights = scores.gather(1, chosen)
        return weights * (self.scale / (weights.sum(-1, keepdim=True) + 1e-20)), chosen

    def balance(self, counts: Tensor, speed: float) -> None:
        """Move the bias by `speed` up for experts with fewer tokens than the mean of `counts`, down for the others."""
        mean = counts.double().mean()
        self.e_score_correction_bias += speed * torch.sign(mean - counts).to(self.e_score_correction_bias)
        self.counts = None


class Experts(nn.Module):
    """SwiGLU perceptrons of one shape, each weight held as one tensor `(experts, out, in)`."""

    branches: ClassVar = True
    """Which products are done depends on the data, so no program can be made of it ahead."""

    def __init__(self, dim: int, hidden: int, experts: int) -> None:
        super().__init__()
        self.number = experts
        self.gate_proj = nn.Parameter(torch.empty(experts, hidden, dim))
        self.up_proj = nn.Parameter(torch.empty(experts, hidden, dim))
        self.down_proj = nn.Parameter(torch.empty(experts, dim, hidden))

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """`(N, D)` to `(N, D)`: what the chosen experts `(N, active)` say of each token, weighted."""
        n, active = chosen.shape
        order = chosen.flatten().argsort(stable=True)
        said = self.read(x.index_select(0, order // active), counted(chosen, self.number))
        said = said * weights.flatten().index_select(0, order)[:, None].to(said.dtype)
        return said.index_select(0, order.argsort()).view(n, active, x.shape[-1]).sum(1)

    def read(self, rows: Tensor, counts: Tensor) -> Tensor:
        """`(n, D)` to `(n, D)`: the first `counts[0]` rows are read by the first expert, and so on."""
        return perceptrons(rows, (self.gate_proj, self.up_proj, self.down_proj), counts)


def counted(chosen: Tensor, experts: int) -> Tensor:
    """`(experts,)` how many times each is among the chosen."""
    flat = chosen.flatten()
    return flat.new_zeros(experts).scatter_add_(0, flat, torch.ones_like(flat))


def perceptrons(rows: Tensor, weights: Sequence[Tensor], counts: Tensor) -> Tensor:
    """`(n, D)` to `(n, D)`: each expert of `weights` (gate, up, down) on its stretch of `rows`; the matmul's dtype."""
    dtype = compute_dtype(rows)
    rows, matrices = rows.to(dtype), [weight.to(dtype) for weight in weights]
    with as_it_is(rows):
        if rows.device.type != "cpu" and dtype == torch.bfloat16 and hasattr(functional, "grouped_mm"):
            return together(rows, matrices, counts)
        return one_by_one(rows, matrices, counts)


def one_by_one(rows: Tensor, matrices: Sequence[Tensor], counts: Tensor) -> Tensor:
    """Each expert's product in its turn: on a CPU as fast as one call for all, and for any dtype."""
    stretches = rows.split(counts.tolist())
    parts = zip(stretches, *(weight.unbind() for weight in matrices), strict=True)
    learning = torch.is_grad_enabled()  # then an expert without a row has a gradient too: zero
    rounds = learning and rows.device.type == "cpu" and rows.dtype == torch.bfloat16
    said = []
    for stretch, *own in parts:
        if learning or len(stretch):
            more = -len(stretch) % ROUND if rounds else 0
            said.append(_swiglu(functional.pad(stretch, (0, 0, 0, more)), *own)[: len(stretch)])
    return torch.cat(said) if said else rows


def _swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return functional.linear(functional.silu(functional.linear(x, gate)) * functional.linear(x, up), down)


def together(rows: Tensor, matrices: Sequence[Tensor], counts: Tensor) -> Tensor:
    """All experts in three calls, and the host need not know the counts."""
    gate, up, down = (weight.transpose(1, 2) for weight in matrices)
    ends = counts.cumsum(0).to(torch.int32)
    inner = functional.silu(functional.grouped_mm(rows, gate, offs=ends)) * functional.grouped_mm(rows, up, offs=ends)
    return functional.grouped_mm(inner, down, offs=ends)


class MixtureOfExperts(nn.Module):
    """Takes the place of a perceptron in a block: routed experts, and a shared one as wide as `shared` of them."""

    def __init__(self, dim: int, hidden: int, experts: int, active: int, shared: int, scale: float) -> None:
        super().__init__()
        self.gate = Router(dim, experts, active, scale)
        self.experts = Experts(dim, hidden, experts)
        self.shared_experts = SwiGLU(dim, shared * hidden)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        flat = x.flatten(0, -2)
        out: Tensor = self.shared_experts(x) + self.experts(flat, *self.gate(flat)).view_as(x)
        return out

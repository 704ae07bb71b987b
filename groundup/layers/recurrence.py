"""Recurrent layers: what came before attention (LSTM), and a form of it that trains in parallel (minGRU).

Both take `starts` `(B, T)`, true where a row's state begins anew, and write into `memory` the state after the tokens
that are real: all of a row, or its own of `counts` `(B,)`.
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Memory = tuple[Tensor, ...]


class Recurrence(nn.Module):
    """A layer with a state `(B, D)` for each of `n_states`."""

    n_states: int

    @abstractmethod
    def forward(
        self, x: Tensor, starts: Tensor | None = None, memory: Memory | None = None, counts: Tensor | None = None
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""


class MinGRU(Recurrence):
    """`h = (1 - z)·h + z·c` with gate `z` and candidate `c` that look at the input alone (Feng et al. 2024,
    arXiv 2410.01201), so that all states of a row come from one parallel scan.
    """

    n_states = 1

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(dim, dim)
        self.candidate_proj = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, starts: Tensor | None = None, memory: Memory | None = None, counts: Tensor | None = None
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        gate = torch.sigmoid(self.gate_proj(x).float())
        keep, add = 1 - gate, gate * self.candidate_proj(x).float()
        if starts is not None:
            keep = keep.masked_fill(starts[..., None], 0.0)
        if memory is not None:
            first = torch.addcmul(add[:, :1], keep[:, :1], memory[0][:, None])
            add = torch.cat((first, add[:, 1:]), 1)
        states = linear_recurrence(keep, add)
        if memory is not None:
            memory[0].copy_(_last(states, counts))
        return states.to(x.dtype)


class LSTM(Recurrence):
    """Hochreiter & Schmidhuber 1997, with forget gates (Gers et al. 2000); a loop over the tokens."""

    n_states = 2

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.input_proj = nn.Linear(dim, 4 * dim)
        self.state_proj = nn.Linear(dim, 4 * dim, bias=False)

    def forward(
        self, x: Tensor, starts: Tensor | None = None, memory: Memory | None = None, counts: Tensor | None = None
    ) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        B, T, D = x.shape
        inputs = self.input_proj(x)
        zero = torch.zeros(B, D, dtype=torch.float32, device=x.device)
        hidden, cell = memory if memory is not None else (zero, zero)
        hiddens, cells = [], []
        for t in range(T):
            if starts is not None:
                hidden, cell = (state.masked_fill(starts[:, t, None], 0.0) for state in (hidden, cell))
            gates = inputs[:, t] + self.state_proj(hidden.to(x.dtype))
            enter, forget, out, candidate = gates.float().chunk(4, -1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
            hidden = torch.sigmoid(out) * torch.tanh(cell)
            hiddens.append(hidden)
            cells.append(cell)
        states = torch.stack(hiddens, 1)
        if memory is not None:
            memory[0].copy_(_last(states, counts))
            memory[1].copy_(_last(torch.stack(cells, 1), counts))
        return states.to(x.dtype)


def linear_recurrence(keep: Tensor, add: Tensor) -> Tensor:
    """The states `h` of `h[t] = keep[t]·h[t-1] + add[t]` along dimension 1 of `(B, T, D)`, from `h[-1] = 0`."""
    result: Tensor = _LinearRecurrence.apply(keep, add)  # type: ignore[no-untyped-call]
    return result


class _LinearRecurrence(torch.autograd.Function):
    """The gradient of the scan is the same scan from the end: `g[t] += keep[t+1]·g[t+1]`."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, add: Tensor) -> Tensor:
        states = _scan(keep, add)
        ctx.save_for_backward(keep, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        keep, states = ctx.saved_tensors
        next_keep = torch.cat((keep[:, 1:], torch.zeros_like(keep[:, :1])), 1)
        grad_add = _scan(next_keep.flip(1), grad.flip(1)).flip(1)
        grad_keep = torch.cat((torch.zeros_like(keep[:, :1]), grad_add[:, 1:] * states[:, :-1]), 1)
        return grad_keep, grad_add


def _scan(keep: Tensor, add: Tensor) -> Tensor:
    """Parallel scan by doubling (Hillis & Steele 1986): log2(T) passes, each over the whole row at once."""
    keep, states = keep.clone(), add.clone()
    step = 1
    while step < keep.shape[1]:
        states[:, step:] = torch.addcmul(states[:, step:], keep[:, step:], states[:, :-step])
        keep[:, step:] = keep[:, step:] * keep[:, :-step]
        step *= 2
    return states


def _last(states: Tensor, counts: Tensor | None) -> Tensor:
    """The state `(B, D)` after each row's last real token."""
    if counts is None:
        return states[:, -1]
    return states[torch.arange(len(counts), device=states.device), counts - 1]

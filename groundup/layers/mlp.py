"""The two-layer perceptrons between the attentions."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundup.layers.packed import products


class SwiGLU(nn.Module):
    """`down(silu(gate(x)) * up(x))` without biases (Shazeer 2020, arXiv 2002.05202)."""

    together: ClassVar = ("gate_proj", "up_proj")

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(dim, hidden, bias=False)
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        gate, up = products(x, self.gate_proj, self.up_proj)
        out: Tensor = self.down_proj(functional.silu(gate) * up)
        return out


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form (arXiv 1606.08415), as in GPT-2.

    In bfloat16 on a CPU by the error function, which the tanh form approximates to 5e-4, less than a rounding of values
    of that size: forward and backward then take a third of the time.
    """
    quick = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return functional.gelu(x, approximate="none" if quick else "tanh")


class GeluMLP(nn.Module):
    """`c_proj(gelu(c_fc(x)))` with biases and the tanh form of GELU, as in GPT-2."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(dim, hidden)
        self.c_proj = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        out: Tensor = self.c_proj(gelu(self.c_fc(x)))
        return out


class ReluSquaredMLP(nn.Module):
    """`down(relu(up(x))²)` without biases (Primer, So et al. 2021, arXiv 2109.08668)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(dim, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)` to `(B, T, D)`."""
        out: Tensor = self.down_proj(functional.relu(self.up_proj(x)).square())
        return out

"""Products and attention of a few rows in bfloat16 by code of our own, for steps that are compiled anyway.

Sixteen rows are too few for the blocks of oneDNN, which waits for the weights and then multiplies; `few_rows.cpp` holds
the sums of all rows in registers, reads the weights once, in their order, and asks for them ahead. Attention of one
token a row it does without leaving the registers. On two cores (Zen 4) a step of 16 rows through 34 M parameters takes
5.6 ms where the compiler's program takes 9.0. It takes a processor that multiplies bfloat16 by AVX-512.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundup.layers.attention import Sight, attend_one
from groundup.layers.packed import Packed

OUTPUTS = 16
"""Of a tile of the weights; see `few_rows.cpp`."""

WIDEST = 256
"""Head."""

SLACK = 1.1
"""As slow as this the products may be found: the attention beside them takes a fifth of the compiler's time."""

FLAGS = ("-O3", "-std=c++20", "-shared", "-fPIC", "-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512bf16")


def attend_few(q: Tensor, k: Tensor, v: Tensor, sight: Sight) -> Tensor:
    """`attend` of one token a row, `q` `(B, H, 1, d)`; heads that are no multiple of 32 wide go the compiler's way."""
    if q.dtype != torch.bfloat16 or q.shape[-1] % 32 or q.shape[-1] > WIDEST:
        return attend_one(q, k, v, sight)
    out: Tensor = torch.ops.groundup.attend_one(q, k, v, sight.positions)
    return out


class FewRows(Packed):
    """One or several Linears of the same input as one product; `available` must have been asked before."""

    tiles: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None = None, widths: Sequence[int] = ()) -> None:
        """Of `weight` `(n_out, n_in)`; `widths` say how much of `n_out` is whose."""
        nn.Module.__init__(self)
        self.n_out, self.n_in = weight.shape
        self.widths = list(widths) or [self.n_out]
        self.register_buffer("tiles", tiles(weight.detach()))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(..., n_in)` to `(..., n_out)`."""
        rows = functional.pad(x.reshape(-1, self.n_in), (0, self.n_in % 2))
        out: Tensor = torch.ops.groundup.few_rows(rows.contiguous(), self.tiles, self.n_out)
        return (out if self.bias is None else out + self.bias).view(*x.shape[:-1], self.n_out)


def tiles(weight: Tensor) -> Tensor:
    """`(n_out, n_in)` to `(tiles, pairs of inputs, 2 * OUTPUTS)`, of zeros where either does not divide."""
    n_out, n_in = weight.shape
    even = functional.pad(weight, (0, n_in % 2, 0, -n_out % OUTPUTS))
    return even.view(-1, OUTPUTS, (n_in + 1) // 2, 2).transpose(1, 2).flatten(2).contiguous()


@cache
def faster() -> bool:
    """Whether 16 rows take no more time than through oneDNN; both are run in turn, on weights that come from memory."""
    if not available():
        return False
    x, weight = torch.ones(OUTPUTS, 512, dtype=torch.bfloat16), torch.ones(1024, 512, dtype=torch.bfloat16)
    with torch.inference_mode():
        own, theirs = ([kind(weight.clone()) for _ in range(64)] for kind in (FewRows, Packed))
        took = [(_seconds(own, x), _seconds(theirs, x)) for _ in range(15)]
    return statistics.median(one / other for one, other in took) < SLACK


def _seconds(layers: Sequence[Packed], x: Tensor) -> float:
    start = time.perf_counter()
    for layer in layers:
        layer(x)
    return time.perf_counter() - start


@cache
def available() -> bool:
    """Make the operators; false on another processor, and where there is no compiler that can."""
    if not torch.cpu._is_avx512_bf16_supported():
        return False
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    root, source = Path(torch.__file__).parent, Path(__file__).with_suffix(".cpp")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "few_rows.so"
        libraries = (f"-L{root / 'lib'}", "-ltorch_cpu", "-lc10")
        try:
            words = [get_cpp_compiler(), *FLAGS, f"-I{root / 'include'}", str(source), "-o", str(made), *libraries]
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError, InvalidCxxCompiler):
            return False
        torch.ops.load_library(made)
    register = torch.library.register_fake
    register("groundup::few_rows", lambda x, weight, n_out: x.new_empty(x.shape[0], n_out))
    register("groundup::attend_one", lambda q, k, v, positions: q.new_empty(q.shape[0], 1, q.shape[1] * q.shape[3]))
    return True

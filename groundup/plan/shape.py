"""Which shapes are tried, what a token costs in each, and the settings that go with a width."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from groundup.models._base import ModelConfig
from groundup.plan.machine import DTYPES, Machine

CostOf = Callable[[ModelConfig, object, int, Machine, int], float]
"""(model, optimizer, vocabulary, machine, rows) -> the share of the matmul rate that a training step reaches."""

WIDTHS = (64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 4096)
"""Multiples of the usual head of 64; bf16 matrix units want multiples of 32."""


def vocabulary(width: int) -> int:
    """Entries that a width can feed: the head then stays under a third of the work. Powers of two."""
    return max(1024, min(65536, 2 ** round(math.log2(width * 16))))


def context(width: int) -> int:
    """Tokens in a row."""
    return 256 if width < 448 else 512 if width < 640 else 1024 if width < 1024 else 2048


def batch_rows(tokens: float, length: int) -> int:
    """Rows in a step for a stage of that many tokens.

    4,096 tokens up to 5 million, then growing with the square root: small batches win when steps are few (arXiv
    2507.07101; measured, docs/diary.md).
    """
    best = 4096 * math.sqrt(max(tokens / 5e6, 1.0))
    return max(8, 2 ** round(math.log2(min(best, 2**19) / length)))


@dataclass(frozen=True)
class Cost:
    """Share of the machine's matmul rate that a training step reaches, at the widths where it was measured."""

    machine: Machine
    reached: Mapping[int, float]

    def seconds_per_token(self, config: ModelConfig, vocab_size: int) -> float:
        """Seconds of training for one token; between measured widths the share is interpolated."""
        flops = config.flops_per_token(vocab_size, config.length)
        return flops / (self.machine.rate * self._share(config.dim))

    def _share(self, width: int) -> float:
        known = sorted(self.reached)
        below = [w for w in known if w <= width] or known[:1]
        above = [w for w in known if w >= width] or known[-1:]
        low, high = below[-1], above[0]
        if low == high:
            return self.reached[low]
        place = math.log(width / low) / math.log(high / low)
        return self.reached[low] ** (1 - place) * self.reached[high] ** place


def measure_cost(config: ModelConfig, optimizer: object, vocab_size: int, machine: Machine, rows: int) -> float:
    """The share of the matmul rate that one real training step of this shape reaches: the median of three."""
    from groundup.optim._base import OptimizerConfig

    assert isinstance(optimizer, OptimizerConfig)
    model = config.build(vocab_size).to(machine.device)
    stepper = optimizer.build(model, model.roles())
    tokens = torch.randint(vocab_size, (rows, config.length + 1), device=machine.device)
    dtype = DTYPES[machine.precision]
    times = []
    for _ in range(4):
        start = time.perf_counter()
        with torch.autocast(machine.device, dtype, enabled=dtype != torch.float32):
            scores = model.score(tokens[:, :-1], tokens[:, 1:])
        (-scores.logp.mean()).backward()
        stepper.step(1.0)
        if machine.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    seconds = sorted(times[1:])[1] / (rows * config.length)
    return config.flops_per_token(vocab_size, config.length) / seconds / machine.rate

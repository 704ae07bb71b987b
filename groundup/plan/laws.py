"""How loss falls with parameters and tokens, and what repeating text is worth. Pure arithmetic on published laws."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """L(N, D) = E + A / N^a + B / D^b: nats per token of N parameters after D tokens (Hoffmann et al. 2022)."""

    E: float
    A: float
    B: float
    a: float
    b: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Nats per token."""
        return self.E + self.A / parameters**self.a + self.B / tokens**self.b

    def optimum(self, flops: float) -> tuple[float, float]:
        """The (parameters, tokens) that minimise the loss when 6·N·D is `flops`."""
        ratio = (self.a * self.A / (self.b * self.B)) ** (1 / (self.a + self.b))
        parameters = ratio * (flops / 6) ** (self.b / (self.a + self.b))
        return parameters, flops / 6 / parameters


CHINCHILLA = Law(math.exp(0.5267228), math.exp(6.0073404), math.exp(6.0179186), 0.33917084, 0.2849083)
"""Hoffmann et al. 2022 (arXiv 2203.15556), the unrounded constants of its source."""

EPOCH = Law(1.81686, 482.00572, 2085.43420, 0.34781, 0.36585)
"""The replication of Besiroglu et al. 2024 (arXiv 2404.10102), which rejects the published fit."""

REPEATS_WORTH = 15.387756
"""R*_D of Muennighoff et al. 2023 (arXiv 2305.16264): repeated text fades with this many repetitions."""


def effective_tokens(tokens: float, unique: float) -> float:
    """Tokens of new text that are worth `tokens` drawn from `unique` ones by repetition (Muennighoff et al. 2023).

    >>> round(effective_tokens(4.0, 1.0), 3)
    3.726
    """
    repeats = max(0.0, tokens / unique - 1)
    return min(tokens, unique) + unique * REPEATS_WORTH * (1 - math.exp(-repeats / REPEATS_WORTH))

"""How good a model will be, in bits per byte on held-out text, from its size, its tokens and the text itself."""

from groundup.plan.laws import Law, effective_tokens
from groundup.plan.text import Text

MILLION = 1e6

SMALL = Law(E=0.25, A=0.2, B=0.499, a=0.35, b=0.35)
"""Bits per byte over those of `xz -6` on a sample of the same text; parameters and tokens in millions.

The published laws are fitted above 1e18 FLOP and disagree by 0.7 nats at 1e15, so this one is our own: the exponents
are those of Muennighoff et al. (arXiv 2305.16264), the rest passes within
5 % of three runs of this tool: 2.6 million parameters on 0.6 and 4 million tokens, 0.85 million on 4 (docs/diary.md).
"""

SPREAD = 0.12
"""Half width of the interval, as a share: what the fit misses on texts it has not seen."""


def relative_loss(parameters: float, tokens: float, unique: float) -> float:
    """Bits per byte over those of xz on the same text. `parameters` counts matrices and head, not embeddings."""
    fresh = effective_tokens(tokens, max(unique, 1.0))
    return SMALL.loss(parameters / MILLION, fresh / MILLION)


def expected_bits(text: Text, parameters: float, tokens: float, unique: float) -> tuple[float, float, float]:
    """(expected, low, high) bits per byte on held-out text; none is above 8, which is chance."""
    value = text.xz * relative_loss(parameters, tokens, unique)
    return min(8.0, value), min(8.0, value * (1 - SPREAD)), min(8.0, value * (1 + SPREAD))

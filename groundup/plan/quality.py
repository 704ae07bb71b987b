"""How good a model will be, in bits per byte on held-out text, from its size, its tokens and the text itself."""

from groundup.plan.laws import Law, effective_tokens
from groundup.plan.text import Text

SMALL = Law(E=0.65, A=26.0, B=78.0, a=0.35, b=0.35)
"""Shape of the law at 1 to 10 million parameters, in units of the text's own xz figure times 100: see `expected_bits`.

The published laws are fitted above 1e18 FLOP and disagree by 0.7 nats at 1e15, so this one is our own; exponents are
Muennighoff's (arXiv 2305.16264), the rest is fitted to this tool's runs (docs/diary.md).
"""

SPREAD = 0.10
"""Half width of the interval, as a share: what the fit misses on texts it has not seen."""


def relative_loss(parameters: float, tokens: float, unique: float) -> float:
    """Bits per byte over those of xz on the same text. `parameters` counts matrices and head, not embeddings."""
    fresh = effective_tokens(tokens, max(unique, 1.0))
    return SMALL.E + SMALL.A / 100 / (parameters / 1e6) ** SMALL.a + SMALL.B / 100 / (fresh / 1e6) ** SMALL.b


def expected_bits(text: Text, parameters: float, tokens: float, unique: float) -> tuple[float, float, float]:
    """(expected, low, high) bits per byte on held-out text; none is above 8, which is chance."""
    value = text.xz * relative_loss(parameters, tokens, unique)
    expected, low, high = (min(8.0, value * factor) for factor in (1.0, 1 - SPREAD, 1 + SPREAD))
    return expected, low, high

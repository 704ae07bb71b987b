"""Logits to a token.

The random number for a token is a function of its request's seed and its place alone, so a reply does not depend on
what else is in the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: the most likely one at temperature 0, else at random from what the cuts leave.

    `top_k` leaves the k likeliest; `top_p` the likeliest that reach the mass p (Holtzman et al. 2020, arXiv
    1904.09751); `min_p` those at least p times as likely as the likeliest (Nguyen et al. 2024, arXiv 2407.01082).
    Raises ConfigError for a value out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"temperature={self.temperature} is negative; use 0 for the likeliest token, or more")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k={self.top_k} leaves nothing; use 1 or more, or leave it out")
        for name in ("top_p", "min_p"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"{name}={value} is not a share; use a number over 0 and up to 1, or leave it out")


def sample(
    logits: Float[Tensor, "n V"], samplings: Sequence[Sampling], uniforms: Float[np.ndarray, " n"]
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """One token for each row of logits, and its log-probability.

    `uniforms` are numbers in [0, 1). The log-probability is the model's own, before temperature and cuts.
    """
    logits = logits.float()
    greedy = torch.tensor([s.temperature == 0 for s in samplings], device=logits.device)
    tokens = logits.argmax(-1)
    if not all(s.temperature == 0 for s in samplings):
        drawn = _draw(_probabilities(logits, samplings), torch.from_numpy(uniforms).to(logits.device))
        tokens = torch.where(greedy, tokens, drawn)
    logps = logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(-1)
    return tokens, logps


def uniforms(seeds: Sequence[int], places: Sequence[int]) -> np.ndarray:
    """Numbers in [0, 1) `(n,)` float32, each a function of its seed and place.

    SplitMix64 (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195), mixed once for the seed and once for the place.
    """
    with np.errstate(over="ignore"):
        state = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF for seed in seeds], np.uint64))
        state = _mix(state + np.array(places, np.uint64))
    return (state >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def _mix(state: np.ndarray) -> np.ndarray:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _probabilities(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """What each row draws from, `(n, V)`; rows need not sum to 1."""
    if any(s.temperature not in (0, 1) for s in samplings):
        logits = logits / _column([s.temperature or 1.0 for s in samplings], logits)
    probs = torch.softmax(logits, -1)
    if any(s.min_p is not None for s in samplings):
        floor = probs.amax(-1, keepdim=True) * _column([s.min_p or 0.0 for s in samplings], logits)
        probs = probs.masked_fill(probs < floor, 0.0)
    if any(s.top_k is not None or s.top_p is not None for s in samplings):
        V = logits.shape[-1]
        ordered, order = probs.sort(stable=True, dim=-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        rank = torch.arange(V, device=logits.device)
        cut = rank >= _column([s.top_k or V for s in samplings], logits)
        cut |= before >= _column([s.top_p or 2.0 for s in samplings], logits) * ordered.sum(-1, keepdim=True)
        probs = probs.scatter(-1, order, ordered.masked_fill(cut, 0.0))
    return probs


def _draw(probs: Tensor, uniform: Tensor) -> Tensor:
    """The place where the running sum of each row passes `uniform` of its total."""
    sums = probs.cumsum(-1)
    total = sums[:, -1:]
    goal = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(sums, goal, right=True).squeeze(1)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None]

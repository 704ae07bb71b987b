"""Logits to a token.

The random number for a token is a function of its request's seed and its place alone, so a reply does not depend on
what else is in the batch.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from groundup.errors import ConfigError

LOOKED = 128
"""Of the likeliest, how many are looked at first; eight times as many where these do not decide."""

COLDEST, HOTTEST = 1e-4, 1e6  # beyond these a quotient leaves float32; there only ties, or all alike, are drawn


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: the most likely one at temperature 0, else at random from what the cuts leave.

    First the logits are changed. Those of all tokens in the prompt and the reply so far by `repetition_penalty` (above
    0 divided by it, else multiplied; Keskar et al. 2019, arXiv 1909.05858); those of tokens in the reply fall by
    `presence_penalty`, and by `frequency_penalty` for each time (OpenAI's definition); those in `bias` rise by it.

    Then, of the probabilities at this temperature: `top_k` leaves the k likeliest; `top_p` the likeliest that reach the
    mass p (Holtzman et al. 2020, arXiv 1904.09751); `min_p` those at least p times as likely as the likeliest (Nguyen
    et al. 2024, arXiv 2407.01082). Raises ConfigError for a value out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"temperature={self.temperature} is out of range; use 0 for the likeliest token, or more")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k={self.top_k} leaves nothing; use 1 or more, or leave it out")
        for name in ("top_p", "min_p"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"{name}={value} is not a share; use a number over 0 and up to 1, or leave it out")
        if not 0.01 <= self.repetition_penalty <= 100:
            raise ConfigError(f"repetition_penalty={self.repetition_penalty} is not in 0.01..100; use 1 for none")
        for name in ("presence_penalty", "frequency_penalty"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name}={getattr(self, name)} is no finite number; use 0 for none")
        for token, value in self.bias.items():
            if not math.isfinite(value):
                raise ConfigError(f"bias={{{token}: {value}}} is no finite number; use -100 to forbid a token")

    @cached_property
    def penalizes(self) -> bool:
        """It changes logits at all."""
        penalties = (self.repetition_penalty, self.presence_penalty, self.frequency_penalty)
        return bool(self.bias) or penalties != (1.0, 0.0, 0.0)

    @cached_property
    def free(self) -> bool:
        """No token is cut off by its rank."""
        return self.top_k is None and self.top_p is None

    @cached_property
    def own(self) -> bool:
        """What it draws from is the model's own distribution, less what is cut off by rank."""
        return self.temperature == 1 and self.min_p is None and not self.penalizes

    @cached_property
    def plain(self) -> bool:
        """It draws from the model's own distribution."""
        return self.own and self.free


def penalized(
    logits: Float[Tensor, "n V"],
    samplings: Sequence[Sampling],
    prompts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
) -> Float[Tensor, "n V"]:
    """The logits with each row's penalties and biases; the very same tensor where no row has any."""
    rows = [row for row, sampling in enumerate(samplings) if sampling.penalizes]
    if rows:
        logits = logits.clone()
    for row in rows:
        _penalize(logits[row], samplings[row], prompts[row], replies[row])
    return logits


def sample(
    logits: Float[Tensor, "n V"],
    samplings: Sequence[Sampling],
    uniforms: Float[np.ndarray, " n"],
    changed: Float[Tensor, "n V"] | None = None,
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
    """One token for each row of logits, and its log-probability.

    `uniforms` are numbers in [0, 1); `changed` are the logits after penalties, where there are any. The
    log-probability is the model's own: before penalties, temperature and cuts.
    """
    logits = logits.float()
    if changed is None and all(sampling.own for sampling in samplings):
        probs = torch.softmax(logits, -1)
        tokens = _pick(probs, samplings, uniforms)
        return tokens, probs.gather(1, tokens[:, None]).squeeze(1).log()
    changed = logits if changed is None else changed.float()
    cold = [sampling.temperature == 0 for sampling in samplings]
    if all(cold):
        tokens = changed.argmax(-1)
    else:
        tokens = _pick(_probabilities(changed, samplings), samplings, uniforms)
        if any(cold):
            tokens = torch.where(torch.tensor(cold, device=logits.device), changed.argmax(-1), tokens)
    logps = torch.log_softmax(logits, -1).gather(1, tokens[:, None]).squeeze(1)  # a third of the time of logsumexp
    return tokens, logps


def likeliest(logits: Float[Tensor, " V"], n: int) -> tuple[tuple[int, float], ...]:
    """The `n` likeliest tokens, each with the model's own log-probability, the likeliest first."""
    logps, tokens = torch.log_softmax(logits.float(), -1).topk(min(n, logits.shape[-1]))
    return tuple(zip(tokens.tolist(), logps.tolist(), strict=True))


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


def _penalize(logits: Tensor, sampling: Sampling, prompt: Sequence[int], reply: Sequence[int]) -> None:
    """Change one row of logits `(V,)` in place."""
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted({*prompt, *reply}), device=logits.device)
        before = logits[seen]
        penalty = sampling.repetition_penalty
        logits[seen] = torch.where(before > 0, before / penalty, before * penalty)
    if (sampling.presence_penalty or sampling.frequency_penalty) and reply:
        counts = Counter(reply)
        times = torch.tensor([*counts.values()], dtype=logits.dtype, device=logits.device)
        said = torch.tensor([*counts], device=logits.device)
        logits[said] -= sampling.frequency_penalty * times + sampling.presence_penalty
    if sampling.bias:
        tokens = torch.tensor([*sampling.bias], device=logits.device)
        logits[tokens] += torch.tensor([*sampling.bias.values()], dtype=logits.dtype, device=logits.device)


def _probabilities(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """What each row draws from, `(n, V)`; rows need not sum to 1."""
    if any(s.temperature not in (0, 1) for s in samplings):
        divisors = [min(max(s.temperature, COLDEST), HOTTEST) if s.temperature else 1.0 for s in samplings]
        logits = logits / _column(divisors, logits)
    probs = torch.softmax(logits, -1)
    if any(s.min_p is not None for s in samplings):
        floor = probs.amax(-1, keepdim=True) * _column([s.min_p or 0.0 for s in samplings], logits)
        probs = probs.masked_fill(probs < floor, 0.0)
    return probs


def _pick(probs: Tensor, samplings: Sequence[Sampling], uniform: Float[np.ndarray, " n"]) -> Tensor:
    """One token for each row of `probs` `(n, V)`, of what `top_k` and `top_p` leave."""
    tokens = torch.empty(len(probs), dtype=torch.int64, device=probs.device)
    free = np.array([sampling.free for sampling in samplings])
    for rows in (free, ~free):
        if not rows.any():
            continue
        its = probs if rows.all() else probs[torch.from_numpy(rows)]
        numbers = torch.from_numpy(uniform[rows])
        if rows is free:
            found = _draw(its, numbers.to(probs.device))
        else:
            ids, left = _left(its, [sampling for sampling in samplings if not sampling.free])
            places = _draw(torch.from_numpy(left), numbers)
            found = torch.from_numpy(ids).gather(1, places[:, None]).squeeze(1)
        if rows.all():
            return found.to(probs.device)
        tokens[torch.from_numpy(rows)] = found.to(probs.device)
    return tokens


def _left(probs: Tensor, samplings: Sequence[Sampling], looked: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest ids of each row in their order `(n, m)`, and of their probabilities what the cuts leave, else 0.

    Of equal ones the lower ids are left. Neither sorted nor summed is more than the few that decide, and these in
    NumPy, whose calls cost a fifth of torch's. How many are looked at has no part in what is left.
    """
    V = probs.shape[-1]
    most = np.array([[min(sampling.top_k or V, V)] for sampling in samplings])
    mass: np.ndarray | float = np.inf
    if any(sampling.top_p is not None for sampling in samplings):
        shares = np.array([[sampling.top_p or 2.0] for sampling in samplings], np.float32)
        mass = shares * probs.sum(-1, keepdim=True).cpu().numpy()
    looked = looked or min(LOOKED, int(most.max()))
    while True:
        looked = min(looked, V)
        ids, values, reached = _likeliest(probs, looked)
        ordered = -np.sort(-values, -1)
        before = ordered.cumsum(-1, dtype=np.float64).astype(np.float32) - ordered
        kept = np.minimum((before < mass).sum(-1, keepdims=True).clip(min=1), most)
        least = np.take_along_axis(ordered, kept - 1, -1)
        if looked == V or bool((least >= reached).all()):
            break
        looked *= 8
    ties, spare = values == least, kept - (ordered > least).sum(-1, keepdims=True)
    return ids, np.where((values > least) | (ties & (ties.cumsum(-1) <= spare)), values, np.float32(0))


def _likeliest(probs: Tensor, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ids of each row in their order, their probabilities, and the one that all of them reach and no others.

    These are `n` or a few more: all that reach the `n`-th largest of the peaks of at least four times as many
    stretches, which takes half of the time of finding the `n` largest. Each row ends with an id 0 of probability 0.
    """
    rows, V = probs.shape
    width = 1 << (max(1, V // (4 * n)).bit_length() - 1)
    stretches = V // width
    peaks = probs[:, : stretches * width].unflatten(1, (stretches, width)).amax(-1).cpu().numpy()
    reached = np.partition(peaks, stretches - n, -1)[:, stretches - n, None]
    least = np.maximum(reached, np.finfo(np.float32).tiny)
    if probs.device.type == "cpu":
        flat = probs.numpy()
        at = np.flatnonzero(flat >= least)
        found = flat.reshape(-1)[at]
    else:
        places = (probs >= torch.from_numpy(least).to(probs.device)).flatten().nonzero().squeeze(1)
        at, found = places.cpu().numpy(), probs.flatten()[places].cpu().numpy()
    row = at // V
    counts = np.bincount(row, minlength=rows)
    column = np.arange(len(at)) - (counts.cumsum() - counts)[row]
    ids, values = np.zeros((rows, counts.max() + 1), np.int64), np.zeros((rows, counts.max() + 1), np.float32)
    ids[row, column], values[row, column] = at - row * V, found
    return ids, values, reached


def _draw(probs: Tensor, uniform: Tensor) -> Tensor:
    """The place where the running sum of each row passes `uniform` of its total."""
    sums = probs.cumsum(-1)
    total = sums[:, -1:]
    goal = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(sums, goal, right=True).squeeze(1)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None]

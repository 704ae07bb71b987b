"""From rewards to what PPO learns from: rewards less divergence, generalised advantages, and how firmly to hold.

All tensors are (B, T). `weights` is not 0 where the model drew the target. What lies between such tokens of a row (the
answer of a tool) is passed over, as if they followed each other.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def token_rewards(
    rewards: Float[Tensor, "B"],
    old_logp: Float[Tensor, "B T"],
    ref_logp: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T"],
    kl: float,
) -> Float[Tensor, "B T"]:
    """A reply's reward on its last token, and on each token `-kl` times its log-ratio to the reference.

    The sum over a reply is the reward less `kl` times an estimate of the divergence (arXiv 2203.02155, eq. 2).
    """
    drawn = weights != 0
    places = torch.arange(weights.shape[1], device=weights.device)
    last = (places * drawn).argmax(1, keepdim=True)
    shaped = (-kl * (old_logp - ref_logp)).masked_fill(~drawn, 0.0)
    return shaped.scatter_add(1, last, rewards[:, None].to(shaped.dtype) * drawn.any(1, keepdim=True))


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T"],
    discount: float = 1.0,
    decay: float = 0.95,
) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """Advantages and returns of each drawn token (arXiv 1506.02438, eq. 16); 0 elsewhere.

    Nothing is expected after the last drawn token, also where the reply was cut there. Returns are advantages plus
    values. A discount of 1 is usual for replies: all their worth comes at their end.
    """
    drawn = (weights != 0).to(values.dtype)
    expected = values * drawn
    advantage = torch.zeros_like(values)
    ahead = later = torch.zeros_like(values[:, 0])
    for place in reversed(range(values.shape[1])):
        here = weights[:, place] != 0
        surprise = rewards[:, place] + discount * later - expected[:, place]
        ahead = torch.where(here, surprise + discount * decay * ahead, ahead)
        advantage[:, place], later = drawn[:, place] * ahead, torch.where(here, expected[:, place], later)
    return advantage, advantage + expected


def whitened(advantage: Float[Tensor, "B T"], weights: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Advantages of mean 0 and standard deviation 1 over the drawn tokens of a whole phase; 0 elsewhere."""
    drawn = weights != 0
    values = advantage[drawn]
    spread = values.std(correction=0).clamp(min=1e-8)
    return ((advantage - values.mean()) / spread).masked_fill(~drawn, 0.0)


def adapted_kl(weight: float, kl: float, target: float, n: int, horizon: int = 10_000) -> float:
    """The weight of the divergence after `n` replies that diverged by `kl` nats: higher above the target, lower below.

    Moves by at most a fifth for each `horizon` replies (Ziegler et al. 2019, arXiv 1909.08593, section 2.2).
    """
    error = max(-0.2, min(0.2, kl / target - 1))
    return weight * (1 + error * n / horizon)

"""Looking inside a model while it reads: how surprised it is at each token, what each layer would say, who looks where.

One pass over one row of ids. Modules are watched from outside with hooks, which are taken off again; a model knows
nothing of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from groundup.errors import ConfigError, UnsupportedError
from groundup.layers.attention import Attention, split_heads
from groundup.layers.rope import rotate
from groundup.models._base import Model
from groundup.models.gpt2 import Gpt2Attention

CHUNK_TOKENS = 64
"""Places whose logits are held at a time, so that a large vocabulary needs little memory."""


@dataclass(frozen=True)
class Place:
    """What the model thought would come at one place of the text, from all that stands before.

    `surprisal` of what came is in bits; `rank` 1 is the likeliest; `top` are ids with their probabilities.
    """

    token: int
    surprisal: float
    rank: int
    entropy: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Guess:
    """What one layer would say comes next: its likeliest id and its probability, and that of what came."""

    token: int
    probability: float
    right: float


def read(model: Model, ids: Sequence[int], top: int = 10) -> list[Place]:
    """A place for each id but the first, which nothing stands before.

    Raises ConfigError for a row that the context does not hold.
    """
    with torch.inference_mode():
        hidden = model(_row(model, ids))[0]
        places: list[Place] = []
        for start in range(0, len(ids) - 1, CHUNK_TOKENS):
            came = torch.tensor(ids[start + 1 : start + 1 + CHUNK_TOKENS], device=hidden.device)
            logp = model.logits(hidden[start : start + len(came)]).float().log_softmax(-1)
            own = logp.gather(1, came[:, None])
            ranks = (logp > own).sum(1) + 1
            entropy = -(logp.exp() * logp).nansum(1) / _LN2
            best = logp.topk(min(top, logp.shape[-1]))
            rows = zip(
                came.tolist(), (-own[:, 0] / _LN2).tolist(), ranks.tolist(), entropy.tolist(),
                best.indices.tolist(), best.values.exp().tolist(), strict=True,
            )  # fmt: skip
            for token, surprisal, rank, doubt, tokens, shares in rows:
                places.append(Place(token, surprisal, rank, doubt, tuple(zip(tokens, shares, strict=True))))
    return places


def lens(model: Model, ids: Sequence[int]) -> list[list[Guess]]:
    """The logit lens: for the embedding and each layer, what the head makes of its output, at each id but the last.

    Each output goes through the last norm and the head, as if the layers behind it were not there (nostalgebraist,
    "interpreting GPT: the logit lens", 2020). Raises ConfigError as `read` does.
    """
    blocks, norm = _blocks(model), _last_norm(model)
    with torch.inference_mode(), _watched(blocks) as seen:
        model(_row(model, ids))
        came = torch.tensor(ids[1:], device=model.head_weight.device)
        return [_guesses(model, norm(state)[0, :-1], came) for state in _states(seen)]


def attention(model: Model, ids: Sequence[int], layer: int) -> Float[Tensor, "H T T"]:
    """How much each token (row) takes from each earlier one (column), in every head of a layer, on the CPU.

    Recomputed from the layer's own queries and keys. Raises UnsupportedError for a layer that has none, ConfigError as
    `read` does.
    """
    module = next(
        (part for part in _blocks(model)[layer].modules() if isinstance(part, Attention | Gpt2Attention)), None
    )
    if module is None:
        raise UnsupportedError(f"{type(model).__name__} has no attention: it remembers by a state; see its logit lens")
    with torch.inference_mode(), _watched([module]) as seen:
        model(_row(model, ids))
        inputs, _ = seen[0]
        q, k = _queries_and_keys(module, inputs)
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
        logits = (q[0] @ k[0].transpose(1, 2)).float() * q.shape[-1] ** -0.5
        later = torch.ones(logits.shape[1:], dtype=torch.bool, device=logits.device).triu_(1)
        return logits.masked_fill(later, float("-inf")).softmax(-1).cpu()


_LN2 = 0.6931471805599453

Seen = tuple[tuple[Any, ...], Tensor]


@contextmanager
def _watched(modules: Sequence[nn.Module]) -> Iterator[list[Seen]]:
    """What goes into each module and comes out, in the order in which they run."""
    seen: list[Seen] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        seen.append((inputs, output))

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _states(seen: Sequence[Seen]) -> list[Tensor]:
    """The residual stream before the first block and after each."""
    return [seen[0][0][0], *(output for _, output in seen)]


def _blocks(model: Model) -> list[nn.Module]:
    """The model's layers, in order: its only list of that many modules."""
    lists = [part for part in model.children() if isinstance(part, nn.ModuleList)]
    (blocks,) = [part for part in lists if len(part) == model.config.layers]
    return list(blocks)


def _last_norm(model: Model) -> nn.Module:
    """The norm between the last block and the head: the child that stands behind the blocks."""
    children = [part for part in model.children() if part is not model.lm_head]
    return children[-1]


def _guesses(model: Model, hidden: Tensor, came: Tensor) -> list[Guess]:
    found: list[Guess] = []
    for start in range(0, len(came), CHUNK_TOKENS):
        part = came[start : start + CHUNK_TOKENS]
        probs = model.logits(hidden[start : start + CHUNK_TOKENS]).float().softmax(-1)
        best, token = probs.max(-1)
        right = probs.gather(1, part[:, None])[:, 0]
        found += map(Guess, token.tolist(), best.tolist(), right.tolist())
    return found


def _queries_and_keys(module: Attention | Gpt2Attention, inputs: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
    """`(1, H, T, d)` each, as the layer itself makes them of what went in."""
    x = inputs[0]
    if isinstance(module, Gpt2Attention):
        q, k, _ = (split_heads(part, module.head_dim) for part in module.c_attn(x).chunk(3, -1))
        return q, k
    q, k, _ = module.project(x)
    return rotate(module.q_norm(q), *inputs[1]), rotate(module.k_norm(k), *inputs[1])


def _row(model: Model, ids: Sequence[int]) -> Tensor:
    """The ids as one row on the model's device. Raises ConfigError for none, or for more than the context holds."""
    if not 2 <= len(ids) <= model.config.length:
        raise ConfigError(f"{len(ids)} tokens: give from 2 to {model.config.length}, which is the model's context")
    return torch.tensor([list(ids)], device=model.head_weight.device)

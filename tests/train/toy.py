"""What the tests of training share: a tiny real model, rows that are easy to learn, a trainer around them."""

from typing import Any

import numpy as np
import torch

from groundup.models._base import Model
from groundup.models.qwen3 import Qwen3
from groundup.optim._base import OptimizerConfig
from groundup.optim.adamw import AdamW
from groundup.tokens.pack import Row
from groundup.train.batch import Batch, collate
from groundup.train.feeds._base import Feed
from groundup.train.feeds.conversations import Conversations
from groundup.train.objectives._base import Objective
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.schedule import Schedule, Wsd
from groundup.train.trainer import Trainer

V, T = 40, 16


def model(seed: int = 0, **fields: Any) -> Model:
    """A Qwen3 of 2 layers and 32 dims."""
    return Qwen3(layers=2, dim=32, heads=2, length=T, **fields).build(V, seed)


def rows(n: int = 24, seed: int = 0) -> list[Row]:
    """Rows that count upwards from a random number; two segments each, some weights zero."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        ids = (random.integers(V) + np.arange(T + 1)) % V
        weights = (random.random(T) < 0.8).astype(np.float32)
        half = np.arange(T) // (T // 2)
        made.append(Row(ids[:-1], ids[1:], np.arange(T) % (T // 2), half, weights))
    return made


def batch(n: int = 8, seed: int = 0) -> Batch:
    """A batch with every field filled that an objective may look at; its two segments are a pair."""
    generator = torch.Generator().manual_seed(seed)
    plain = collate(rows(n, seed))
    names = ("old_logp", "ref_logp", "advantage", "returns", "old_value", "margin")
    fields = {name: torch.rand(n, T, generator=generator) for name in names}
    side = torch.tensor([1.0, -1.0]) * (1 - 2 * (torch.arange(n) % 2))[:, None]
    return Batch(
        **plain.tensors(),
        count=plain.count,
        old_logp=-3 - fields["old_logp"],
        ref_logp=-3 - fields["ref_logp"],
        advantage=fields["advantage"] - 0.5,
        returns=fields["returns"],
        old_value=fields["old_value"],
        pair=torch.zeros(n, 2, dtype=torch.int64),
        segment_weight=side,
        margin=fields["margin"][:, :2] * (side > 0),
        label=torch.arange(2 * n).view(n, 2) % 3,
        number=torch.randn(n, 2, generator=generator),
    )


def trainer(
    *,
    seed: int = 0,
    rows_each: int = 8,
    accumulate: int = 1,
    feed: Feed | None = None,
    objective: Objective | None = None,
    optim: OptimizerConfig | None = None,
    schedule: Schedule | None = None,
    of: Model | None = None,
    **settings: Any,
) -> Trainer:
    """A trainer of a fresh tiny model on `rows`."""
    net = of or model(seed)
    return Trainer(
        net,
        feed or Conversations(rows(), rows_each, seed),
        objective or Likelihood(),
        (optim or AdamW(lr=0.01)).build(net, net.roles()),
        schedule or Wsd(20, 3, 0.5),
        accumulate=accumulate,
        seed=seed,
        **settings,
    )


def same(a: Model, b: Model) -> bool:
    """Are all weights equal to the last bit?"""
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))

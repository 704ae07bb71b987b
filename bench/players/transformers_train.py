"""transformers in the row `train`: its class for the architecture, AdamW, in a plain loop."""

from typing import Any

import torch
from play import Round, play
from steps import plain_step, rounds
from theirs import built
from torch import Tensor
from torch.nn import functional


def prepare(settings: dict[str, Any]) -> Round:
    """Build its model from the given config and weights, and take the steps that are not counted."""
    model = built(settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["lr"], betas=(0.9, 0.95), weight_decay=0.0)
    running = torch.compile(model) if settings["compile"] else model

    def loss_of(tokens: Tensor, targets: Tensor) -> Tensor:
        logits = running(input_ids=tokens, use_cache=False).logits
        return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    return rounds(settings, plain_step(settings, model, optimizer, loss_of))


if __name__ == "__main__":
    play(prepare)

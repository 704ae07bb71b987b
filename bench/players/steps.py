"""What the players of the row `train` share: the same rows in the same order, and a round of timed steps."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from play import Round
from torch import Tensor, nn


def windows(settings: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and targets `(rows, T)` of one step after the other, through the file of ids and round again."""
    ids = np.load(settings["tokens"], mmap_mode="r")
    rows, T = settings["rows"], settings["model"]["length"]
    place = 0
    while True:
        place = place if place + rows * T < len(ids) else 0
        window = torch.from_numpy(ids[place : place + rows * T + 1].astype(np.int64))
        place += rows * T
        yield window[:-1].view(rows, T), window[1:].view(rows, T)


def rounds(settings: dict[str, Any], step: Callable[[], float]) -> Round:
    """Take the steps that are not counted; what is returned plays a round of `steps` and says tokens a second."""
    done = settings["warmup"]
    for _ in range(settings["warmup"]):
        step()

    def turn() -> dict[str, Any]:
        nonlocal done
        start = time.perf_counter()
        for _ in range(settings["steps"]):
            loss = step()
        seconds = time.perf_counter() - start
        done += settings["steps"]
        tokens = settings["steps"] * settings["rows"] * settings["model"]["length"]
        return {"value": tokens / seconds, "step": done, "loss": loss}

    return turn


def plain_step(
    settings: dict[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[], float]:
    """A step as the peers' own loops take it: autocast where asked, clip, move; the loss is read at every step."""
    feed, half = windows(settings), settings["precision"] != "fp32"

    def step() -> float:
        tokens, targets = next(feed)
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss = loss_of(tokens, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step

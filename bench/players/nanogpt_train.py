"""nanoGPT in the row `train`: its model and its optimizer, in the loop of its train.py."""

import sys
from typing import Any

import numpy as np
import torch
from play import Round, play
from steps import plain_step, rounds


def prepare(settings: dict[str, Any]) -> Round:
    """Build its model from the given weights, and take the steps that are not counted."""
    sys.path.insert(0, settings["checkout"])
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    shape = settings["model"]
    config = GPTConfig(
        block_size=shape["length"], vocab_size=settings["vocab"], n_layer=shape["layers"], n_head=shape["heads"],
        n_embd=shape["dim"], dropout=0.0, bias=True,
    )  # fmt: skip
    model = GPT(config)
    given, own = np.load(settings["weights"]), dict(model.named_parameters())
    with torch.no_grad():
        for name in given.files:
            own[f"transformer.{name}"].copy_(torch.from_numpy(given[name]))
    optimizer = model.configure_optimizers(0.0, settings["lr"], (0.9, 0.95), "cpu")
    running = torch.compile(model) if settings["compile"] else model
    return rounds(settings, plain_step(settings, model, optimizer, lambda tokens, targets: running(tokens, targets)[1]))


if __name__ == "__main__":
    play(prepare)

"""transformers in the row `generate`: `generate` with its own cache."""

from typing import Any

import torch
from play import Round, play
from theirs import built, replying


def prepare(settings: dict[str, Any]) -> Round:
    """Load the weights and answer once."""
    model = built(settings).eval()
    return replying(settings, model.to(torch.float32 if settings["precision"] == "fp32" else torch.bfloat16))


if __name__ == "__main__":
    play(prepare)

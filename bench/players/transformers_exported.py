"""transformers in the row `exported`: the folder that we exported, `generate` with one of its caches."""

from typing import Any

import torch
from play import Round, play
from theirs import replying


def prepare(settings: dict[str, Any]) -> Round:
    """Load the folder and answer once, with the compiler's work in it."""
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(settings["threads"])
    dtype = torch.float32 if settings["precision"] == "fp32" else torch.bfloat16
    model = AutoModelForCausalLM.from_pretrained(settings["folder"], dtype=dtype).eval()
    if settings["cache"] == "compiled":
        model.forward = torch.compile(model.forward, dynamic=False)
    kept = {} if settings["cache"] == "dynamic" else {"cache_implementation": "static"}
    return replying(settings, model, **kept)


if __name__ == "__main__":
    play(prepare)

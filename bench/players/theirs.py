"""What the players of transformers share: a model from our config and weights, and a round of replies."""

import time
from typing import Any

import numpy as np
import torch
from play import Round
from torch import nn


def built(settings: dict[str, Any]) -> nn.Module:
    """Its class for the architecture, with the given first weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    stock = dict(settings["stock"])
    model: nn.Module = AutoModelForCausalLM.from_config(AutoConfig.for_model(stock.pop("model_type"), **stock))
    given, own = np.load(settings["weights"]), dict(model.named_parameters())
    with torch.no_grad():
        for name in given.files:
            own[f"model.{name}"].copy_(torch.from_numpy(given[name]))
    return model


def replying(settings: dict[str, Any], model: Any, **kept: Any) -> Round:
    """A round: every prompt gone on from by its `generate`, in tokens a second; one has been played already."""
    places, replies = torch.arange(settings["prompt"]), torch.arange(settings["replies"])
    n = 0

    def turn() -> dict[str, Any]:
        nonlocal n
        n += 1
        prompts = (7 * places[None] + 13 * replies[:, None] + n) % settings["vocab"]
        start = time.perf_counter()
        made = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            top_k=settings["top_k"],
            max_new_tokens=settings["new"],
            min_new_tokens=settings["new"],
            pad_token_id=0,
            eos_token_id=None,
            **kept,
        )
        return {"value": (made.numel() - prompts.numel()) / (time.perf_counter() - start)}

    turn()
    return turn

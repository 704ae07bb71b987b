"""What a run that adapts a model is filled in with, and the seconds of what comes after its training."""

from collections.abc import Mapping
from typing import Any

from groundup.config import Tree
from groundup.plan.stages import DECODE

PASSES = 4
"""Of the held-out text: each token is read twice (windows overlap by half), before and after."""

BYTES_PER_TOKEN = 3.0
"""Few, so that the time is rather over than under."""

REPLY_TOKENS = 2 * 200 * 64
"""Of the answers to held-out questions, before and after, at most."""

RATE, ADAPTER_RATE = 1e-4, 1e-3
RATES = {
    "likelihood": 3e-4,
    "distill": 3e-4,
    "gkd": 3e-4,
    "regress": 3e-4,
    "orpo": 3e-4,
    "classify": 3e-4,
    "reward": 3e-4,
}
"""Peak learning rates of AdamW: of methods that are not named, of adapters; then those of methods (docs/diary.md)."""


def adapting_settings(objective: str, adapter: str) -> Tree:
    """The part of `adapt` that depends on the method.

    Rates were looked for on a model of 1.2 M parameters and 982 pairs (docs/diary.md).
    """
    rate = ADAPTER_RATE if adapter != "none" else RATES.get(objective, RATE)
    drawn = {"rows": 64, "epochs": 1} if objective in ("policy", "gspo", "ppo", "gkd") else {"rows": 8}
    return {**drawn, "optim": {"name": "adamw", "lr": rate, "decay": 0.0}}


def adapting_seconds(basis: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of each stage; training gets what the others leave, or as long as its steps take."""
    tokens = float(basis["held_out_bytes"]) / BYTES_PER_TOKEN
    passes = PASSES * tokens / 3 + DECODE * REPLY_TOKENS  # a forward pass is a third of a step
    measuring = 2.0 + passes * float(basis["seconds_per_token"])
    return {"reference": 0.0, "adapt": 0.0, "eval": measuring, "report": 1.0}

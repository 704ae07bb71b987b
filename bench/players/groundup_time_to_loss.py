"""Ours in the row `time-to-loss`: the whole command by the clock, then its loss on the text that was kept back."""

import shutil
from pathlib import Path
from typing import Any

from clock import prepare as clock
from play import Round, play

WINDOWS = 1600
"""At least so many windows of the model's context are measured, evenly spread over the text; nanoGPT looks at 240."""


def prepare(settings: dict[str, Any]) -> Round:
    """Every round makes its run anew."""
    runs = Path(settings["folder"]) / "runs"
    timed = clock(settings)

    def turn() -> dict[str, Any]:
        shutil.rmtree(runs, ignore_errors=True)
        return {**timed(), "told": loss(runs, Path(settings["held_out"]).read_text(encoding="utf-8"))}

    return turn


def loss(runs: Path, text: str) -> float:
    """Nats a character of the run's pretrained model, over windows as nanoGPT's evaluation takes them."""
    import numpy as np
    import torch

    from groundup.config import read_toml
    from groundup.recipe import Recipe
    from groundup.stages.training import build_model
    from groundup.store import Store
    from groundup.tokenizer._base import load

    store = Store.open(runs, "ours")
    recipe, current = Recipe.from_tree(read_toml(store.root / "recipe.toml")), store.current()
    model = build_model(recipe, current["tokenizer"].path, current["pretrain"].path, "cpu").eval()
    learned = load(current["tokenizer"].path)
    ids = np.asarray(learned.encode(text), dtype=np.int64)
    T = model.config.length
    stride = max(1, min(T, (len(ids) - T - 1) // WINDOWS))
    starts = np.arange(0, len(ids) - T - 1, stride)
    total, n_bytes = 0.0, 0
    sizes = np.array([len(learned.token_bytes[number]) for number in range(learned.vocab_size)])
    with torch.no_grad():
        for some in np.array_split(starts, max(1, len(starts) // 64)):
            windows = ids[some[:, None] + np.arange(T + 1)]
            tokens = torch.from_numpy(windows)
            total -= float(model.score(tokens[:, :-1], tokens[:, 1:]).logp.sum())
            n_bytes += int(sizes[windows[:, 1:]].sum())
    return total / n_bytes


if __name__ == "__main__":
    play(prepare)

"""Ours in the row `generate`: the engine that chat and server run."""

import time
from typing import Any

from play import Round, play


def prepare(settings: dict[str, Any]) -> Round:
    """Load the weights and answer once."""
    from groundup.cli._work import begin_process

    begin_process()
    import numpy as np
    import torch

    from groundup.config import Folder
    from groundup.events import Silent
    from groundup.infer.engine import Engine
    from groundup.infer.schedule import Request
    from groundup.models._base import ModelConfig
    from groundup.stages.training import autocast_dtype

    config = Folder("models").read(settings["model"])
    assert isinstance(config, ModelConfig)
    model = config.build(settings["vocab"])
    weights = np.load(settings["weights"])
    model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    length, dtype = settings["prompt"] + settings["new"], autocast_dtype(settings["precision"])
    compiled = Silent() if settings.get("compiled") else None
    engine = Engine(model, rows=settings["replies"], length=length, dtype=dtype, compiled=compiled)
    n = 0

    def turn() -> dict[str, Any]:
        nonlocal n
        n += 1
        requests = [
            Request(
                prompt=[(7 * place + 13 * reply + n) % settings["vocab"] for place in range(settings["prompt"])],
                max_tokens=settings["new"],
                top_k=settings["top_k"],
                seed=reply,
            )
            for reply in range(settings["replies"])
        ]
        start = time.perf_counter()
        made = sum(len(each.ids) for each in engine.complete(requests))
        return {"value": made / (time.perf_counter() - start)}

    turn()
    return turn


if __name__ == "__main__":
    play(prepare)

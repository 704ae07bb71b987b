"""tokens a second of replies, one at a time and sixteen together, from the same weights"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bench.ceiling import read_bytes_per_second
from bench.contest import OURS, Contest, Floor, Player
from bench.rows._base import Ground, Row
from groundup.config import Folder

SHAPES: dict[str, dict[str, int]] = {
    "30m": {"layers": 8, "dim": 512, "heads": 8, "length": 512, "vocab": 16384},
    "quick": {"layers": 3, "dim": 128, "heads": 2, "length": 256, "vocab": 2048},
}
TOP_K = 50


class Generate(Row):
    """Prompts of 16 tokens, each gone on from by 128, drawn among the 50 likeliest; random weights."""

    knows: ClassVar = ("transformers",)
    shape: Literal["30m", "quick"] = Field(
        "30m", description="of the model: about 30 M parameters, or the default run's"
    )
    model: Literal["llama", "qwen3"] = "llama"
    prompt: int = Field(16, ge=1, description="tokens")
    new: int = Field(128, ge=1, description="tokens")

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """One contest for each number of replies at once."""
        from groundup.formats._stock import config_out
        from groundup.models._base import ModelConfig
        from groundup.plan.machine import probe

        shape = SHAPES[self.shape]
        fields = {key: shape[key] for key in ("layers", "dim", "heads", "length")}
        config = Folder("models").find(self.model).from_tree({**fields, "tied": True, "residual_init": "scaled"})
        assert isinstance(config, ModelConfig)
        model = config.build(shape["vocab"], seed=1)
        weights = ground.folder / "weights.npz"
        np.savez(weights, **{name: value.numpy() for name, value in model.state_dict().items()})
        machine = probe(ground.folder)
        read = sum(weight.numel() for weight in model.parameters()) * (4 if machine.precision == "fp32" else 2)
        bandwidth, work = read_bytes_per_second(read), config.flops_per_token(shape["vocab"], 0) / 3
        for replies in (1, 16):
            shared: dict[str, Any] = {
                "model": {"name": self.model, **config.tree()}, "vocab": shape["vocab"], "weights": str(weights),
                "stock": config_out(model), "prompt": self.prompt, "new": self.new, "replies": replies,
                "top_k": TOP_K, "precision": machine.precision,
            }  # fmt: skip
            players = [Player(OURS, "groundup_generate.py", shared)]
            if peer := ground.peers.get("transformers"):
                kinds = ["fp32"] if machine.precision == "fp32" else ["fp32", machine.precision]
                players += [
                    Player(
                        f"transformers {kind}", "transformers_generate.py", {**shared, "precision": kind}, peer.python
                    )
                    for kind in kinds
                ]
            floor = min(replies * bandwidth / read, machine.rate / work)
            words = f"{read / 1e6:.0f} MB a step at {bandwidth / 1e9:.0f} GB/s; {work / 1e6:.0f} MFLOP a token"
            yield Contest(
                f"generate: {self.model}, shape {self.shape}, {replies} at once", "tokens/s", players,
                floor=Floor(floor, words),
            )  # fmt: skip

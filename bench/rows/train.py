"""training tokens a second: the same architecture, first weights, order of data and optimizer for every player"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bench.contest import OURS, Contest, Floor, Player
from bench.rows._base import TUNED, Ground, Row
from bench.texts import token_file
from groundup.config import Folder

LR = 6e-4
"""nanoGPT's; constant, without weight decay, since the players decay different parameters."""

SHAPES: dict[str, dict[str, int]] = {
    "a": {"layers": 6, "dim": 384, "heads": 6, "length": 256, "vocab": 8192, "rows": 32},
    "b": {"layers": 8, "dim": 512, "heads": 8, "length": 512, "vocab": 16384, "rows": 16},
    "quick": {"layers": 3, "dim": 128, "heads": 2, "length": 256, "vocab": 2048, "rows": 16},
    "tiny": {"layers": 2, "dim": 64, "heads": 2, "length": 64, "vocab": 512, "rows": 4},
}


class Train(Row):
    """Tokens a second of whole training steps; `loss` of each round is kept, so that the curves can be laid together.

    nanogpt is held with `model = "gpt2"`, transformers with `llama` and `qwen3`.
    """

    knows: ClassVar = ("nanogpt", "transformers")
    shape: Literal["a", "b", "quick", "tiny"] = Field("a", description="of the model: issue 4's a and b, ours, a toy")
    model: Literal["gpt2", "llama", "qwen3"] = "gpt2"
    steps: int = Field(3, ge=1, description="in a round")
    warmup: int = Field(2, ge=0, description="steps before the first round, compilation included")
    compiled: bool = Field(True, description="compiled peers too: each spends a minute in the compiler")

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """One contest: ours, then every way of running the peers."""
        from groundup.formats._stock import config_out
        from groundup.models._base import ModelConfig
        from groundup.plan.machine import probe

        shape = SHAPES[self.shape]
        machine = probe(ground.folder)
        fields = {key: shape[key] for key in ("layers", "dim", "heads", "length")}
        config = Folder("models").find(self.model).from_tree({**fields, "tied": True})
        assert isinstance(config, ModelConfig)
        weights, tokens = ground.folder / "weights.npz", ground.folder / "tokens.npy"
        model = config.build(shape["vocab"], seed=1)
        np.savez(weights, **{name: value.numpy() for name, value in model.state_dict().items()})
        token_file(tokens, shape["vocab"], 200 * shape["rows"] * shape["length"])
        flops = config.flops_per_token(shape["vocab"], shape["length"])
        shared: dict[str, Any] = {
            "model": {"name": self.model, **config.tree()}, "vocab": shape["vocab"], "rows": shape["rows"],
            "weights": str(weights), "tokens": str(tokens), "steps": self.steps, "warmup": self.warmup, "lr": LR,
            "stock": config_out(model),
        }  # fmt: skip
        words = f"{flops / 1e6:.1f} MFLOP a token at {machine.rate / 1e9:,.0f} GFLOP/s ({machine.precision})"
        ours = Player(OURS, "groundup_train.py", {**shared, "precision": machine.precision})
        yield Contest(
            f"train: {self.model}, shape {self.shape}",
            "tokens/s",
            [ours, *self._peers(ground, shared, machine.precision)],
            floor=Floor(machine.rate / flops, words),
        )

    def _peers(self, ground: Ground, shared: dict[str, Any], precision: str) -> Iterator[Player]:
        name = "nanogpt" if self.model == "gpt2" else "transformers"
        peer = ground.peers.get(name)
        if peer is None:
            return
        half = ["fp32"] if precision == "fp32" else ["fp32", precision]
        for kind in half:
            for compiled in (False, True) if self.compiled else (False,):
                for tuned in (False, True):
                    if compiled and not tuned:  # the allocator's gain is seen without the compiler's minute
                        continue
                    words = [name, kind, *(["compiled"] * compiled), *(["tuned"] * tuned)]
                    settings = {**shared, "precision": kind, "compile": compiled, "checkout": str(peer.checkout)}
                    yield Player(" ".join(words), f"{name}_train.py", settings, peer.python, TUNED if tuned else {})

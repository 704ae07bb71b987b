"""seconds of the whole process to nanoGPT's quick-start loss on the same split of characters"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from bench.contest import OURS, Contest, Player
from bench.rows._base import Ground, Row
from bench.rows.startup import checkout_with_text
from groundup.corpus.streams import chunks
from groundup.errors import ConfigError

QUICK_START = (
    "config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1",
    "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128", "--max_iters=2000",
    "--lr_decay_iters=2000", "--dropout=0.0",
)  # fmt: skip
"""The command of nanoGPT's README for a CPU, unchanged."""

RECIPE = Path(__file__).parents[1] / "characters.toml"
TRAIN_SHARE = 0.9
"""Of the text, from its beginning: nanoGPT's split."""

DOCUMENT_CHARACTERS = 8000
"""The training text is cut into documents of about this size, at blank lines, so that some can be held out of it."""


class TimeToLoss(Row):
    """Wall time of both commands from start to end; `told` is the loss in nats a character on the last tenth.

    Ours is `groundup run` with the recipe `bench/characters.toml` and `time_to_loss.steps`, and its loss is measured
    afterwards on all of that tenth, outside of the clock; nanoGPT's is what its last evaluation prints.
    """

    knows: ClassVar = ("nanogpt",)
    text: str = Field("", description="one text file (tiny Shakespeare), plain or compressed")
    steps: int | None = Field(None, ge=1, description="of ours; None: as the recipe says")

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """One contest. Raises ConfigError where the text is not given."""
        if not Path(self.text).is_file():
            raise ConfigError(
                f"time-to-loss.text={self.text!r}: there is no such file; give tiny Shakespeare: "
                "time-to-loss.text=data/shakespeare_char/input.txt"
            )
        text = b"".join(chunks(Path(self.text))).decode("utf-8")
        cut = int(TRAIN_SHARE * len(text))
        train, held = ground.folder / "train.jsonl", ground.folder / "held_out.txt"
        train.write_text("".join(json.dumps({"text": each}) + "\n" for each in passages(text[:cut])), encoding="utf-8")
        held.write_text(text[cut:], encoding="utf-8")
        steps = [] if self.steps is None else [f"train.steps={self.steps}"]
        command = [sys.executable, "-m", "groundup", "run", str(RECIPE), "--data", str(train), "--name", "ours"]
        ours = {"command": [*command, "--quiet", *steps], "folder": str(ground.folder), "held_out": str(held)}
        players = [Player(OURS, "groundup_time_to_loss.py", ours)]
        if peer := ground.peers.get("nanogpt"):
            assert peer.checkout is not None
            folder = checkout_with_text(peer.checkout, peer.python, text, ground)
            theirs = {
                "command": [str(peer.python), "train.py", *QUICK_START], "folder": str(folder),
                "told": r"val loss ([0-9.]+)",
            }  # fmt: skip
            players.append(Player("nanogpt", "clock.py", theirs))
        yield Contest("time-to-loss: nanoGPT's quick start", "seconds", players, more_is_better=False)


def passages(text: str) -> list[str]:
    """A text in pieces of about DOCUMENT_CHARACTERS that end with a blank line; joined they are the text."""
    found, start = [], 0
    while start < len(text):
        stop = text.find("\n\n", start + DOCUMENT_CHARACTERS)
        stop = len(text) if stop < 0 else stop + 2
        found.append(text[start:stop])
        start = stop
    return found

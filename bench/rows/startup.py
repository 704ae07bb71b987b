"""seconds from the command to the first training step on a prepared corpus"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from bench.contest import OURS, Contest, Floor, Player
from bench.rows._base import Ground, Row
from bench.texts import documents
from groundup.errors import ResourceError

RUN = "prepared"
SETTINGS = (
    "model.layers=3", "model.dim=128", "tokenizer.vocab_size=2048", "train.rows=16", "train.steps=1", "sft.steps=0",
    "grpo.steps=0", "eval.arithmetic=0", "eval.passages=0", "eval.functions=0", "eval.yardsticks=false",
)  # fmt: skip
QUICK_START = (
    "config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=1", "--log_interval=1",
    "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128", "--dropout=0.0",
)  # fmt: skip


class Startup(Row):
    """Ours on a run whose corpus, vocabulary and ids are there; nanoGPT's train.py on its prepared characters.

    The floor is a Python that imports torch and does nothing.
    """

    knows: ClassVar = ("nanogpt",)

    def contests(self, ground: Ground) -> Iterator[Contest]:
        """One contest."""
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        torch_seconds = time.perf_counter() - start
        runs = ground.folder / "runs"
        command = [sys.executable, "-m", "groundup", "run", "--runs", "runs", "--quiet"]
        text = ground.folder / "text"
        text.mkdir()
        for number, each in enumerate(documents(["python"], 2_000_000)):
            (text / f"{number}.txt").write_text(each, encoding="utf-8")
        done = subprocess.run(
            [*command, "--name", RUN, "--data", str(text), *SETTINGS],
            cwd=ground.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise ResourceError(f"startup: the run to start from could not be made: {done.stderr[-400:]}")
        (runs / RUN / "metrics" / "pretrain.jsonl").unlink()
        ours = {
            "command": [*command, RUN, "train.seed=1"], "folder": str(ground.folder / "ours"),
            "fresh": str(ground.folder / "given"), "file": f"runs/{RUN}/metrics/pretrain.jsonl",
        }  # fmt: skip
        (ground.folder / "given").mkdir()
        runs.rename(ground.folder / "given" / "runs")
        players = [Player(OURS, "clock.py", ours)]
        if peer := ground.peers.get("nanogpt"):
            assert peer.checkout is not None
            folder = checkout_with_text(peer.checkout, peer.python, "\n".join(documents(["python"], 1_000_000)), ground)
            theirs = {
                "command": [str(peer.python), "train.py", *QUICK_START],
                "folder": str(folder),
                "until": "^iter 0",
            }
            players.append(Player("nanogpt", "clock.py", theirs))
        yield Contest(
            "startup: to the first training step", "seconds", players, more_is_better=False,
            floor=Floor(torch_seconds, "python -c 'import torch'"),
        )  # fmt: skip


def checkout_with_text(checkout: Path, python: Path, text: str, ground: Ground) -> Path:
    """A copy of a checkout of nanoGPT in which `text` is prepared in place of its Shakespeare.

    Raises ResourceError when its own prepare.py fails.
    """
    folder = ground.folder / "nanogpt"
    shutil.copytree(checkout, folder, ignore=shutil.ignore_patterns(".git", ".venv", "out*"))
    place = folder / "data" / "shakespeare_char"
    (place / "input.txt").write_text(text, encoding="utf-8")
    done = subprocess.run([str(python), "prepare.py"], cwd=place, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ResourceError(f"nanoGPT's prepare.py failed: {done.stderr[-400:]}; see that its environment has numpy")
    return folder

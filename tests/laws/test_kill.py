"""Kill it anywhere: the same command goes on, and a fixed recipe ends with the same weights to the last bit."""

import time
from pathlib import Path
from random import Random

import pytest

from groundup.pipeline import STAGES
from groundup.store import Store
from spine import groundup, start, weights_of, write_recipe, write_text

LONGER = (
    "train.steps=60", "train.save_steps=10", "sft.steps=240", "sft.rows=16", "sft.conversations=0",
    "sft.arithmetic=600", "sft.probe_steps=40", "sft.save_steps=20", "grpo.steps=4", "grpo.rows=256", "grpo.group=8",
    "grpo.max_tokens=40",
)  # fmt: skip
"""Enough of everything that grpo earns rewards, so that its roll-outs are part of the law."""


def kill_when_begun(words: tuple[str, ...], cwd: Path, stage: str, after: float) -> bool:
    """SIGKILL the command `after` seconds into a stage; False where it was done before that."""
    run = cwd / "runs" / "tiny"
    with start(*words, cwd=cwd) as process:
        while process.poll() is None:
            if any((run / "artifacts").glob(f".draft-{stage}-*")):
                time.sleep(after)
                process.kill()
                process.communicate()
                return process.returncode < 0
            time.sleep(0.005)
        assert process.returncode == 0, process.communicate()[1]
    return False


def test_killed_twice_and_the_same_weights(place: Path, tmp_path: Path) -> None:
    words = ("run", str(place / "tiny.toml"), "--data", str(place / "text"), "--name", "tiny")
    assert kill_when_begun(words, tmp_path, "pretrain", after=0.02)
    assert list(Store(tmp_path / "runs" / "tiny").current()) == ["corpus", "tokenizer", "tokens"]
    assert kill_when_begun(words, tmp_path, "sft", after=0.05)
    groundup("run", "tiny", "eval.arithmetic=0", "eval.passages=0", "eval.yardsticks=false", cwd=tmp_path)
    weights = weights_of(tmp_path / "runs" / "tiny")
    assert weights == weights_of(place / "runs" / "tiny")
    assert len(set(weights.values())) == 3, "every stage of training moves the weights"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_ten_times_at_random_and_the_same_weights(tmp_path: Path) -> None:
    recipe, text = write_recipe(tmp_path), write_text(tmp_path / "text")
    words = ("run", str(recipe), "--data", str(text), "--name", "tiny", *LONGER)
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    groundup(*words, cwd=tmp_path / "whole")
    facts = Store(tmp_path / "whole" / "runs" / "tiny").current()
    assert facts["grpo"].facts["reward_first"] > 0
    random, kills = Random(2), 0
    stages = [stage.name for stage in STAGES if stage.name != "report"]
    for stage in sorted([*stages, *random.choices(["pretrain", "sft", "grpo"], k=3)], key=stages.index):
        after = random.random() * facts[stage].seconds * 0.8
        kills += kill_when_begun(words, tmp_path / "killed", stage, after)
    assert kills == 10
    groundup(*words, cwd=tmp_path / "killed")
    weights = weights_of(tmp_path / "whole" / "runs" / "tiny")
    assert weights_of(tmp_path / "killed" / "runs" / "tiny") == weights
    assert len(set(weights.values())) == 3

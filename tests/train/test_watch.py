"""Trouble that is injected into real training: what is seen, how soon, and that the run ends well all the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spine
from groundup.stall import STALLED
from groundup.train.batch import Batch
from groundup.train.drive import Driven, drive
from groundup.train.objectives.likelihood import Likelihood
from groundup.train.saving import Keep
from groundup.train.schedule import Wsd
from groundup.train.trainer import Trainer
from groundup.train.watch import LEAST, Watch
from train import toy

STEPS, SAVE, BAD = 100, 10, 75
STALLING = """
import sys, time
from pathlib import Path
from groundup.train.drive import drive
from groundup.train.saving import Keep
from train import toy
def extra():
    print("step", flush=True)
    time.sleep(float(sys.argv[2]))
    return {}
drive(toy.trainer(), stage="toy", keep=Keep(Path(sys.argv[1])), peak=0.01, note=lambda **row: None, extra=extra,
      stall_seconds=6.0)
"""


def spoilt(factors: dict[int, float], **more: Any) -> Trainer:
    """A trainer whose n-th batch, counted from 1 over all that it draws, has its loss multiplied."""
    drawn = [0]

    class Spoilt(Likelihood):
        def __call__(self, scores: Any, batch: Batch) -> Any:
            total, metrics = super().__call__(scores, batch)
            drawn[0] += 1
            factor = factors.get(drawn[0], 1.0)
            return total * factor, {**metrics, "loss": metrics["loss"] * factor}

    return toy.trainer(objective=Spoilt(), schedule=more.pop("schedule", Wsd(STEPS, 2, 0.5)), **more)


def run(trainer: Trainer, folder: Path, **more: Any) -> tuple[Driven, list[dict[str, Any]]]:
    """Drive it to its end; the faults that were written down, but for those of a disk that others keep busy."""
    rows: list[dict[str, Any]] = []
    keep = more.pop("keep", Keep(folder, steps=SAVE, newest=3))
    driven = drive(trainer, stage="toy", keep=keep, peak=0.01, note=lambda **row: rows.append(row), **more)
    return driven, [row for row in rows if row["event"] == "fault" and row["kind"] != "slow disk"]


def test_noise_alone_is_never_a_spike_and_ten_deviations_always_are() -> None:
    random = np.random.default_rng(0)
    for seed in range(5):
        watch = Watch()
        losses = 3.0 + 3.0 * np.exp(-np.arange(400) / 60) + 0.1 * random.standard_normal(400)
        assert [watch.see(step, loss, True) for step, loss in enumerate(losses, 1)] == [None] * 400, seed
        verdict = watch.see(401, 3.0 + 10 * 0.1 + 0.1, True)
        assert verdict is not None and verdict.back and "above the 128 before it" in verdict.text


def test_a_gradient_that_is_no_number_leaves_its_step_out(tmp_path: Path) -> None:
    driven, faults = run(spoilt({BAD: float("nan")}), tmp_path)
    assert driven.steps == STEPS
    assert [(row["kind"], row["step"]) for row in faults] == [("nan", BAD)]
    assert "left out" in faults[0]["text"]


def test_a_spike_sends_the_stage_back_past_its_batches(tmp_path: Path) -> None:
    trainer = spoilt({BAD: 3000.0})
    driven, faults = run(trainer, tmp_path)
    assert driven.steps == STEPS and driven.tokens == STEPS * 8 * toy.T
    assert [(row["kind"], row["step"]) for row in faults] == [("spike", 70)]
    assert "back to step 70 (1 of 3 times), the batches of steps 71 to 75 are passed over" in faults[0]["text"]
    assert trainer.feed.state()["position"] == 8 * (STEPS + 5), "the batches from 71 to 75 taught nothing"
    assert driven.last["loss"] < 1.5


def test_a_kill_after_a_rollback_comes_to_the_same_weights(tmp_path: Path) -> None:
    whole = spoilt({BAD: 3000.0})
    run(whole, tmp_path / "whole")
    first = spoilt({BAD: 3000.0})
    with pytest.raises(MemoryError):
        run(first, tmp_path / "killed", extra=dying_at(BAD + 12))
    rest = spoilt({})
    driven, faults = run(rest, tmp_path / "killed")
    assert driven.steps == STEPS and faults == []
    assert toy.same(rest.model, whole.model)


def dying_at(step: int) -> Callable[[], dict[str, float]]:
    """Numbers for the log that end the process, as it were, after so many steps."""
    seen = iter(range(1, 10**6))

    def extra() -> dict[str, float]:
        if next(seen) == step:
            raise MemoryError
        return {}

    return extra


def test_trouble_that_comes_back_goes_further_back_and_at_most_so_often(tmp_path: Path) -> None:
    """Every batch from the first bad one on is bad: no way back helps, and the stage says so and ends."""
    driven, faults = run(spoilt(dict.fromkeys(range(BAD, 500), 3000.0)), tmp_path)
    assert driven.steps == STEPS
    assert [row["step"] for row in faults if "back to step" in row["text"]] == [70, 60, 50]
    assert "3 times back is all that is allowed" in faults[3]["text"]


def test_weights_that_give_no_number_are_replaced_by_saved_ones(tmp_path: Path) -> None:
    trainer = spoilt({})
    hit = dying_at(BAD)

    def damage() -> dict[str, float]:
        try:
            return hit()
        except MemoryError:
            with torch.no_grad():
                next(iter(trainer.model.parameters()))[:] = float("nan")
            return {}

    driven, faults = run(trainer, tmp_path, extra=damage)
    assert driven.steps == STEPS and all(weight.isfinite().all() for weight in trainer.model.parameters())
    assert [row["step"] for row in faults] == [BAD + 1, 70]


def test_before_anything_is_saved_training_goes_on(tmp_path: Path) -> None:
    driven, faults = run(spoilt({BAD: 3000.0}), tmp_path, keep=Keep(tmp_path))
    assert driven.steps == STEPS
    assert "nothing was saved before it" in faults[0]["text"]


@pytest.mark.slow
def test_a_process_that_hangs_ends_itself_and_one_that_was_stopped_goes_on(tmp_path: Path) -> None:
    paths = {**spine.environment(), "PYTHONPATH": f"{spine.ROOT}:{spine.ROOT / 'tests'}"}

    def start(pause: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", STALLING, str(tmp_path / str(pause)), str(pause)], env=paths, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    with start(60.0) as hung, start(0.05) as stopped:
        assert stopped.stdout is not None and stopped.stdout.readline() == "step\n"
        os.kill(stopped.pid, signal.SIGSTOP)
        _, errors = hung.communicate()
        time.sleep(2)
        os.kill(stopped.pid, signal.SIGCONT)
        output, _ = stopped.communicate()
        assert hung.returncode == STALLED and "in extra" in errors, "the stacks say where it hung"
        assert stopped.returncode == 0 and output.count("step") == 19


def test_too_few_losses_are_not_judged() -> None:
    watch = Watch()
    assert [watch.see(step, 1.0 if step < LEAST else 100.0, True) for step in range(1, LEAST + 1)] == [None] * LEAST

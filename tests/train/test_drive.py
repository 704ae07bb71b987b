"""One stage from start to end: what is saved, logged and probed, and that neither a kill nor Ctrl-C changes a bit."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.events import Events
from groundup.train import checkpoint
from groundup.train.drive import Driven, Probe, drive
from groundup.train.saving import Keep
from groundup.train.schedule import Pace, Wsd
from groundup.train.trainer import Trainer
from train import toy

STEPS = 12


class Journal:
    """Notes as the store keeps them, in memory."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def __call__(self, **entry: Any) -> None:
        self.rows.append(entry)

    def of(self, event: str) -> list[dict[str, Any]]:
        """The notes of one kind."""
        return [row for row in self.rows if row["event"] == event]


def run(trainer: Trainer, folder: Path, journal: Journal | None = None, **more: Any) -> Driven:
    """Drive a trainer; its checkpoints and metrics go below `folder`."""
    events = Events(folder / "metrics")
    keep = more.pop("keep", Keep(folder / "kept", steps=4))
    try:
        return drive(
            trainer, stage="toy", keep=keep, peak=0.01, note=journal or Journal(), progress=events, **more
        )  # fmt: skip
    finally:
        events.close()


def steps_logged(folder: Path) -> list[int]:
    lines = (folder / "metrics" / "toy.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["step"] for line in lines]


def stop_at(step: int, number: signal.Signals) -> Callable[[], dict[str, float]]:
    """Numbers for the log that send this process a signal at a step, as a person or a scheduler would."""
    seen = iter(range(1, 10**6))

    def extra() -> dict[str, float]:
        if next(seen) == step:
            os.kill(os.getpid(), number)
        return {"mine": 1.0}

    return extra


def fixed() -> Trainer:
    return toy.trainer(schedule=Wsd(STEPS, 2, 0.5))


def test_a_stage_runs_to_its_end_and_logs_every_step(tmp_path: Path) -> None:
    journal = Journal()
    driven = run(fixed(), tmp_path, journal)
    assert driven.steps == STEPS
    assert driven.tokens == STEPS * 8 * toy.T
    assert steps_logged(tmp_path) == list(range(1, STEPS + 1))
    assert [row["step"] for row in journal.of("saved")] == [4, 8, 12]
    assert sorted(path.name for path in (tmp_path / "kept" / "before_decay").iterdir()) == ["step-000000006"]
    row = json.loads((tmp_path / "metrics" / "toy.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert {"loss", "lr", "grad_norm", "tokens", "tokens_per_second", "seconds"} <= row.keys()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_saves_and_a_rerun_gives_the_same_bits(number: signal.Signals, tmp_path: Path) -> None:
    whole = fixed()
    run(whole, tmp_path / "whole")
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        run(fixed(), tmp_path, extra=stop_at(7, number), keep=Keep(tmp_path / "kept", seconds=1000))
    assert signal.getsignal(number) is before
    assert [path.name for path in sorted((tmp_path / "kept").glob("step-*"))] == ["step-000000007"]
    assert steps_logged(tmp_path) == list(range(1, 8))
    resumed = fixed()
    driven = run(resumed, tmp_path, keep=Keep(tmp_path / "kept", seconds=1000))
    assert toy.same(resumed.model, whole.model)
    assert (driven.steps, driven.tokens) == (STEPS, STEPS * 8 * toy.T)
    assert steps_logged(tmp_path) == list(range(1, STEPS + 1))


def test_a_kill_loses_the_steps_since_the_last_save_and_nothing_else(tmp_path: Path) -> None:
    whole = fixed()
    run(whole, tmp_path / "whole")

    def die() -> dict[str, float]:
        if len(sorted((tmp_path / "kept").glob("step-*"))) == 2:
            raise MemoryError
        return {}

    with pytest.raises(MemoryError):
        run(fixed(), tmp_path, extra=die)
    torn = tmp_path / "kept" / "step-000000008" / "tensors.safetensors"
    torn.write_bytes(torn.read_bytes()[:-7])
    resumed = fixed()
    run(resumed, tmp_path)
    assert toy.same(resumed.model, whole.model)
    notices = (tmp_path / "metrics" / "notices.jsonl").read_text(encoding="utf-8")
    assert "damaged and passed over" in notices
    assert "toy: going on from step 4" in notices


def test_probes_are_taken_every_so_often_and_survive(tmp_path: Path) -> None:
    values = iter([3.0, 2.0, 1.0])
    with pytest.raises(KeyboardInterrupt):
        run(fixed(), tmp_path, extra=stop_at(6, signal.SIGINT), probe=Probe(lambda: next(values), 5))
    driven = run(fixed(), tmp_path, probe=Probe(lambda: next(values), 5))
    assert driven.probes == ((5, 3.0), (10, 2.0), (12, 1.0))


def test_a_value_that_no_longer_falls_begins_the_decay_of_a_timed_stage(tmp_path: Path) -> None:
    journal = Journal()
    trainer = toy.trainer(schedule=Pace(3600.0, 2, 0.5))
    probe = Probe(lambda: 1.0, steps=2, patience=2)
    driven = run(trainer, tmp_path, journal, probe=probe)
    assert probe.stale()
    assert [row["seconds"] < 3600 for row in journal.of("shortened")] == [True]
    assert 6 <= driven.steps < 2000
    assert journal.of("knots")


def test_a_timed_stage_replays_what_it_decided(tmp_path: Path) -> None:
    journal = Journal()
    first = toy.trainer(schedule=Pace(0.6, 2, 0.5))
    driven = run(first, tmp_path / "a", journal)
    knots = [knot for row in journal.of("knots") for knot in row["knots"]]
    assert knots[-1][0] == driven.steps
    again = Pace(0.6, 2, 0.5, knots=knots)
    assert [again(step) for step in range(driven.steps)] == [first.schedule(step) for step in range(driven.steps)]


def test_the_state_before_the_decay_can_be_extended(tmp_path: Path) -> None:
    run(fixed(), tmp_path)
    state = checkpoint.load(tmp_path / "kept" / "before_decay")
    assert state is not None
    longer, whole = (toy.trainer(schedule=Wsd(2 * STEPS, 2, 0.5)) for _ in range(2))
    longer.restore(state["trainer"])
    assert longer.done == STEPS // 2
    for trainer in (longer, whole):
        for _ in trainer.run():
            pass
    assert toy.same(longer.model, whole.model)

"""`groundup run` under torchrun: what two ranks leave is what one leaves, but for rounding; a kill costs nothing."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from groundup.store import Store
from parallel.ranks import torchrun

EXACT = ("train.optim.iterate_in=fp32", "sft.optim.iterate_in=fp32")
"""Muon's iteration in bfloat16 makes a difference in the eighth digit one in the second."""


def run(place: Path, folder: Path, name: str, *settings: str, ranks: int = 2) -> Store:
    done = torchrun(
        ranks, "-m", "groundup", "run", place / "tiny.toml", "--data", place / "text", "--runs", folder / "runs",
        "--name", name, "--quiet", *settings, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Store(folder / "runs" / name)


def near(one: Store, other: Store, stage: str) -> None:
    """The weights of a stage differ by rounding alone."""
    a, b = (load_file(store.current()[stage].path / "weights.safetensors") for store in (one, other))
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert float((value - b[name]).norm()) <= 5e-3 * float(b[name].norm()), name


@pytest.fixture(scope="module")
def alone(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One process, with the settings that keep a rounding a rounding."""
    return run(place, tmp_path_factory.mktemp("alone"), "alone", *EXACT, ranks=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("settings", [(), ("parallel.zero=3",), ("parallel.tensor=2",), ("parallel.context=2",)])
def test_two_ranks_leave_what_one_leaves(place: Path, alone: Store, tmp_path: Path, settings: tuple[str, ...]) -> None:
    pair = run(place, tmp_path, "pair", *EXACT, *settings)
    for stage in ("pretrain", "sft"):
        facts, before = pair.facts()[stage], alone.facts()[stage]
        assert facts["steps"] == before["steps"] and facts["tokens"] == before["tokens"]
        assert facts["loss"] == pytest.approx(before["loss"], rel=2e-3)
        near(pair, alone, stage)
    assert pair.facts()["sft"]["held_out_loss"] == pytest.approx(alone.facts()["sft"]["held_out_loss"], rel=2e-3)
    rows = (pair.root / "metrics" / "pretrain.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(row)["step"] for row in rows] == list(range(1, 7))  # one rank writes, once


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_layout_that_does_not_fit_is_said_in_a_sentence(place: Path, tmp_path: Path) -> None:
    shutil.copy(place / "tiny.toml", tmp_path)
    done = torchrun(
        2, "-m", "groundup", "run", place / "tiny.toml", "--data", place / "text", "--runs", tmp_path / "runs",
        "--quiet", "parallel.pipeline=2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "1 layers do not make 2 stages" in done.stderr and "Traceback" not in done.stderr.partition("elastic")[0]

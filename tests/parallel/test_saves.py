"""A checkpoint of one layout is gone on with in any other: the same batches, and the same losses but for rounding."""

import json
from pathlib import Path

import pytest

from parallel.ranks import torchrun

SAVES = Path(__file__).with_name("saves.py")
EXACT = 1e-9
"""In float64."""


def pairs(ranks: int, folder: Path, *layouts: str) -> None:
    """Save in each layout, and go on in each."""
    done = torchrun(ranks, SAVES, folder, *layouts, seconds=1700)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == len(layouts) ** 2
    for row in rows:
        assert row["steps"] == 20 and row["batches"] and row["off"] < EXACT and row["notes"] < EXACT, row
        assert row["bits"] or row["from"] != row["to"], row


@pytest.mark.slow
def test_two_ranks_and_one(tmp_path: Path) -> None:
    pairs(2, tmp_path, "zero3", "one")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_layout_of_two_ranks(tmp_path: Path) -> None:
    pairs(2, tmp_path, "data", "zero1", "zero3", "tensor", "pipeline", "context", "one")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_layout_of_four_ranks(tmp_path: Path) -> None:
    pairs(4, tmp_path, "zero3", "hybrid", "data-tensor", "tensor-pipeline", "data-pipeline", "pipeline", "one")

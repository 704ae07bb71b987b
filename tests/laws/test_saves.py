"""Killed inside a save, at every named moment, and at random: the same weights to the bit, and nothing unreadable."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

import spine
from groundup.train.checkpoint import MOMENTS

KILLED = Path(__file__).parents[1] / "train" / "killed.py"


def killed_at(folder: Path, *places: str) -> dict[str, Any]:
    """A small training that is killed at each place in turn, in a process that forks one for each attempt."""
    paths = {**spine.environment(), "PYTHONPATH": f"{spine.ROOT}:{spine.ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, str(KILLED), str(folder), *places], env=paths, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["digests"][0] == found["digests"][1]
    assert found["heard"] == []
    return found


def test_killed_at_every_moment_of_a_save(tmp_path: Path) -> None:
    places = [f"{moment}:{number}" for moment, number in zip(MOMENTS, (1, 2, 2, 2, 1), strict=True)]
    assert killed_at(tmp_path, *places, "behind:2")["kills"] == 6


@pytest.mark.slow
def test_killed_twenty_times_inside_a_save_and_thirty_at_random(tmp_path: Path) -> None:
    random = Random(5)
    inside = [f"{moment}:{random.randint(1, 4)}" for moment in (*MOMENTS, "behind") for _ in range(4)][:20]
    outside = [f"{0.02 + 0.2 * random.random():.3f}" for _ in range(30)]
    places = [*inside, *outside]
    random.shuffle(places)
    assert killed_at(tmp_path, *places)["kills"] >= 45

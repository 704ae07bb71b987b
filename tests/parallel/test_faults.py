"""Ranks that die, hang or change a bit, under torchrun: the run comes to its end, and to the same weights.

All slow: each life of a rank is a start of Python and torch.
"""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from groundup.train.checkpoint import MOMENTS
from parallel.ranks import torchrun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
DRIVEN = Path(__file__).with_name("driven.py")


def driven(ranks: int, folder: Path, layout: str, *places: str) -> tuple[dict[str, Any], str]:
    """What the first rank says at the end, and what torchrun and the ranks said on the way."""
    done = torchrun(ranks, f"--max-restarts={len(places)}", DRIVEN, folder, layout, *places, seconds=2900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(line)
    return found, done.stderr


@pytest.mark.parametrize("layout", ["zero3", "pipeline"])
def test_a_rank_killed_at_every_moment_of_a_save(tmp_path: Path, layout: str) -> None:
    whole, _ = driven(2, tmp_path / "whole", layout)
    of_all = [f"{rank}:{moment}:1" for rank, moment in enumerate((*MOMENTS[:2], "behind"), 1) for rank in (rank % 2,)]
    of_first = [f"0:{moment}:2" for moment in MOMENTS[2:]]
    found, said = driven(2, tmp_path / "killed", layout, *of_all, *of_first)
    assert found["lives"] == 7 and found["digest"] == whole["digest"]
    assert "damaged" not in said


def test_a_random_rank_of_four_killed_again_and_again(tmp_path: Path) -> None:
    """Twenty times inside a save, thirty at random."""
    random = Random(7)
    whole, _ = driven(4, tmp_path / "whole", "data-tensor")
    inside = [f"{random.randrange(4)}:{moment}:1" for moment in ("copied", "written", "behind") for _ in range(4)]
    inside += [f"0:{moment}:{random.randint(1, 2)}" for moment in MOMENTS[2:] for _ in range(3)][:8]
    places = [*inside, *(f"{random.randrange(4)}:{0.3 + 2 * random.random():.2f}" for _ in range(30))]
    random.shuffle(places)
    found, said = driven(4, tmp_path / "killed", "data-tensor", *places)
    assert found["digest"] == whole["digest"] and found["lives"] > 20
    assert "damaged" not in said


@pytest.mark.parametrize(("ranks", "layout"), [(2, "data"), (4, "hybrid"), (2, "tensor-plain")])
def test_a_bit_that_changes_in_one_replica_is_found_at_the_next_save(tmp_path: Path, ranks: int, layout: str) -> None:
    whole, _ = driven(ranks, tmp_path / "whole", layout)
    found, _ = driven(ranks, tmp_path / "hurt", layout, "1:flip:7")
    assert whole["replicas"] == found["replicas"] == "checked" and whole["faults"] == []
    (fault,) = found["faults"]
    assert fault["kind"] == "replicas" and fault["step"] == 6 and "back to step 6" in fault["text"]
    assert found["digest"] == whole["digest"] and found["lives"] == 1


def test_where_there_is_no_replica_nothing_is_claimed(tmp_path: Path) -> None:
    assert driven(2, tmp_path, "zero3")[0]["replicas"] == "not checked"


def test_a_rank_that_is_stopped_is_started_again(tmp_path: Path) -> None:
    whole, _ = driven(2, tmp_path / "whole", "zero3")
    found, said = driven(2, tmp_path / "stopped", "zero3", "1:stop:10")
    assert found["lives"] == 2 and found["digest"] == whole["digest"]
    assert "no progress for 6 s" in said

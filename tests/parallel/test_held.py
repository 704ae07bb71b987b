"""What ZeRO-3 is for: each of four ranks holds a quarter."""

import json
from pathlib import Path
from typing import Any

import pytest

from parallel.ranks import torchrun

HELD = Path(__file__).with_name("held.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_four_ranks_hold_a_quarter_each(optimizer: str) -> None:
    done = torchrun(4, HELD, optimizer)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    kinds: dict[str, Any] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert len(kinds) == 3
    for kind, found in kinds.items():
        for rank in found["ranks"]:
            assert rank == pytest.approx(found["whole"] / 4, rel=0.15), (kind, found)

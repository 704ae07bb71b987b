"""How many threads pay."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from groundup.plan.forecast import plan
from groundup.plan.machine import Machine, probe, threads_that_pay
from groundup.plan.text import Text


@pytest.fixture(autouse=True)
def threads() -> Iterator[int]:
    """As many as before, afterwards."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_as_many_threads_are_taken_as_pay(threads: int) -> None:
    found = threads_that_pay()
    assert 1 <= found <= threads and torch.get_num_threads() == found


def test_one_of_several_ranks_keeps_its_share(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    if probe(tmp_path).cores == 1:
        pytest.skip("one core: a process with one thread has the whole machine")
    assert probe(tmp_path, threads=True).threads is None


def test_a_run_keeps_the_threads_it_was_planned_with(tmp_path: Path) -> None:
    machine = Machine("cpu", "test", 2, 16 << 30, 100 << 30, {"fp32": 2e11, "bf16": 4e11}, {}, threads=1)
    text = Text(bytes=8_800_000, files=470, xz=1.64, code=1.0)
    forecast = plan([("recipe", {"minutes": 10.0})], tmp_path, machine=machine, text=text, cost=lambda *_: 0.4)
    assert forecast.basis()["threads"] == 1
    assert "2 cores of which 1 pay" in dict(forecast.lines())["machine"]

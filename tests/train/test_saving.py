"""Saves behind the training: when they fall due, what is kept, and what slow, full and far places do to them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem

from groundup.corpus.fetch.remote import below
from groundup.errors import DataError, StoreError, UnsupportedError
from groundup.train import saving
from groundup.train.saving import Checkpoints, Keep
from groundup.train.storage import Remote
from train.killed import Heard


class Told:
    """The faults that were told: kind and words."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def __call__(self, kind: str, text: str) -> None:
        self.faults.append((kind, text))


class Slow(LocalFileSystem):
    """A disk that takes a million bytes a second."""

    protocol = "slow"

    def put_file(self, lpath: str, rpath: str, **more: Any) -> None:
        """Write, in the time that such a disk needs."""
        time.sleep(Path(lpath).stat().st_size / 1e6)
        super().put_file(lpath, rpath, **more)


@pytest.fixture
def far() -> Iterator[str]:
    """The URL of a folder that is not on this machine's disk."""
    url = f"memory://{uuid4().hex}/toy"
    yield url
    fsspec.filesystem("memory").rm(url, recursive=True)


def state(number: int, size: int = 8) -> dict[str, Any]:
    return {"number": number, "weights": torch.full((size,), float(number))}


def saved(folder: Path, *steps: int, **settings: Any) -> Checkpoints:
    """Checkpoints after these steps, each on the disk before the next."""
    made = Checkpoints(Keep(folder, **settings), Told())
    for step in steps:
        made.save(step, state(step))
        made.finish()
    return made


def names(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in folder.glob("step-*"))


def test_what_is_written_is_the_state_at_the_moment_of_the_save(tmp_path: Path) -> None:
    live = state(1, 1 << 20)
    made = Checkpoints(Keep(tmp_path), Told())
    made.save(1, live)
    live["weights"].fill_(7.0)
    made.finish()
    back = made.load()
    assert back is not None and back["weights"].unique().tolist() == [1.0]


def test_milestones_are_kept_for_good(tmp_path: Path) -> None:
    made = saved(tmp_path, *range(2, 14, 2), newest=2, milestones=6)
    assert names(tmp_path) == [6, 10, 12]
    assert made.due(18) and not made.due(13)


def test_the_clock_and_the_steps_both_call_for_a_save(tmp_path: Path) -> None:
    by_clock = Checkpoints(Keep(tmp_path, seconds=0.4, steps=4), Told())
    assert [by_clock.due(done) for done in (1, 4, 8, 9)] == [False, True, True, False]
    time.sleep(0.4)
    assert by_clock.due(9)


def test_what_was_saved_later_is_dropped_when_an_earlier_state_is_gone_on_with(tmp_path: Path) -> None:
    made = saved(tmp_path, 2, 4, 6, newest=3)
    back = made.load(before=6)
    assert back is not None and back["number"] == 4
    made.begin(4)
    assert names(tmp_path) == [2, 4]


def test_a_slow_disk_holds_up_saves_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("slow", Slow, clobber=True)
    monkeypatch.setattr(saving, "BEHIND_SECONDS", 0.1)
    told = Told()
    made = Checkpoints(Keep(tmp_path / "here", seconds=0.01, to=f"slow://{tmp_path}/there"), told)
    made.save(1, state(1, 250_000))
    time.sleep(0.15)
    assert made.busy and not made.due(2) and not made.due(3)
    assert [kind for kind, _ in told.faults] == ["slow disk"]
    made.finish()
    assert made.due(4) and made.landed() == [1]


def test_another_place_is_written_read_and_cleared(tmp_path: Path, far: str) -> None:
    made = saved(tmp_path, 2, 4, 6, to=far)
    assert made.storage.names() == ["step-000000004", "step-000000006"]
    assert list(tmp_path.iterdir()) == []
    elsewhere = Checkpoints(Keep(tmp_path / "other", to=far), Told())
    back = elsewhere.load()
    assert back is not None and torch.equal(back["weights"], state(6)["weights"])


def test_a_place_with_options_and_a_password_is_told_without_it(tmp_path: Path) -> None:
    url = below("s3://k:secret@bucket/runs/?endpoint_override=127.0.0.1:9&scheme=http&region=x", "toy", "pretrain")
    there = Remote(url, tmp_path)
    where = there.where("step-000000002")
    assert where == "s3://bucket/runs/toy/pretrain/step-000000002?endpoint_override=127.0.0.1:9&scheme=http&region=x"
    assert there._path == "bucket/runs/toy/pretrain"
    with pytest.raises(DataError) as told:
        Remote("s3://k:secret@bucket/runs?surely=wrong", tmp_path)
    assert "secret" not in str(told.value)


def test_a_torn_or_damaged_checkpoint_elsewhere_is_passed_over(tmp_path: Path, far: str) -> None:
    saved(tmp_path, 2, 4, to=far)
    memory, heard = fsspec.filesystem("memory"), Heard()
    damaged = f"{far}/step-000000004/tensors.safetensors"
    data = bytearray(memory.cat_file(damaged))
    data[-1] ^= 1
    memory.pipe_file(damaged, bytes(data))
    memory.pipe_file(f"{far}/step-000000006/tensors.safetensors", b"half")
    back = Checkpoints(Keep(tmp_path, to=far), Told(), heard).load()
    assert back is not None and back["number"] == 2
    assert len(heard.texts) == 1 and f"{far}/step-000000004 is damaged" in heard.texts[0]


@pytest.mark.slow
def test_a_place_that_does_not_answer_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    nobody = Remote("s3://k:s@bucket/toy?endpoint_override=127.0.0.1:9&scheme=http&region=x", tmp_path)
    with pytest.raises(StoreError, match="not known what to go on from"):
        nobody.names()
    with pytest.raises((DataError, UnsupportedError)):
        Remote("nowhere://bucket/toy", tmp_path)

"""A disk that fills up: said in a sentence, nothing finished is lost, and with room the same command goes on."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.store import Store
from spine import Said, as_json, groundup

SIZE = 24 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of SIZE bytes in memory."""
    if not sys.platform.startswith("linux"):
        pytest.skip("mounts a tmpfs, which Linux alone has")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs needs root: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def leave_free(disk: Path, n_bytes: int) -> Path:
    """Fill the disk but for so many bytes; the file that does it."""
    ballast = disk / "ballast"
    ballast.write_bytes(b"")
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(disk).free - n_bytes))
    return ballast


def changed_on_a_full_disk(place: Path, disk: Path, setting: str, n_bytes: int) -> None:
    """A finished run whose setting is changed, with too little room to make it again."""
    shutil.copytree(place / "runs", disk / "runs")
    before = Store(disk / "runs" / "tiny").current()
    ballast = leave_free(disk, n_bytes)
    said = groundup("run", "tiny", setting, cwd=disk, status=2)
    assert "the disk" in said.stderr
    assert "full" in said.stderr
    assert "again" in said.stderr, "what to do"
    assert "Traceback" not in said.stderr
    store = Store.open(disk / "runs", "tiny")
    kept = store.current()
    assert kept.keys() == before.keys()
    assert all(artifact.path.is_dir() for artifact in kept.values())
    assert not list((store.root / "artifacts").glob(".draft-*"))
    ballast.unlink()


def test_full_while_training(place: Path, small_disk: Path) -> None:
    changed_on_a_full_disk(place, small_disk, "train.clip=0.5", 200_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "n_bytes"),
    [("corpus.held_out.fraction=0.2", 40_000), ("tokenizer.vocab_size=390", 20_000), ("eval.arithmetic=3", 9_000)],
)
def test_full_elsewhere_and_then_room(setting: str, n_bytes: int, place: Path, small_disk: Path) -> None:
    changed_on_a_full_disk(place, small_disk, setting, n_bytes)
    assert as_json("run", "tiny", setting, cwd=small_disk)["done"][-1] == "report"


def test_a_disk_too_small_to_begin_is_told_by_the_forecast(
    say: Callable[..., Said], place: Path, small_disk: Path
) -> None:
    leave_free(small_disk, 5_000_000)
    runs = small_disk / "runs"
    said = say("run", place / "tiny.toml", "--data", place / "text", "--name", "tiny", "--runs", runs)
    assert said.status == 2
    assert "MB of disk, 5 MB are free" in said.err
    assert "--runs DIR" in said.err
    assert not (runs / "tiny").exists()

"""The three passes as a whole: what comes out, that it does not depend on who did it, what broken input leads to."""

import ctypes
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corpus.made import build, contents, prose, removed
from groundup.corpus import refine
from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.settings import Corpus
from groundup.corpus.split import HeldOut
from groundup.corpus.tables import room_on
from groundup.errors import DataError, ResourceError
from groundup.events import Silent


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02d}.txt").write_text(prose(number), encoding="utf-8")
    return folder


def test_every_document_is_kept_or_removed_with_its_reason(texts: Path, tmp_path: Path) -> None:
    (texts / "copy.md").write_text(prose(3), encoding="utf-8")
    (texts / "short.txt").write_text("Too short.", encoding="utf-8")
    (texts / "dull.txt").write_text("the same line again and again\n" * 60, encoding="utf-8")
    (texts / "picture.png").write_bytes(b"\x89PNG\0")
    facts = build(texts, tmp_path / "out")
    kept = list(refine.documents(tmp_path / "out"))
    gone = removed(tmp_path / "out")
    assert [document.id for document in kept] == [f"{number:02d}.txt" for number in range(12)]
    assert {row["id"]: row["reason"] for row in gone} == {
        "copy.md": "duplicate",
        "dull.txt": "repeated_lines",
        "picture.png": "unknown_suffix",
        "short.txt": "too_short",
    }
    assert next(row for row in gone if row["id"] == "copy.md")["duplicate_of"] == "03.txt"
    assert next(row for row in gone if row["id"] == "short.txt")["text"] == "Too short."
    assert facts["documents"] + facts["held_out_documents"] == 12
    assert facts["bytes"] + facts["held_out_bytes"] == sum(len(document.text.encode()) for document in kept)
    assert facts["removed"] == {"duplicate": 1, "repeated_lines": 1, "too_short": 1, "unknown_suffix": 1}
    took = {row["step"]: row["documents"] for row in facts["funnel"]}
    assert took == {"read": 16, "unread": 1, "length": 1, "repetition": 1, "exact": 1, "near": 0}
    assert [row["step"] for row in gone] == ["exact", "repetition", "unread", "length"]
    first, *others = facts["funnel"]
    assert first["bytes"] - sum(row["bytes"] for row in others) == facts["bytes"] + facts["held_out_bytes"]
    sizes = facts["histograms"]["bytes"]
    assert (sum(sizes["kept"]), sum(sizes["removed"])) == (12, 3)
    assert len(sizes["edges"]) == len(sizes["kept"]) + 1 and sizes["edges"][0] <= 10 < sizes["edges"][1]
    assert sum(facts["margins"]["too_short"]) == 1 and facts["margins"]["too_short"][1] == 1  # 10 bytes of 64
    assert any("picture.png" in detail for detail in facts["unreadable"])
    assert json.loads((tmp_path / "out" / "facts.json").read_text(encoding="utf-8")) == facts
    assert not (tmp_path / "out" / "work").exists()


def test_the_splits_are_disjoint_and_follow_the_text_not_the_name_or_the_place(texts: Path, tmp_path: Path) -> None:
    build(texts, tmp_path / "one")
    for path in sorted(texts.iterdir()):
        path.rename(texts / f"{99 - int(path.stem):02d}.txt")
    build(texts, tmp_path / "two")
    held = [{document.text for document in refine.documents(tmp_path / name, "held_out")} for name in ("one", "two")]
    learnt = {document.text for document in refine.documents(tmp_path / "one", "train")}
    assert held[0] == held[1]
    assert held[0] and learnt and not held[0] & learnt
    assert len(held[0] | learnt) == 12


def test_the_result_does_not_depend_on_the_number_of_workers(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refine, "BATCH_BYTES", (5000, 5000))
    build(texts, tmp_path / "one", workers=1)
    build(texts, tmp_path / "many", workers=3)
    one, many = contents(tmp_path / "one"), contents(tmp_path / "many")
    assert len(one) > 5
    assert one == many


class Slow(Filter):
    """Takes its time, so that a build can be killed in the middle."""

    def judge(self, document: Document) -> Verdict:
        """Keep it, later."""
        time.sleep(0.1)
        return KEPT


def test_a_killed_build_goes_on_where_it_was(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    script = tmp_path / "run.py"
    script.write_text(
        "from pathlib import Path\nfrom groundup.corpus import refine\nfrom test_refine import Slow, build\n"
        "if __name__ == '__main__':\n    refine.BATCH_BYTES = (5000, 5000)\n"
        f"    build(Path({str(texts)!r}), Path({str(out)!r}), filters=[Slow()])\n",
        encoding="utf-8",
    )
    paths = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1], Path(__file__).parents[2])))
    process = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": paths})
    while process.poll() is None and len(list(out.glob("work/*/*.parquet"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in out.glob("work/*/0000[01].parquet")}
    assert len(done) == 2 and not (out / "documents").exists()
    seen: list[dict[Path, int]] = []

    class Watch(Silent):
        """Looks at the files of pass 1 when pass 2 begins."""

        def task(self, label: str, total: float | None = None, unit: str = "") -> Silent:
            if label == "copies and split":
                seen.append({path: path.stat().st_mtime_ns for path in done})
            return self

    monkeypatch.setattr(refine, "BATCH_BYTES", (5000, 5000))
    build(texts, out, filters=[Slow()], progress=Watch())
    build(texts, tmp_path / "fresh", filters=[Slow()])
    assert seen == [done]
    assert contents(out) == contents(tmp_path / "fresh")


class Trap(Filter):
    """Ends the process, hangs, or fails at documents that say so."""

    def judge(self, document: Document) -> Verdict:
        """Spring the trap that the text names."""
        if "SEGFAULT" in document.text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "HANG" in document.text:
            time.sleep(600)
        if "FAIL" in document.text:
            raise ZeroDivisionError("a bug of the filter")
        return KEPT


def test_a_document_that_crashes_hangs_or_fails_is_a_verdict(texts: Path, tmp_path: Path) -> None:
    for number, word in enumerate(("SEGFAULT", "HANG", "FAIL")):
        (texts / f"0{number}-trap.txt").write_text(f"{word} {prose(50 + number)}", encoding="utf-8")
    facts = build(texts, tmp_path / "out", filters=[Trap()], item_seconds=1.0)
    assert facts["documents"] + facts["held_out_documents"] == 12
    assert [row["reason"] for row in removed(tmp_path / "out")] == ["crashed", "timed_out", "filter_error"]
    assert "a bug of the filter" in facts["unreadable"][0]


def test_near_copies_of_held_out_documents_are_removed_from_what_is_learnt(texts: Path, tmp_path: Path) -> None:
    changed = prose(4).split()
    changed[100:103] = ["quite", "other", "words"]
    (texts / "near.txt").write_text(" ".join(changed).upper(), encoding="utf-8")
    half = prose(4).split()[:150] + prose(70).split()[:150]
    (texts / "half.txt").write_text(" ".join(half), encoding="utf-8")
    facts = build(texts, tmp_path / "out", held_out=HeldOut(ids=("04.txt",)))
    (gone,) = removed(tmp_path / "out")
    assert (gone["id"], gone["reason"], gone["duplicate_of"]) == ("near.txt", "near_duplicate", "04.txt")
    assert gone["threshold"] == 0.8 < gone["value"] < 1.0
    assert facts["held_out_documents"] == 1
    assert [document.id for document in refine.documents(tmp_path / "out", "held_out")] == ["04.txt"]


def test_held_out_ids_that_match_nothing_are_refused(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no document matches 'war-and-peace/\*'; ids look like 00.txt"):
        build(texts, tmp_path / "out", held_out=HeldOut(ids=("war-and-peace/*",)))


def test_two_specs_keep_their_labels_and_repeated_ids_get_numbers(texts: Path, tmp_path: Path) -> None:
    other = tmp_path / "more" / "texts"
    other.mkdir(parents=True)
    (other / "00.txt").write_text(prose(80), encoding="utf-8")
    facts = refine.build([str(texts), f"{other}=2.5"], settings=Corpus(filters=()), out=tmp_path / "out", workers=1)
    assert [(each["label"], each["weight"]) for each in facts["sources"]] == [("texts", 1.0), ("texts-2", 2.5)]
    found = {document.id: document.source for document in refine.documents(tmp_path / "out")}
    assert found["00.txt"] == "texts" and found["00.txt~2"] == "texts-2"
    assert len(found) == 13


def test_what_is_before_a_break_stays(texts: Path, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": prose(100 + number)}) + "\n" for number in range(400))
    packed = gzip.compress(lines.encode())
    (texts / "broken.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    facts = build(texts, tmp_path / "out", filters=[])
    total = facts["documents"] + facts["held_out_documents"]
    assert 12 + 150 < total < 12 + 250
    assert facts["removed"] == {"broken_archive": 1}
    assert "broken.jsonl.gz" in facts["unreadable"][0]


def test_a_text_too_small_to_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(prose(1), encoding="utf-8")
    with pytest.raises(DataError, match="1 of 1 documents would be held out"):
        build(tmp_path / "one.txt", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "short", r"no document is left of 1 \(1 too_short\): the first is a.txt"),
        ("a.txt", "", r"no document is left of 0 \(the files are empty\): give more text"),
        (
            "a.jsonl",
            '{"n": 1}\n{"n": 2}\n',
            r"no document is left of 2 \(2 no_text\): .*jsonl: line 1: no text; ",
        ),
    ],
)
def test_data_of_which_nothing_is_left_says_why(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        build(tmp_path / name, tmp_path / "out")


def test_documents_of_no_corpus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no corpus in this folder"):
        list(refine.documents(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=rf"{tmp_path}: the disk is full"), room_on(tmp_path):
        Path("/dev/full").write_bytes(b"x" * 100_000)


def test_a_disk_that_fills_up_in_a_worker_is_named_and_loses_nothing(texts: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mount") or libc.mount(b"none", bytes(disk), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        (texts / "large.txt").write_text(prose(9, 60_000), encoding="utf-8")
        with pytest.raises(ResourceError, match=r"disk/out: the disk is full; make room"):
            build(texts, disk / "out")
        assert not list(disk.rglob("*.tmp"))
    finally:
        libc.umount(bytes(disk))


def test_a_progress_is_told_of_every_byte(texts: Path, tmp_path: Path) -> None:
    told: dict[str, list[float]] = {}

    class Count(Silent):
        def task(self, label: str, total: float | None = None, unit: str = "") -> Silent:
            told[label] = [total or 0.0, 0.0]
            return self

        def advance(self, amount: float = 1.0, **numbers: float) -> None:
            told[list(told)[-1]][1] += amount

    build(texts, tmp_path / "out", progress=Count())
    total, done = told["read and filter"]
    assert total == done == sum(path.stat().st_size for path in texts.iterdir())

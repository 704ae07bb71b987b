"""Files that break readers: each ends in the ledger by name, in bounded time and memory."""

import gzip
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import inputs
import spine
from groundup.corpus import refine
from groundup.corpus.crew import crew
from groundup.corpus.extract._base import Extractor
from groundup.corpus.sample import sample
from groundup.corpus.settings import Corpus
from groundup.corpus.sources._base import open_specs

TIDES = "The tide rises and falls twice a day, because the moon draws the water after it, and nobody knew why. "


def removed(out: Path) -> dict[str, str]:
    """Id -> reason."""
    table = pa.concat_tables(parquet.read_table(file) for file in sorted((out / "removed").glob("*.parquet")))
    return dict(zip(table["id"].to_pylist(), table["reason"].to_pylist(), strict=True))


def write_hostile(folder: Path, line_bytes: int, depth: int) -> dict[str, str]:
    """Hostile files, one with so long a line and one with so many elements in each other; why each is in the ledger."""
    with (folder / "line.txt").open("wb") as file:
        file.write(b"first\n" + b"x" * 10_000)
        file.seek(line_bytes)
        file.write(b"\nlast\n")
    long = b"x" * (20 << 20)
    (folder / "line.jsonl").write_bytes(b'{"text": "' + long + b'"}\n')
    (folder / "line.csv").write_bytes(b"id,text\n1," + long + b"\n")
    (folder / "bomb.txt.gz").write_bytes(gzip.compress(b"boom\n" * (4 << 20)))
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", long)
    inputs.write_epub(folder / "bomb.epub", ["a" * (20 << 20)])
    (folder / "deep.html").write_bytes(b"<html><body>" + b"<div>" * depth + b"deep")
    (folder / "loop").symlink_to(folder)
    (folder / "nul.txt").write_bytes(b"a\0b")
    (folder / "nul.html").write_bytes(b"\0" * 1000)
    (folder / "utf16.txt").write_bytes("Größe".encode("utf-16"))
    inputs.write_pdf(folder / "locked.pdf", ["Secret."], locked=True)
    inputs.write_warc(folder / "cut.warc.gz", [TIDES * 5] * 3)
    (folder / "cut.warc.gz").write_bytes((folder / "cut.warc.gz").read_bytes()[:-250])
    (folder / "empty.txt").touch()
    return {
        "line.txt:2": "long_line",
        "line.jsonl:1": "long_line",
        "line.csv:2": "long_line",
        "bomb.txt.gz": "broken_archive",
        "bomb.zip": "unknown_suffix",
        "bomb.epub#0001": "broken_file",
        "loop": "link_cycle",
        "nul.txt": "binary",
        "utf16.txt": "utf16",
        "locked.pdf": "password",
        "empty.txt": "empty_file",
    }


LARGE = pytest.param(1 << 30, 2_000_000, marks=pytest.mark.slow)


@pytest.mark.parametrize(("line_bytes", "depth"), [(20 << 20, 200_000), LARGE])
def test_hostile_files_are_named_and_cost_little(line_bytes: int, depth: int, tmp_path: Path) -> None:
    folder = spine.write_text(tmp_path / "in", documents=6)
    expected = write_hostile(folder, line_bytes, depth)
    program = (
        "import sys; from pathlib import Path; from groundup.corpus import refine\n"
        "from groundup.corpus.settings import Corpus\n"
        "if __name__ == '__main__':\n"
        "    settings = Corpus(filters=({'name': 'length'},))\n"
        "    refine.build([sys.argv[1]], settings=settings, out=Path(sys.argv[2]), workers=1)\n"
    )
    (tmp_path / "build.py").write_text(program, encoding="utf-8")
    words = [sys.executable, tmp_path / "build.py", folder, tmp_path / "out"]
    start = time.monotonic()
    process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(spine.ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert time.monotonic() - start < 300
    assert usage.ru_maxrss < 1_500_000  # kilobytes, of the largest process
    found = removed(tmp_path / "out")
    assert {name: found.get(name) for name in expected} == expected
    assert any(name.startswith("cut.warc.gz") and reason == "broken_archive" for name, reason in found.items())
    assert "deep.html" in found and "nul.html" in found
    kept = {document.id for document in refine.documents(tmp_path / "out")}
    assert "book00.txt" in kept and "cut.warc.gz:00000002" in kept


class Trap(Extractor):
    """Does what a page asks for."""

    def main(self, page: str) -> str:
        """Die, hang or fail."""
        if "SEGFAULT" in page:
            os.kill(os.getpid(), signal.SIGKILL)
        if "HANG" in page:
            time.sleep(600)
        if "FAIL" in page:
            raise ZeroDivisionError("a bug of the parser")
        return page


@pytest.mark.slow
def test_a_page_that_breaks_its_reader_costs_that_page_alone(tmp_path: Path) -> None:
    folder = spine.write_text(tmp_path / "in", documents=3)
    texts = [f"One {TIDES}", "HANG", "SEGFAULT", "FAIL", "Five winds blow over the sea in spring."]
    inputs.write_warc(folder / "a.warc.gz", texts)
    settings = Corpus(filters=(), extract=Trap())
    refine.build([str(folder)], settings=settings, out=tmp_path / "out", workers=1, item_seconds=2.0)
    assert removed(tmp_path / "out") == {
        "a.warc.gz:00000004": "timed_out",
        "a.warc.gz:00000006": "crashed",
        "a.warc.gz:00000008": "extraction_error",
    }
    kept = {document.id: document.url for document in refine.documents(tmp_path / "out")}
    assert kept["a.warc.gz:00000010"] == "http://example.org/4"
    (opened,) = open_specs([str(folder)], Trap())
    with crew(1, 5.0) as hands:  # the planner's look is no less careful
        looks = [sample(source, source.shards(), 1 << 20, 1 << 17, hands) for source in opened.sources]
    texts = [text for look in looks for text in look.texts]
    assert len(texts) == 5 and sum("Five winds blow" in text for text in texts) == 1
    assert not any(word in text for text in texts for word in ("HANG", "SEGFAULT", "FAIL"))


@pytest.mark.slow
def test_a_million_empty_files_are_a_matter_of_a_minute(tmp_path: Path) -> None:
    folder = spine.write_text(tmp_path / "in", documents=6)
    for part in range(1000):
        (folder / f"{part:03d}").mkdir()
        for number in range(1000):
            os.close(os.open(folder / f"{part:03d}" / f"{number:03d}.txt", os.O_CREAT | os.O_WRONLY))
    start = time.monotonic()
    refine.build([str(folder)], settings=Corpus(filters=()), out=tmp_path / "out", workers=1)
    assert time.monotonic() - start < 200
    assert list(removed(tmp_path / "out").values()).count("empty_file") == 1_000_000

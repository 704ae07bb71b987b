"""Bytes of files: every compression, every way to break, and no more memory than promised."""

import bz2
import gzip
import lzma
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from groundup.corpus.document import Unreadable
from groundup.corpus.streams import chunks, decode, foreign, lines, suffix, whole

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": zstandard.ZstdCompressor().compress,
}
TEXT = b"".join(b"line %d of a text that does not pack well: %d\n" % (number, number**7) for number in range(30_000))


def packed(folder: Path, packing: str, data: bytes = TEXT) -> Path:
    path = folder / f"text.txt{packing}"
    path.write_bytes(PACKERS[packing](data))
    return path


@pytest.mark.parametrize("packing", PACKERS)
def test_a_packed_file_reads_as_the_plain_one(packing: str, tmp_path: Path) -> None:
    path = packed(tmp_path, packing)
    assert b"".join(chunks(path)) == TEXT
    assert whole(path, "x", len(TEXT)) == TEXT
    found = list(lines(path, "x", 1000))
    assert [line[0] for line in found if not isinstance(line, Unreadable)] == list(range(1, 30_001))
    assert b"".join(line[1] for line in found if not isinstance(line, Unreadable)) == TEXT


@pytest.mark.parametrize("packing", [packing for packing in PACKERS if packing])
def test_members_one_after_another_are_one_file(packing: str, tmp_path: Path) -> None:
    path = packed(tmp_path, packing)
    path.write_bytes(path.read_bytes() * 2)
    assert b"".join(chunks(path)) == TEXT * 2


@pytest.mark.parametrize("packing", [packing for packing in PACKERS if packing])
def test_what_is_before_a_break_is_read_and_the_break_is_named(packing: str, tmp_path: Path) -> None:
    path = packed(tmp_path, packing)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    *good, last = lines(path, "text", 1000)
    assert isinstance(last, Unreadable)
    assert (last.reason, last.path) == ("broken_archive", str(path))
    assert str(path) in last.detail
    least = 0.15 if packing == ".bz2" else 0.5  # bzip2 unpacks in blocks of 900 kB
    assert len(good) > 30_000 * least
    assert TEXT.startswith(b"".join(line[1] for line in good if not isinstance(line, Unreadable)))


@pytest.mark.parametrize("packing", [packing for packing in PACKERS if packing])
def test_a_file_that_is_not_what_its_suffix_says_is_named(packing: str, tmp_path: Path) -> None:
    path = tmp_path / f"text.txt{packing}"
    path.write_bytes(b"This is plain text.\n" * 10)
    (only,) = lines(path, "text", 1000)
    assert isinstance(only, Unreadable) and only.reason in ("broken_archive", "unreadable_file")
    assert isinstance(foreign(path, "text"), Unreadable)
    assert isinstance(whole(path, "text", 1000), Unreadable)


def test_a_line_over_the_limit_is_skipped_by_number_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\n" + b"x" * 5_000_000 + b"\nthree\n")
    first, long, last = lines(path, "text", 1000)
    assert (first, last) == ((1, b"one\n"), (3, b"three\n"))
    assert isinstance(long, Unreadable)
    assert (long.id, long.reason) == ("text:2", "long_line")
    assert "line 2 has 5,000,00" in long.detail


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    (gone,) = lines(tmp_path / "gone.txt", "gone", 1000)
    assert isinstance(gone, Unreadable) and "No such file" in gone.detail
    assert isinstance(whole(tmp_path, "folder", 1000), Unreadable)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x7fELF\0\0", "binary"), ("Hallo".encode("utf-16"), "utf16"), (b"plain", None), (b"", None)],
)
def test_what_is_no_text_is_told_by_its_first_bytes(data: bytes, reason: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    found = foreign(path, "file")
    assert (found.reason if found else None) == reason


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("naïve café".encode(), ("naïve café", False)),
        ("naïve café".encode("cp1252"), ("naïve café", True)),
        ("“Größe”".encode("cp1252"), ("“Größe”", True)),
        (b"\xef\xbb\xbfmarked", ("marked", False)),
        ("Größe – Maß, façade".encode() + b"\xff", ("Größe – Maß, façade\ufffd", True)),
        (b"\xed\xa0\x80", ("í\xa0€", True)),
        (b"", ("", False)),
    ],
)
def test_bytes_that_are_no_utf8_are_repaired(data: bytes, expected: tuple[str, bool]) -> None:
    assert decode(data) == expected


def test_the_suffix_is_that_below_the_compression() -> None:
    names = ["a.txt", "a.TXT.GZ", "a.tar.zst", "a", "a.jsonl.xz"]
    assert [suffix(Path(name)) for name in names] == [".txt", ".txt", ".tar", "", ".jsonl"]


@pytest.mark.slow
def test_a_line_of_a_gigabyte_costs_little_memory_and_time(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    program = (
        "import re, sys; from pathlib import Path; from groundup.corpus.streams import lines\n"
        "print([each.reason for each in lines(Path(sys.argv[1]), 'long', 1 << 20)])\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text()).group(1))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    reasons, kilobytes = result.stdout.splitlines()
    assert reasons == "['long_line']"
    assert int(kilobytes) < 200_000
    assert time.perf_counter() - start < 30
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10

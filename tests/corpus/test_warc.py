"""Web archives, whole and broken, as they are found in the wild."""

import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import zstandard

import inputs
from groundup.corpus.document import Raw, Unreadable
from groundup.corpus.sources._base import open_spec
from groundup.corpus.sources.warc import HTML, Record, records

DATA = Path(__file__).parents[3] / "shared" / "data" / "warc"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data")
# Whole for the reader that the expected counts are from, but cut: the last record ends before its stated length.
CUT = {"warcio/example-space-in-url.arc", "fastwarc/clipped.warc.gz"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("warc")
    with zstandard.open(DATA / "warc_samples.tar.zst", "rb") as packed:
        with tarfile.open(fileobj=packed, mode="r|") as archive:
            archive.extractall(folder, filter="data")
    return folder


@needs_data
def test_records_are_counted_as_the_reference_reader_counts_them(samples: Path) -> None:
    lines = (DATA / "warc_samples_expected.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 36
    for row in map(json.loads, lines):
        found = list(records(samples / row["member"], "x"))
        whole = [item for item in found if isinstance(item, Record)]
        pages = [item for item in whole if item.kind == "response" and item.media in HTML]
        assert len(whole) == row["records"], row["member"]
        assert Counter(item.kind for item in whole) == row["by_type"], row["member"]
        assert len(pages) == row["html_responses"], row["member"]
        assert sum(len(page.payload or b"") for page in pages) == row["html_payload_bytes"], row["member"]
        broken = {item.id for item in found if isinstance(item, Unreadable)}
        assert bool(broken) == (row["reader_error"] is not None or row["member"] in CUT), row["member"]


@needs_data
def test_a_folder_of_archives_gives_documents_and_named_skips(samples: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened = open_spec(str(samples))
    found = [item for source in opened.sources for shard in source.shards() for item in source.read(shard)]
    texts = [item.taken() for item in found if isinstance(item, Raw) and item.blank.id.startswith("commoncrawl")]
    assert len(texts) == 2 and all(not isinstance(text, Unreadable) and len(text.text) > 200 for text in texts)
    assert Counter(item.reason for item in found if isinstance(item, Unreadable))["broken_archive"] >= 5
    assert {skip.reason for skip in opened.skipped} == {"unknown_suffix"}
    assert capfd.readouterr().err == ""


def test_pages_are_documents_with_their_address(tmp_path: Path) -> None:
    inputs.write_warc(tmp_path / "a.warc.gz", ["The tide rises twice a day, and twice a day it falls. " * 9] * 3)
    (source,) = open_spec(str(tmp_path)).sources
    (first, *rest) = [item for shard in source.shards() for item in source.read(shard)]
    assert isinstance(first, Raw) and len(rest) == 2
    assert (first.blank.id, first.blank.url) == ("a.warc.gz:00000002", "http://example.org/0")
    assert "The tide rises" in first.take() and "Home" not in first.take()


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_an_archive_cut_inside_a_record_is_named_and_read_up_to_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    inputs.write_warc(path, ["The tide rises twice a day, and twice a day it falls."] * 3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 250])
    found = list(records(path, name))
    assert [item.kind for item in found if isinstance(item, Record)][:4] == ["request", "response"] * 2
    cuts = [item for item in found if isinstance(item, Unreadable)]
    assert cuts and all(cut.reason == "broken_archive" and str(path) in cut.detail for cut in cuts)


@pytest.mark.parametrize("data", [b"", b"\0" * (8 << 20), b"WARC/1.0\r\nContent-Length: x\r\n\r\n", b"\x1f\x8b\x08no"])
def test_what_is_no_archive_is_one_skip(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(data)
    found = list(records(path, "a"))
    assert not [item for item in found if isinstance(item, Record) and item.payload]
    assert all(isinstance(item, Unreadable) for item in found) or len(found) == 1

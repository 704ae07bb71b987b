"""What `--data` can be, and the law of every source: its shards are disjoint and complete, however many there are."""

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from groundup.config import Folder
from groundup.corpus.document import Document, Source, Unreadable
from groundup.corpus.sources._base import FileSource, open_spec, open_specs
from groundup.errors import DataError

PAGE = (
    "<html><head><title>T</title><script>var x = 1</script></head><body><nav>Home About</nav><article><h1>On tides</h1>"
    + "<p>The tide rises and falls twice a day, because the moon draws the water after it.</p>" * 5
    + "</article></body></html>"
)


def write_examples(folder: Path) -> None:
    """A file for every source that reads files, each of over two parts."""
    text = "".join(f"Paragraph {number} has a few words and a number.\n\n" for number in range(6000))
    rows = [{"id": f"r{number}", "title": "t", "text": f"Row {number}."} for number in range(2000)]
    (folder / "long.txt").write_text(text, encoding="utf-8")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet", row_group_size=300)
    (folder / "page.html").write_text(PAGE, encoding="utf-8")


def read_all(source: Source, parts: int) -> list[Document | Unreadable]:
    """What the source gives when each file is read in so many parts."""
    divisible = not isinstance(source, FileSource) or source.divisible
    found = []
    for shard in source.shards():
        pieces = range(parts) if divisible else [0]
        found += [item for part in pieces for item in source.read(replace(shard, part=part, parts=len(pieces)))]
    return sorted(found, key=lambda item: item.id)


def documents(spec: object) -> dict[str, Document]:
    opened = open_spec(str(spec))
    items = [item for source in opened.sources for shard in source.shards() for item in source.read(shard)]
    return {item.id: item for item in items if isinstance(item, Document)}


def problems(spec: object) -> list[Unreadable]:
    opened = open_spec(str(spec))
    items = [item for source in opened.sources for shard in source.shards() for item in source.read(shard)]
    return [*opened.skipped, *(item for item in items if isinstance(item, Unreadable))]


def test_shards_are_disjoint_and_complete_for_every_source(tmp_path: Path) -> None:
    write_examples(tmp_path)
    sources = {source.name: source for source in open_spec(str(tmp_path)).sources}
    assert set(sources) == set(Folder("corpus.sources").choices()) - {"python"}
    for source in sources.values():
        one = read_all(source, 1)
        assert one and len({item.id for item in one}) == len(one)
        assert read_all(source, 2) == read_all(source, 5) == one


def test_a_long_file_is_cut_at_blank_lines_and_nothing_is_lost(tmp_path: Path) -> None:
    write_examples(tmp_path)
    found = documents(tmp_path / "long.txt")
    assert list(found) == [f"long.txt#{number:04d}" for number in range(1, len(found) + 1)]
    assert len(found) > 5
    assert "".join(document.text for document in found.values()) == (tmp_path / "long.txt").read_text(encoding="utf-8")
    assert all(document.text.startswith("Paragraph") for document in found.values())
    assert all(32 << 10 <= len(document.text) <= 64 << 10 for document in list(found.values())[:-1])


def test_a_folder_is_walked_and_each_file_given_to_what_reads_it(tmp_path: Path) -> None:
    write_examples(tmp_path)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "notes.md.gz").write_bytes(gzip.compress(b"# Notes\n"))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.txt").write_text("hidden", encoding="utf-8")
    (tmp_path / "tool.exe").write_bytes(b"MZ\0\0")
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    found = documents(tmp_path)
    assert found["a/b/notes.md.gz"].text == "# Notes\n"
    assert found["r17"].text == "Row 17."
    assert "The tide rises" in found["page.html"].text and "var x" not in found["page.html"].text
    assert not any("hidden" in document.text for document in found.values())
    assert {(each.id, each.reason) for each in problems(tmp_path)} == {
        ("tool.exe", "unknown_suffix"),
        ("binary.txt", "binary"),
    }


def test_links_are_followed_once_and_those_to_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("text", encoding="utf-8")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("other", encoding="utf-8")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "other")
    assert set(documents(tmp_path / "in")) == {"a.txt", "linked/b.txt"}
    assert {(each.id, each.reason) for each in problems(tmp_path / "in")} == {
        ("gone.txt", "not_a_file"),
        ("loop", "link_cycle"),
    }


def test_globs_and_weights(tmp_path: Path) -> None:
    for name in ("x/a.txt", "x/b.md", "y/c.txt", "y/z/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert set(documents(f"{tmp_path}/*/*.txt")) == {"x/a.txt", "y/c.txt"}
    assert set(documents(f"{tmp_path}/**/*.txt")) == {"x/a.txt", "y/c.txt", "y/z/d.txt"}
    assert set(documents(f"{tmp_path}/[y]")) == {"y/c.txt", "y/z/d.txt"}
    opened = open_specs([f"{tmp_path}/x=2.5", f"{tmp_path}/y", f"{tmp_path}/x"])
    assert [(each.label, each.weight) for each in opened] == [("x", 2.5), ("y", 1.0), ("x-2", 1.0)]


@pytest.mark.parametrize(
    ("make", "spec", "message"),
    [
        ("", "gone", "gone: there is no such file or folder"),
        ("empty/", "empty", "empty: the folder holds no files"),
        ("x/a.txt", "x/*.html", "no file matches"),
        ("x/a.exe", "x", "no file here can be read; .*a.exe: a kind of file that is not read"),
        ("x/a.txt", "x=0", "x=0: the weight must be above 0"),
    ],
)
def test_data_that_is_not_there_is_refused(make: str, spec: str, message: str, tmp_path: Path) -> None:
    if make.endswith("/"):
        (tmp_path / make).mkdir()
    elif make:
        (tmp_path / make).parent.mkdir()
        (tmp_path / make).write_bytes(b"x")
    with pytest.raises(DataError, match=message):
        open_spec(f"{tmp_path}/{spec}")


def test_a_file_given_by_itself_is_text_unless_it_is_binary(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("a line", encoding="utf-8")
    (tmp_path / "tool.exe").write_bytes(b"MZ\0\0")
    assert documents(tmp_path / "server.log")["server.log"].text == "a line"
    with pytest.raises(DataError, match=r"tool.exe: no file here can be read; .*tool.exe: a binary file"):
        open_spec(str(tmp_path / "tool.exe"))


def test_broken_records_are_skipped_by_line_or_row(tmp_path: Path) -> None:
    lines = [
        '{"text": "one"}',
        '{"text": "two"',
        '{"n": 3}',
        "[4]",
        "",
        '{"id": 6, "story": "six"}',
        '{"poem": "seven"}',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = documents(tmp_path / "rows.jsonl")
    assert {name: document.text for name, document in found.items()} == {
        "rows.jsonl:00000001": "one",
        "6": "six",
        "rows.jsonl:00000007": "seven",
    }
    details = {each.reason + each.id[-2:]: each.detail for each in problems(tmp_path / "rows.jsonl")}
    assert "line 2: not JSON: Expecting ',' delimiter at column 15" in details["broken_record02"]
    assert "line 3: no text" in details["no_text03"]
    assert "line 4: no object but list" in details["broken_record04"]


def test_a_damaged_parquet_file_and_one_without_text_are_named(tmp_path: Path) -> None:
    write_examples(tmp_path)
    data = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(data[: len(data) // 2])
    (broken,) = problems(tmp_path / "rows.parquet")
    assert broken.reason == "broken_file" and "rows.parquet: not a whole Parquet file" in broken.detail
    parquet.write_table(pa.table({"n": [1]}), tmp_path / "numbers.parquet")
    (numbers,) = problems(tmp_path / "numbers.parquet")
    assert numbers.reason == "no_text" and "row 1" in numbers.detail


def test_text_in_an_old_encoding_is_repaired_and_marked(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_bytes("Zoë".encode("cp1252"))
    document = documents(tmp_path / "old.txt")["old.txt"]
    assert (document.text, document.repaired) == ("Zoë", True)


def test_the_manifest_names_every_file_once(tmp_path: Path) -> None:
    write_examples(tmp_path)
    files = [file for source in open_spec(str(tmp_path)).sources for file in source.manifest(content=True)]
    assert sorted(file.path for file in files) == sorted(str(path) for path in tmp_path.iterdir())
    assert all(len(file.sha256) == 64 and file.bytes == Path(file.path).stat().st_size for file in files)


def test_the_embedded_corpus_is_the_library_of_this_interpreter() -> None:
    (source,) = open_spec("python").sources
    shards = source.shards()
    names = {shard.id for shard in shards}
    assert {"json/decoder.py", "textwrap.py", "email/message.py"} <= names
    assert not any(part in ("test", "idlelib", "encodings", "pydoc_data") for name in names for part in name.split("/"))
    assert not any("sysconfigdata" in name or "site-packages" in name for name in names)
    facts = source.facts()
    assert facts["interpreter"].endswith("{}.{}.{}".format(*sys.version_info[:3]))
    assert facts["source_bytes"] == sum(shard.bytes for shard in shards) > 5_000_000
    assert len(facts["sha256"]) == 64 and facts == source.facts()


def test_the_held_out_modules_are_a_fair_share() -> None:
    (source,) = open_spec("python").sources
    held = [shard for shard in source.shards() if source.held_out(shard.id)]
    share = sum(shard.bytes for shard in held) / sum(shard.bytes for shard in source.shards())
    assert 0.06 < share < 0.09
    assert {shard.id for shard in held} >= {"json/decoder.py", "shlex.py"}
    assert not source.held_out("jsonl.py") and not source.held_out("textwrap.py")


def test_python_sources_are_decoded_as_they_declare(tmp_path: Path) -> None:
    (source,) = open_spec("python").sources
    shard = source.shards()[0]
    (tmp_path / "old.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = 'Zo\xeb'\n")
    (document,) = source.read(replace(shard, path=str(tmp_path / "old.py"), id="old.py"))
    assert isinstance(document, Document) and "Zoë" in document.text
    (tmp_path / "bad.py").write_bytes(b"name = 'Zo\xeb'\n")
    (bad,) = source.read(replace(shard, path=str(tmp_path / "bad.py"), id="bad.py"))
    assert isinstance(bad, Unreadable) and bad.reason == "wrong_encoding"

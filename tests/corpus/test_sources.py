"""What `--data` can be, and the law of every source: its shards are disjoint and complete, however many there are."""

import gzip
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import inputs
from groundup.config import Folder
from groundup.corpus.document import Document, Found, Raw, Source, Unreadable
from groundup.corpus.sources._base import FileSource, open_spec, open_specs
from groundup.errors import DataError

SENTENCES = [f"Row {number}: the tide rises and falls twice a day." for number in range(2000)]


def write_examples(folder: Path) -> None:
    """A file for every source that reads files, each of over two parts."""
    for name, write in inputs.WRITERS.items():
        write(folder / name, SENTENCES[: 40 if name.endswith(("gz", "epub", "pdf", "xml")) else None])
    text = "".join(f"Paragraph {number} has a few words and a number.\n\n" for number in range(6000))
    (folder / "long.txt").write_text(text, encoding="utf-8")


def taken(found: Iterable[Found]) -> list[Document | Unreadable]:
    """What was read, the texts taken out."""
    return [item.taken() if isinstance(item, Raw) else item for item in found]


def read_all(source: Source, parts: int) -> list[Document | Unreadable]:
    """What the source gives when each file is read in so many parts."""
    divisible = not isinstance(source, FileSource) or source.divisible
    found: list[Document | Unreadable] = []
    for shard in source.shards():
        pieces = range(parts) if divisible else [0]
        for part in pieces:
            found += taken(source.read(replace(shard, part=part, parts=len(pieces))))
    return sorted(found, key=lambda item: item.id)


def documents(spec: object) -> dict[str, Document]:
    opened = open_spec(str(spec))
    items = [item for source in opened.sources for shard in source.shards() for item in taken(source.read(shard))]
    return {item.id: item for item in items if isinstance(item, Document)}


def problems(spec: object) -> list[Unreadable]:
    opened = open_spec(str(spec))
    items = [item for source in opened.sources for shard in source.shards() for item in taken(source.read(shard))]
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
    assert found["r17"].text == SENTENCES[17]
    assert SENTENCES[3] in found["page.html"].text and "var x" not in found["page.html"].text
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
    data = (tmp_path / "table.parquet").read_bytes()
    (tmp_path / "table.parquet").write_bytes(data[: len(data) // 2])
    (broken,) = problems(tmp_path / "table.parquet")
    assert broken.reason == "broken_file" and "table.parquet: not a whole Parquet file" in broken.detail
    parquet.write_table(pa.table({"n": [1]}), tmp_path / "numbers.parquet")
    (numbers,) = problems(tmp_path / "numbers.parquet")
    assert numbers.reason == "no_text" and "row 1" in numbers.detail


def test_a_column_is_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id;note;poem\n1;short;A long poem\n", encoding="utf-8")
    assert [(each.reason, "note, poem" in each.detail) for each in problems(tmp_path / "t.csv")] == [("no_text", True)]
    assert documents(f"{tmp_path / 't.csv'}#poem=2")["1"].text == "A long poem"
    (missing,) = problems(f"{tmp_path / 't.csv'}#story")
    assert "no text in 'story'" in missing.detail
    (tmp_path / "a.txt").write_text("text", encoding="utf-8")
    with pytest.raises(DataError, match="nothing here has columns; leave out #poem"):
        open_spec(f"{tmp_path / 'a.txt'}#poem")


def test_a_quote_that_is_never_closed_costs_the_rest_of_the_table_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b'id,text\n1,"one\ntwo"\n2,Zo\xeb\n3,"' + b"x" * (17 << 20))
    found = documents(tmp_path / "t.csv")
    assert {name: document.text for name, document in found.items()} == {"1": "one\ntwo", "2": "Zoë"}
    assert [found[name].repaired for name in "12"] == [False, True]
    assert [each.reason for each in problems(tmp_path / "t.csv")] in (["broken_record"], ["long_line"])


def test_a_json_file_is_a_list_or_lines_or_one_record(tmp_path: Path) -> None:
    for text, expected in (
        ('[\n {"text": "a"},\n {"text": "b"}\n]', {"t.json:00000001": "a", "t.json:00000002": "b"}),
        ('{"text": "a"}\n{"text": "b"}\n', {"t.json:00000001": "a", "t.json:00000002": "b"}),
        ('{\n "text": "a"\n}', {"t.json:00000001": "a"}),
    ):
        (tmp_path / "t.json").write_text(text, encoding="utf-8")
        assert {name: document.text for name, document in documents(tmp_path / "t.json").items()} == expected


def test_records_say_where_they_are_from(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a", "url": "http://x.org/a", "license": "MIT"}', encoding="utf-8")
    (found,) = documents(tmp_path / "t.jsonl").values()
    assert (found.url, found.license) == ("http://x.org/a", "MIT")


def test_what_a_gitignore_leaves_out_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("src/a.py", "src/gen/b.py", "build/c.py", "keep.log.txt", "sub/x.txt", "sub/y.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("build/\n*.log.txt\n!keep.log.txt\ngen\n*.txt\n", encoding="utf-8")
    (tmp_path / "sub" / ".gitignore").write_text("!x.txt\n", encoding="utf-8")
    assert set(documents(tmp_path)) == {"src/a.py", "sub/x.txt"}
    skipped = {(each.id, each.reason) for each in problems(tmp_path)}
    assert skipped == {(name, "git_ignored") for name in ("build", "src/gen", "keep.log.txt", "sub/y.txt")}
    assert set(documents(tmp_path / "build")) == {"c.py"}


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

"""Books, papers and wikis: their order, their prose, and what cannot be read of them."""

import bz2
import zipfile
from pathlib import Path

import pytest

import inputs
from groundup.corpus.document import Document, Raw, Unreadable
from groundup.corpus.sources._base import open_spec
from groundup.corpus.sources._wikitext import prose
from groundup.corpus.sources.pdf import joined

TIDES = "The tide rises and falls twice a day, because the moon draws the water after it. Nobody knew why, for long."


def read(path: Path) -> list[Document | Unreadable]:
    sources = open_spec(str(path)).sources
    found = [item for source in sources for shard in source.shards() for item in source.read(shard)]
    return [item.taken() if isinstance(item, Raw) else item for item in found]


def only(path: Path) -> Unreadable:
    (found,) = read(path)
    assert isinstance(found, Unreadable) and found.path == str(path) and str(path) in found.detail
    return found


def texts(path: Path) -> dict[str, str]:
    return {item.id: item.text for item in read(path) if isinstance(item, Document)}


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    inputs.write_epub(tmp_path / "b.epub", ["First chapter.", "Second <em>chapter</em>."])
    assert texts(tmp_path / "b.epub") == {
        "b.epub#0001": "c0.xhtml\n\nFirst chapter.",
        "b.epub#0002": "c1.xhtml\n\nSecond chapter.",
    }


def test_a_locked_book_and_what_is_no_book_are_named(tmp_path: Path) -> None:
    inputs.write_epub(tmp_path / "locked.epub", ["First."], locked=True)
    assert only(tmp_path / "locked.epub").reason == "password"
    (tmp_path / "no.epub").write_bytes(b"PK\x03\x04 not really")
    assert only(tmp_path / "no.epub").reason == "broken_file"
    with zipfile.ZipFile(tmp_path / "empty.epub", "w") as book:
        book.writestr("mimetype", "application/epub+zip")
    assert only(tmp_path / "empty.epub").reason == "broken_file"


def test_a_chapter_that_is_a_bomb_costs_that_chapter_only(tmp_path: Path) -> None:
    inputs.write_epub(tmp_path / "b.epub", ["First.", "a" * (20 << 20), "Third."])
    assert (tmp_path / "b.epub").stat().st_size < 100_000
    first, bomb, third = read(tmp_path / "b.epub")
    assert isinstance(bomb, Unreadable) and "over the" in bomb.detail
    assert isinstance(first, Document) and isinstance(third, Document)


def test_a_paper_is_joined_to_prose_without_its_running_heads(tmp_path: Path) -> None:
    inputs.write_pdf(tmp_path / "p.pdf", [TIDES, "Some (more) of it.", "The end."])
    assert texts(tmp_path / "p.pdf") == {
        "p.pdf": "The tide rises and falls twice a day, because the moon draws the water after it. Nobody knew why, "
        "for long.\nSome (more) of it.\nThe end."
    }


def test_words_that_a_line_broke_are_mended() -> None:
    assert joined(["It was a won-\nderful day,\nand then\nit rained.\nNew line."]) == (
        "It was a wonderful day, and then it rained.\nNew line."
    )


def test_a_paper_with_a_password_and_a_broken_one_are_named(tmp_path: Path) -> None:
    inputs.write_pdf(tmp_path / "locked.pdf", [TIDES], locked=True)
    assert only(tmp_path / "locked.pdf").reason == "password"
    (tmp_path / "no.pdf").write_bytes(b"%PDF-1.4 and no more")
    assert only(tmp_path / "no.pdf").reason == "broken_file"


def test_a_dump_gives_its_articles_with_their_addresses(tmp_path: Path) -> None:
    inputs.write_mediawiki(tmp_path / "d.xml", [TIDES, "'''Second''' one.[[Category:Seas]]"])
    (tmp_path / "d.xml.bz2").write_bytes(bz2.compress((tmp_path / "d.xml").read_bytes()))
    assert texts(tmp_path / "d.xml") == {
        "d.xml:0000000001": f"Page 1\n\n{TIDES}",
        "d.xml:0000000002": "Page 2\n\nSecond one.",
    }
    first = read(tmp_path / "d.xml.bz2")[0]
    assert isinstance(first, Document) and first.url == "https://en.example.org/wiki/Page_1"


def test_a_dump_that_breaks_off_is_read_up_to_there(tmp_path: Path) -> None:
    inputs.write_mediawiki(tmp_path / "d.xml", [TIDES] * 3)
    data = (tmp_path / "d.xml").read_bytes()
    (tmp_path / "d.xml").write_bytes(data[: data.index(b"<title>Page 3") + 10])
    one, two, broken = read(tmp_path / "d.xml")
    assert isinstance(one, Document) and isinstance(two, Document)
    assert isinstance(broken, Unreadable) and "broken after page 4" in broken.detail


@pytest.mark.parametrize(
    "data",
    [
        b"<rss><item>News</item></rss>",
        b"no xml",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><mediawiki>&b;</mediawiki>',
    ],
)
def test_xml_that_is_no_dump_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_bytes(data)
    assert "not a MediaWiki dump" in only(tmp_path / "x.xml").detail


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("{{Box|a=b}}'''Tide''' is the ''rise'' of [[sea level]]s.<ref>Book</ref>", "Tide is the rise of sea levels."),
        ("[[File:x.jpg|thumb|A [[caption]]]]It is {{convert|5|km}} long ({{IPA|x}}).", "It is 5 km long."),
        ("== Causes ==\n* One\n* [[Moon|Two]]\n# Three", "Causes\n\n- One\n- Two\n- Three"),
        ("A\n{| class=x\n|-\n| cell\n|}\nB<br>C &mdash; D", "A\n\nB\nC — D"),
        ("<syntaxhighlight lang=py>\ndef f():\n    pass\n</syntaxhighlight>", "def f():\n    pass"),
        ("Text.\n== References ==\n* Book\n== More ==\nLost.", "Text."),
        ("{{" * 500 + "[[" * 500 + "deep", "{{" * 500 + "[[" * 500 + "deep"),
    ],
)
def test_wikitext_reads_as_prose(wikitext: str, expected: str) -> None:
    found = [line.strip() for line in prose(wikitext, frozenset({"file", "category"})).split("\n")]
    assert found == [line.strip() for line in expected.split("\n")]

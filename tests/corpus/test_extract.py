"""HTML to text: on real pages with hand-made answers, and on what pages are made of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.extraction import article_scores, books_kept, method, readability_scores
from groundup.config import Folder
from groundup.corpus.extract._base import decoded

DATA = Path(__file__).parents[3] / "shared" / "data"
METHODS = Folder("corpus.extract").choices()
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data")

PROSE = "To sort a list you call the function sorted, which gives a new list and leaves the old one as it was before."
CODE = "def f(items):\n    for item in sorted(items):\n        print(item)"
PAGE = f"""<html><head><title>Title</title><style>p {{}}</style><script>var hidden = 1</script></head><body>
<nav><ul><li><a href="/">Home page</a></li><li><a href="/about">About us</a></li></ul></nav>
<div class="page"><div class="content"><article><h1>Sorting a list</h1><p>{PROSE}</p><pre><code>{CODE}</code></pre>
<p>There are things that everyone ought to know about it before they use it in a program of their own:</p>
<div><ul><li>It is stable, so equal items keep their order.</li><li>It takes a key.</li></ul></div>
<p>{PROSE}</p></article></div></div>
<footer>Copyright 2020. <a href="/privacy">Privacy policy</a></footer></body></html>"""


@pytest.mark.parametrize("name", METHODS)
def test_code_and_lists_are_kept_and_what_is_around_is_not(name: str) -> None:
    text = method(name)(PAGE.encode())
    assert CODE in text and text.count(PROSE) == 2
    assert "It is stable, so equal items keep their order.\n" in text and "It takes a key." in text
    assert not any(word in text for word in ("hidden", "Home page", "Privacy"))


@pytest.mark.parametrize("name", METHODS)
def test_a_page_that_is_all_text_is_kept_whole(name: str) -> None:
    page = "<html><body><h2>I</h2><p>Short.</p><footer><p>Yours, Ann</p></footer></body></html>"
    assert [line for line in method(name)(page.encode()).split("\n") if line] == ["I", "Short.", "Yours, Ann"]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("page", [b"", b"\0\0", b"<", b"<html>", b"\xff\xfe<\0p\0", b"<p>\xed\xa0\x80</p>"])
def test_what_is_no_page_gives_what_text_there_is(name: str, page: bytes) -> None:
    assert len(method(name)(page)) <= 3


@pytest.mark.parametrize(
    ("page", "charset", "expected"),
    [
        ("<p>Größe – Maß</p>".encode(), "", "<p>Größe – Maß</p>"),
        ("<p>Größe</p>".encode("latin-1"), "iso-8859-1", "<p>Größe</p>"),
        ('<meta charset="koi8-r"><p>Привет, мир</p>'.encode("koi8-r"), "", '<meta charset="koi8-r"><p>Привет, мир</p>'),
        ("<p>日本語のテキスト</p>".encode("shift_jis"), "shift_jis", "<p>日本語のテキスト</p>"),
        ("<p>Zoë</p>".encode("utf-16"), "utf-8", "<p>Zoë</p>"),
        ("<p>Zoë</p>".encode(), "no-such-thing", "<p>Zoë</p>"),
    ],
)
def test_pages_are_decoded_as_they_or_the_server_say(page: bytes, charset: str, expected: str) -> None:
    assert decoded(page, charset) == expected


@needs_data
@pytest.mark.parametrize(("name", "least"), [("trafilatura", 0.955), ("resiliparse", 0.92)])
def test_articles_are_found_in_real_pages(name: str, least: float) -> None:
    assert article_scores(DATA, method(name))[2] >= least


@needs_data
def test_the_text_of_pages_that_readability_knows_is_found() -> None:
    assert readability_scores(DATA, method("trafilatura"))[2] >= 0.90


@needs_data
@pytest.mark.parametrize("name", METHODS)
def test_books_keep_their_words_in_order(name: str) -> None:
    assert books_kept(DATA, method(name)) >= 0.99


def test_the_measure_can_fail() -> None:
    def nothing(page: bytes) -> str:
        return "nothing of it"

    wrong: Callable[[bytes], str] = nothing
    if DATA.is_dir():
        assert books_kept(DATA, wrong) < 0.01

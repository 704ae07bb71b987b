"""MediaWiki XML dumps: an article is a document; redirects, talk, templates and files are left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from xml.parsers import expat

from groundup.corpus.document import Document, Found, Raw, Shard, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.sources._wikitext import prose
from groundup.corpus.streams import breaks, broken, chunks

ARTICLES = "0"
# The elements whose text is wanted; of those that occur in a page and in its revision (id), the first counts.
WANTED = frozenset({"title", "ns", "id", "text", "namespace", "base"})


class Mediawiki(FileSource):
    """Reads the articles of a dump as prose, each under its title; ids are `name:` and the page's number."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".xml"})

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Found]:
        """The articles of every `parts`-th page; an XML file that is no dump is skipped by name, as is what is broken.

        One page is in memory at a time; one over 16 MiB is skipped.
        """
        dump = _Dump()
        number = 0
        ends: tuple[type[Exception], ...] = (expat.ExpatError, *breaks())
        try:
            for chunk in chunks(Path(shard.path)):
                dump.feed(chunk)
                for page in dump.taken():
                    number += 1
                    if number % shard.parts == shard.part and (found := self._page(shard, page, dump, number)):
                        yield found
            dump.close()
        except ends as error:
            if shard.part == 0:
                yield self._broken(shard, error, number)

    def _page(self, shard: Shard, page: dict[str, str], dump: "_Dump", number: int) -> Found | None:
        if page.get("ns", ARTICLES) != ARTICLES or "redirect" in page:
            return None
        name, title, text = f"{shard.id}:{page.get('id', number):0>10}", page.get("title", ""), page.get("text", "")
        if "over" in page:
            detail = f"{shard.path}: {title}: over the {DOCUMENT_BYTES:,} bytes that one document may have"
            return Unreadable(name, shard.path, "long_document", detail)
        url = f"{dump.base}{title.replace(' ', '_')}" if dump.base else ""
        spaces = frozenset(dump.namespaces)
        return Raw(Document(name, "", self.label, shard.path, url=url), lambda: f"{title}\n\n{prose(text, spaces)}")

    def _broken(self, shard: Shard, error: Exception, number: int) -> Unreadable:
        if not isinstance(error, expat.ExpatError):
            return broken(Path(shard.path), shard.id, error)
        what = f"broken after page {number}: {error}" if number else f"not a MediaWiki dump: {error}"
        return Unreadable(shard.id, shard.path, "broken_file", f"{shard.path}: {what}")


class _Dump:
    """A dump on its way through the parser: the site's namespaces, and the pages that are whole."""

    def __init__(self) -> None:
        self.namespaces: list[str] = []
        self.base = ""
        self._pages: list[dict[str, str]] = []
        self._page: dict[str, str] = {}
        self._name, self._text, self._size = "", list[str](), 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._root
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data
        self._parser.EntityDeclHandler = self._entity

    def feed(self, data: bytes) -> None:
        """Parse some bytes. Raises ExpatError."""
        self._parser.Parse(data, False)

    def close(self) -> None:
        """The end of the file. Raises ExpatError when the dump is not whole."""
        self._parser.Parse(b"", True)

    def taken(self) -> list[dict[str, str]]:
        """The pages that became whole since the last call."""
        found, self._pages = self._pages, []
        return found

    def _root(self, name: str, attributes: dict[str, str]) -> None:
        if name != "mediawiki":
            raise expat.ExpatError(f"its first element is <{name}>")
        self._parser.StartElementHandler = self._start

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "page":
            self._page = {}
        elif name == "redirect":
            self._page["redirect"] = attributes.get("title", "")
        self._name, self._text, self._size = (name if name in WANTED else ""), [], 0

    def _data(self, text: str) -> None:
        if self._name:
            self._size += len(text)
            if self._size <= DOCUMENT_BYTES:
                self._text.append(text)

    def _end(self, name: str) -> None:
        if name == "page":
            self._pages.append(self._page)
        elif name == self._name:
            text = "".join(self._text)
            if name == "namespace":
                self.namespaces.append(text.strip().lower())
            elif name == "base":
                self.base = text.rpartition("/")[0] + "/" if "/" in text else ""
            else:
                self._page.setdefault(name, text)
                if self._size > DOCUMENT_BYTES:
                    self._page["over"] = name
        self._name = ""

    def _entity(self, *declared: Any) -> None:
        raise expat.ExpatError("it declares entities, which no dump does")

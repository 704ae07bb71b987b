"""Web pages: a file is a page, and its main text is a document."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from groundup.corpus.document import Document, Shard, Unreadable
from groundup.corpus.extract import html_to_text
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.streams import whole


class Html(FileSource):
    """Reads the main text of HTML pages."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".html", ".htm", ".xhtml"})
    divisible: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The one document of the page; a page over 16 MiB is skipped by name."""
        page = whole(Path(shard.path), shard.id, DOCUMENT_BYTES)
        yield page if isinstance(page, Unreadable) else Document(shard.id, html_to_text(page), self.label, shard.path)

"""Web pages: a file is a page, and its main text is a document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from groundup.config import Component
from groundup.corpus.document import Document, Found, Raw, Shard, Unreadable
from groundup.corpus.extract._base import METHODS, Extractor
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.streams import whole


class Html(FileSource):
    """Reads the main text of HTML pages."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".html", ".htm", ".xhtml"})
    divisible: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]
    extract: Annotated[Component, METHODS] = Field("trafilatura", validate_default=True)

    def read(self, shard: Shard) -> Iterator[Found]:
        """The one document of the page; a page over 16 MiB is skipped by name."""
        assert isinstance(self.extract, Extractor)
        method = self.extract
        page = whole(Path(shard.path), shard.id, DOCUMENT_BYTES)
        if isinstance(page, Unreadable):
            yield page
        else:
            yield Raw(Document(shard.id, "", self.label, shard.path), lambda: method.text(page))

"""Web archives: WARC, its text and metadata kin WET and WAT, and the older ARC; a page is a document."""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from groundup.config import Component
from groundup.corpus.document import Document, Found, Raw, Shard, Unreadable
from groundup.corpus.extract._base import METHODS, Extractor, decoded
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.streams import READ_BYTES, breaks

HTML = ("text/html", "application/xhtml+xml")
PLAIN = "text/plain"
# Records that hold a page, or the text of one; the others (requests, metadata, revisits) tell of the crawl.
WITH_PAGE = ("response", "resource", "conversion")
OK = 200
# No header line is longer.
LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `kind` is its WARC type; `media` and `charset` are what was said of its content.

    `status` is that of the HTTP response, 0 where the record holds none. `payload` is the content without HTTP headers,
    chunks unpacked; empty in records of a kind that holds no page, None when it is over the limit.
    """

    number: int
    kind: str
    url: str
    status: int
    media: str
    charset: str
    payload: bytes | None


class Warc(FileSource):
    """Reads web archives: the main text of HTML pages, plain text as it is, the texts of WET files."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".warc", ".wet", ".wat", ".arc"})

    label: str
    files: tuple[tuple[str, str], ...]
    extract: Annotated[Component, METHODS] = Field("trafilatura", validate_default=True)

    def read(self, shard: Shard) -> Iterator[Found]:
        """The pages of every `parts`-th record; their ids are `name:00000012`, counted over all records of the file.

        Pages with another status than 200, or that are neither HTML nor plain text, are skipped by name.
        """
        for record in records(Path(shard.path), shard.id, shard.part, shard.parts):
            if isinstance(record, Unreadable):
                if shard.part == 0:
                    yield record
            elif record.number % shard.parts == shard.part and record.kind in WITH_PAGE:
                yield self._page(shard, record)

    def _page(self, shard: Shard, record: Record) -> Found:
        name, where = f"{shard.id}:{record.number:08d}", f"{shard.path}: record {record.number}: {record.url}"
        if record.status not in (0, OK):
            return Unreadable(name, shard.path, "http_status", f"{where}: the server answered {record.status}")
        if record.media not in (*HTML, PLAIN):
            return Unreadable(name, shard.path, "media_type", f"{where}: {record.media or 'no type'}, not HTML or text")
        if record.payload is None:
            return Unreadable(name, shard.path, "long_document", f"{where}: over {DOCUMENT_BYTES:,} bytes")
        page, charset = record.payload, record.charset
        if record.media == PLAIN:
            return Document(name, decoded(page, charset), self.label, shard.path, url=record.url)
        assert isinstance(self.extract, Extractor)
        method = self.extract
        return Raw(Document(name, "", self.label, shard.path, url=record.url), lambda: method.text(page, charset))


def records(path: Path, name: str = "", part: int = 0, parts: int = 1) -> Iterator[Record | Unreadable]:
    """Every record of an archive in order, numbered from 1; what lies behind a break is one `Unreadable`.

    Packed archives (gzip, a member a record) are told by their first bytes. A record that ends before its stated length
    is followed by an `Unreadable`. Only every `parts`-th payload is read. Holds one payload at a time.
    """
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    number = 0
    try:
        with path.open("rb") as file:
            archive = ArchiveIterator(file, arc2warc=True)
            reader = archive.reader = _bounded(file)
            while (found := _next(archive)) is not None:
                number += 1
                yield _record(number, found, with_payload=number % parts == part)
                if _is_short(found):
                    yield _cut(path, name, number, f"record {number} ends before its stated length")
            if reader.cut:
                yield _cut(path, name, number + 1, f"what follows record {number} has no end")
    except (ArchiveLoadFailed, *breaks(), ValueError, AttributeError, TypeError) as error:
        why = str(error).strip() or "its bytes are no record"
        detail = f"{path}: broken after record {number}: {why[:200]}; the rest is left out"
        yield Unreadable(f"{name}:{number + 1:08d}", str(path), "broken_archive", detail)


def _bounded(file: Any) -> Any:
    """warcio's reader of a file, in which no line is longer than `LINE_BYTES`: a bomb must not become one line.

    `cut` says, once it is closed, that the last gzip member has no end.
    """
    from warcio.bufferedreaders import DecompressingBufferedReader

    class Bounded(DecompressingBufferedReader):  # type: ignore[misc]
        cut = False

        def readline(self, length: int | None = None) -> bytes:
            return bytes(super().readline(length or LINE_BYTES))

        def close_decompressor(self) -> None:
            self.cut = self.decompressor is not None and not self.decompressor.eof and self.num_read > 0
            super().close_decompressor()

    return Bounded(file)


def _cut(path: Path, name: str, number: int, what: str) -> Unreadable:
    detail = f"{path}: {what}; the file was cut off there"
    return Unreadable(f"{name}:{number:08d}#cut", str(path), "broken_archive", detail)


def _next(archive: Any) -> Any:
    """The next record, or None; what warcio has to say about a wrong length goes into the ledger, not on the screen."""
    with redirect_stderr(io.StringIO()):
        return next(iter(archive), None)


def _is_short(record: Any) -> bool:
    """Whether the bytes of a record end before its stated length. Reads it to its end."""
    stream = record.raw_stream
    while stream.read(READ_BYTES):
        pass
    return bool(getattr(stream, "limit", 0) > 0)


def _record(number: int, record: Any, with_payload: bool) -> Record:
    headers, http = record.rec_headers, record.http_headers
    said = Message()
    said["content-type"] = (http or headers).get_header("Content-Type") or ""
    status = http.get_statuscode() if http is not None and record.rec_type == "response" else ""
    payload: bytes | None = b""
    if with_payload and record.rec_type in WITH_PAGE:
        payload = record.content_stream().read(DOCUMENT_BYTES + 1)
        payload = None if len(payload) > DOCUMENT_BYTES else payload
    return Record(
        number,
        record.rec_type,
        headers.get_header("WARC-Target-URI") or "",
        int(status) if status and status.isdigit() else 0,
        said.get_content_type() if said["content-type"] else "",
        said.get_content_charset() or "",
        payload,
    )

"""EPUB: a file is a book, and each part of its reading order, most often a chapter, is a document."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import unquote

from groundup.corpus.document import Document, Found, Raw, Shard, Unreadable
from groundup.corpus.extract._base import decoded, everything
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
# Fonts may be obfuscated by these two in a book that anyone can read (EPUB 3.3, "Font obfuscation").
FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
PAGES = ("application/xhtml+xml", "text/html")


class Epub(FileSource):
    """Reads the parts of a book in reading order, `name#0001` and so on; all their text, as books have no menus."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".epub"})
    divisible: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Found]:
        """The parts of the book. A locked book is skipped as `password`, a broken one as `broken_file`."""
        from lxml.etree import XMLSyntaxError

        try:
            with zipfile.ZipFile(shard.path) as book:
                if _is_locked(book):
                    detail = f"{shard.path}: the book is locked (DRM); give one without"
                    yield Unreadable(shard.id, shard.path, "password", detail)
                    return
                for number, name in enumerate(_reading_order(book), 1):
                    yield self._part(book, name, shard, f"{shard.id}#{number:04d}")
        except (*BREAKS, XMLSyntaxError) as error:
            detail = f"{shard.path}: not a whole EPUB file: {error}"
            yield Unreadable(shard.id, shard.path, "broken_file", detail)

    def _part(self, book: zipfile.ZipFile, name: str, shard: Shard, part: str) -> Found:
        try:
            page = _member(book, name)
        except BREAKS as error:
            return Unreadable(part, shard.path, "broken_file", f"{shard.path}: {name}: {error}")
        return Raw(Document(part, "", self.label, shard.path), lambda: everything(decoded(page)))


# With what a broken or hostile archive ends: a member that is not there, is encrypted, is packed in an unknown way,
# does not unpack, or is larger than a document may be.
BREAKS = (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, zlib.error, EOFError, OSError, ValueError)


def _member(book: zipfile.ZipFile, name: str) -> bytes:
    """A file of the archive. Raises ValueError when it unpacks to more than a document may have."""
    with book.open(name) as file:
        data = file.read(DOCUMENT_BYTES + 1)
    if len(data) > DOCUMENT_BYTES:
        raise ValueError(f"over the {DOCUMENT_BYTES:,} bytes that one document may have")
    return data


def _reading_order(book: zipfile.ZipFile) -> Iterator[str]:
    """The names of the pages in the order of the book's spine. Raises ValueError where the book has none."""
    package = next((found.get("full-path") for found in _elements(_member(book, CONTAINER), "rootfile")), None)
    if not package:
        raise ValueError(f"{CONTAINER} names no package")
    described = _member(book, package)
    items = {item.get("id"): item for item in _elements(described, "item")}
    spine = [items[part.get("idref")] for part in _elements(described, "itemref") if part.get("idref") in items]
    if not spine:
        raise ValueError(f"{package} has no reading order")
    for item in spine:
        is_contents = "nav" in (item.get("properties") or "").split()
        if item.get("media-type") in PAGES and not is_contents:
            yield posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(item.get("href") or "")))


def _is_locked(book: zipfile.ZipFile) -> bool:
    """Whether anything but fonts is encrypted."""
    if ENCRYPTION not in book.namelist():
        return False
    methods = [found.get("Algorithm") for found in _elements(_member(book, ENCRYPTION), "EncryptionMethod")]
    return any(method not in FONTS for method in methods)


def _elements(data: bytes, name: str) -> Iterator[Any]:
    """The elements of a name in any namespace, in order. Entities are not resolved and nothing is fetched."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return iter(etree.fromstring(data, parser).iter(f"{{*}}{name}"))

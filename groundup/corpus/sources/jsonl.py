"""JSON lines: a line is a record, and a record is a document."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from groundup.corpus.document import Document, Shard, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.sources._record import document_of
from groundup.corpus.streams import lines, record
from groundup.errors import DataError


class Jsonl(FileSource):
    """Reads the text of each record; its id is the record's `id`, else the file and the line, `name:00000012`."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".jsonl", ".ndjson"})

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The documents of every `parts`-th line; a broken line is skipped by number."""
        for line in lines(Path(shard.path), shard.id, DOCUMENT_BYTES):
            if isinstance(line, Unreadable):
                if shard.part == 0:
                    yield line
                continue
            number, data = line
            if number % shard.parts == shard.part and not data.isspace() and data:
                yield self._document(shard, number, data)

    def _document(self, shard: Shard, number: int, data: bytes) -> Document | Unreadable:
        name, where = f"{shard.id}:{number:08d}", f"line {number}"
        try:
            row, repaired = record(data)
        except DataError as error:
            return Unreadable(name, shard.path, "broken_record", f"{shard.path}: {where}: {error}; mend or remove it")
        found = document_of(row, self.label, shard.path, name, where)
        return replace(found, repaired=True) if repaired and isinstance(found, Document) else found

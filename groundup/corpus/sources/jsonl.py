"""JSON lines, and JSON files that are a list of records: a record is a document."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from groundup.corpus.document import Document, Found, Shard, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.sources._record import document_of
from groundup.corpus.streams import lines, record, suffix, whole
from groundup.errors import DataError


class Jsonl(FileSource):
    """Reads the text of each record; its id is the record's `id`, else file and line, `name:00000012`."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".jsonl", ".ndjson", ".json"})
    fragile: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]
    column: str = ""

    def read(self, shard: Shard) -> Iterator[Found]:
        """The documents of every `parts`-th record; a broken line is skipped by number."""
        array = _array(shard) if suffix(Path(shard.path)) == ".json" else None
        if array is not None:
            rows, repaired = array
            for number, row in enumerate(rows, 1):
                if number % shard.parts == shard.part:
                    yield self._document(shard, number, f"record {number}", row, repaired)
            return
        for line in lines(Path(shard.path), shard.id, DOCUMENT_BYTES):
            if isinstance(line, Unreadable):
                if shard.part == 0:
                    yield line
                continue
            number, data = line
            if number % shard.parts == shard.part and not data.isspace() and data:
                yield self._line(shard, number, data)

    def _line(self, shard: Shard, number: int, data: bytes) -> Found:
        where = f"line {number}"
        try:
            row, repaired = record(data)
        except DataError as error:
            detail = f"{shard.path}: {where}: {error}; mend or remove it"
            return Unreadable(f"{shard.id}:{number:08d}", shard.path, "broken_record", detail)
        return self._document(shard, number, where, row, repaired)

    def _document(self, shard: Shard, number: int, where: str, row: object, repaired: bool) -> Found:
        found = document_of(row, self.label, shard.path, f"{shard.id}:{number:08d}", where, self.column)
        return replace(found, repaired=True) if repaired and isinstance(found, Document) else found


def _array(shard: Shard) -> tuple[list[object], bool] | None:
    """The records of a file that is one JSON value, and whether it was repaired; None where it is no such file."""
    data = whole(Path(shard.path), shard.id, DOCUMENT_BYTES)
    if isinstance(data, Unreadable):
        return None
    try:
        value, repaired = record(data)
    except DataError:
        return None
    return (value if isinstance(value, list) else [value]), repaired

"""CSV and TSV: a row is a record under the names of the first, and a record is a document."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from groundup.corpus.document import Document, Found, Shard, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource
from groundup.corpus.sources._record import document_of
from groundup.corpus.streams import decode, lines

DELIMITERS = (",", ";", "\t", "|")


class Csv(FileSource):
    """Reads the text column; a document's id is the row's `id`, else the file and the row from 1, `name:00000012`."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".csv", ".tsv"})
    fragile: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]
    column: str = ""

    def read(self, shard: Shard) -> Iterator[Found]:
        """The documents of every `parts`-th row. The rest of a file behind a quote that is never closed is skipped.

        The sign between columns is the one of comma, semicolon, tab and bar that the first line has most of.
        """
        csv.field_size_limit(DOCUMENT_BYTES)  # the module's own limit is lower than ours, and there is only one
        stream = _Lines(shard)
        row = 0
        try:
            for row, record in enumerate(csv.DictReader(stream, delimiter=stream.delimiter()), 1):
                yield from stream.problems()
                if row % shard.parts == shard.part:
                    yield self._document(record, shard, row, stream.repaired())
        except csv.Error as error:
            detail = f"{shard.path}: row {row + 1}: {error}; is a quote before it not closed? the rest is left out"
            stream.unread.append(Unreadable(f"{shard.id}:{row + 1:08d}", shard.path, "broken_record", detail))
        yield from stream.problems()

    def _document(self, record: dict[str, str], shard: Shard, row: int, repaired: bool) -> Found:
        name, where = f"{shard.id}:{row:08d}", f"row {row}"
        found = document_of(record, self.label, shard.path, name, where, self.column)
        return replace(found, repaired=True) if repaired and isinstance(found, Document) else found


class _Lines:
    """The lines of a table as text, and what was met on the way."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._lines = lines(Path(shard.path), shard.id, DOCUMENT_BYTES)
        self._repaired = False
        self.unread: list[Unreadable] = []
        self._first = next(self._read(), "")

    def delimiter(self) -> str:
        """What stands between columns, by the first line; the comma where it has one column."""
        return max(DELIMITERS, key=self._first.count)

    def problems(self) -> list[Unreadable]:
        """The lines that could not be read since the last call; one part of a file tells of them, not each."""
        found, self.unread = self.unread, []
        return found if self._shard.part == 0 else []

    def repaired(self) -> bool:
        """Whether a line since the last call was not UTF-8."""
        found, self._repaired = self._repaired, False
        return found

    def __iter__(self) -> Iterator[str]:
        yield self._first
        yield from self._read()

    def _read(self) -> Iterator[str]:
        for line in self._lines:
            if isinstance(line, Unreadable):
                self.unread.append(line)
                continue
            text, repaired = decode(line[1])
            self._repaired = self._repaired or repaired
            yield text

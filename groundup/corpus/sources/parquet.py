"""Parquet: a row is a record, and a record is a document."""

from collections.abc import Iterator
from typing import Any, ClassVar

from groundup.corpus.document import Found, Shard
from groundup.corpus.sources import _table
from groundup.corpus.sources._base import FileSource


class Parquet(FileSource):
    """Reads the text column; a document's id is the row's `id`, else the file and the row from 1, `name:00000012`."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".parquet", ".pq"})

    label: str
    files: tuple[tuple[str, str], ...]
    column: str = ""

    def read(self, shard: Shard) -> Iterator[Found]:
        """The documents of every `parts`-th row group; what lies behind a damaged page is skipped by name."""
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(shard.path) as file:
                yield from self._documents(file, shard)
        except (pyarrow.ArrowException, OSError) as error:
            if shard.part == 0:
                yield _table.broken(shard, "Parquet", error)

    def _documents(self, file: Any, shard: Shard) -> Iterator[Found]:
        columns = _table.columns(file.schema_arrow, self.column)
        first = 1
        for group in range(file.num_row_groups):
            if group % shard.parts == shard.part:
                row = first
                for batch in file.iter_batches(_table.ROWS_AT_ONCE, row_groups=[group], columns=columns):
                    yield from _table.documents(batch, row, self.label, shard, self.column)
                    row += batch.num_rows
            first += file.metadata.row_group(group).num_rows

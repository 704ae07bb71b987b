"""Parquet: a row is a record, and a record is a document."""

from collections.abc import Iterator
from typing import Any, ClassVar

from groundup.corpus.document import Document, Shard, Unreadable
from groundup.corpus.sources._base import FileSource
from groundup.corpus.sources._record import document_of, text_field

ROWS_AT_ONCE = 256


class Parquet(FileSource):
    """Reads the text column; a document's id is the row's `id`, else the file and the row from 1, `name:00000012`."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".parquet", ".pq"})

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The documents of every `parts`-th row group; what lies behind a damaged page is skipped by name."""
        import pyarrow
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(shard.path) as file:
                yield from self._documents(file, shard)
        except (pyarrow.ArrowException, OSError) as error:
            if shard.part == 0:
                detail = f"{shard.path}: not a whole Parquet file: {str(error).splitlines()[0]}"
                yield Unreadable(shard.id, shard.path, "broken_file", detail)

    def _documents(self, file: Any, shard: Shard) -> Iterator[Document | Unreadable]:
        from pyarrow import types

        kinds = {column.name: column.type for column in file.schema_arrow}
        field = text_field({name: types.is_string(kind) or types.is_large_string(kind) for name, kind in kinds.items()})
        columns = [name for name in ("id", field) if name in kinds] or list(kinds)[:1]
        row = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if group % shard.parts == shard.part:
                start = row
                for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=columns):
                    for record in batch.to_pylist():
                        start += 1
                        name = f"{shard.id}:{start:08d}"
                        yield document_of(record, self.label, shard.path, name, f"row {start}")
            row += count

"""Tables of Arrow's types, Parquet and Arrow itself: a row is a record, and a record is a document."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from groundup.corpus.document import Document, Shard, Unreadable
from groundup.corpus.sources._record import columns_of, document_of

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 256


def columns(schema: "pyarrow.Schema", column: str) -> list[str]:
    """The columns to read: that of the text, and what a document says of itself."""
    from pyarrow import types

    kinds = {field.name: field.type for field in schema}
    texts = {name: types.is_string(kind) or types.is_large_string(kind) for name, kind in kinds.items()}
    return columns_of(texts, column)


def documents(rows: Any, first: int, label: str, shard: Shard, column: str) -> Iterator[Document | Unreadable]:
    """The documents of a record batch whose first row is the `first` of the file, counted from 1."""
    for start in range(0, rows.num_rows, ROWS_AT_ONCE):
        for row, record in enumerate(rows.slice(start, ROWS_AT_ONCE).to_pylist(), first + start):
            yield document_of(record, label, shard.path, f"{shard.id}:{row:08d}", f"row {row}", column)


def broken(shard: Shard, kind: str, error: Exception) -> Unreadable:
    """The counted skip for a file that Arrow cannot read, or not to its end."""
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Unreadable(shard.id, shard.path, "broken_file", f"{shard.path}: not a whole {kind} file: {why}")

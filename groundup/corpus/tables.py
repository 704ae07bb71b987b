"""Parquet files on the way through the passes: their columns, and a writer that leaves a whole file or none."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from groundup.errors import ResourceError

# What a document is known by beside its text: from its source, and from the filters that label it.
LABELS: list[tuple[str, Any]] = [
    ("url", pa.string()),
    ("license", pa.string()),
    ("language", pa.string()),
    ("quality", pa.float32()),
    ("toxicity", pa.float32()),
    ("masked", pa.int32()),
]
# Pass 1: one row for every document, kept or not, for every passage that a filter cut out of one, and for everything
# that could not be read. `key` is the batch's number times 2^32 plus the place in it; `rank` orders copies of a text,
# held-out ones first, and those of an `earlier` corpus before all; `content` is the hash of the text, `copy` that of
# the text without case and white space; `pinned` says true (held out) or false where a rule decides, not the hash.
# `step` is what removed it: a filter's name, or one of the steps below. `read_bytes` is the size of the text as it was
# read; null for a passage, whose document has a row of its own.
JUDGED = pa.schema(
    [
        ("key", pa.int64()),
        ("rank", pa.int64()),
        ("id", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("kept", pa.bool_()),
        ("step", pa.string()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("detail", pa.string()),
        ("repaired", pa.bool_()),
        *LABELS,
        ("pinned", pa.bool_()),
        ("bytes", pa.int64()),
        ("read_bytes", pa.int64()),
        ("content", pa.string()),
        ("earlier", pa.bool_()),
        ("copy", pa.string()),
        ("bands", pa.list_(pa.uint64())),
        ("minima", pa.binary()),
        ("prints", pa.list_(pa.uint64())),
        ("text", pa.large_string()),
    ]
)
# Pass 3: what is kept, and what is not.
DOCUMENTS = pa.schema(
    [(name, JUDGED.field(name).type) for name in ("id", "text", "source", "path")]
    + [*LABELS, ("split", pa.string()), ("bytes", pa.int64())]
)
REMOVED = pa.schema(
    [
        (name, JUDGED.field(name).type)
        for name in ("id", "source", "path", "step", "reason", "value", "threshold", "detail")
    ]
    + [("duplicate_of", pa.string()), *LABELS, ("bytes", pa.int64()), ("text", pa.large_string())]
)
# Steps that are no filters: what could not be read, or took its worker with it, copies, passages that stood before.
UNREAD, LOST, EXACT, NEAR, SPANS = "unread", "lost", "exact", "near", "spans"
GROUP_BYTES = 4 << 20
BATCH_BITS = 32


class Rows:
    """Collects rows and writes them in groups of about so many bytes. A context: on a clean exit the file appears.

    Random numbers, which no method makes smaller, are best written not `compressed`.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, group_bytes: int = GROUP_BYTES, *, compressed: bool = True
    ) -> None:
        self._path, self._schema = path, schema
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        self._how: dict[str, Any] = {"compression": "zstd"} if compressed else plain
        self._aside = _beside(path)
        self._held: dict[str, list[Any]] = {name: [] for name in schema.names}
        self._size, self._most = 0, group_bytes

    def __enter__(self) -> "Rows":
        self._file = parquet.ParquetWriter(self._aside, self._schema, **self._how)
        return self

    def add(self, size: int, **row: Any) -> None:
        """One row; `size` is about how many bytes it holds. A column that is not named is null."""
        for name, column in self._held.items():
            column.append(row.get(name))
        self._size += size
        if self._size >= self._most:
            self._flush()

    def extend(self, **columns: NDArray[Any]) -> None:
        """Many rows at once, a whole group of them: every column, all of one length."""
        self._flush()
        self._file.write_table(pa.table(columns, schema=self._schema))

    def __exit__(self, error: type[BaseException] | None, *rest: object) -> None:
        whole = False
        try:
            if error is None:
                self._flush()
            self._file.close()
            whole = error is None
        finally:
            if whole:
                self._aside.replace(self._path)
            else:
                self._aside.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._held[self._schema.names[0]]:
            self._file.write_table(pa.table(self._held, schema=self._schema))
        for column in self._held.values():
            column.clear()
        self._size = 0


def _beside(path: Path) -> Path:
    """A file of this process alone: a worker orphaned by a kill may still write the same file as its successor."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path` on a clean exit."""
    other = _beside(path)
    try:
        yield other
        other.replace(path)
    finally:
        other.unlink(missing_ok=True)


@contextmanager
def room_on(folder: Path) -> Iterator[None]:
    """Turns "no space left on device" into a ResourceError that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC and "No space left" not in str(error):
            raise
        raise ResourceError(f"{folder}: the disk is full; make room or give another folder, then run again") from None

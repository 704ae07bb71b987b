"""Arrow IPC, as file (Feather) or as stream (Hugging Face's cache): a row is a record, and a record is a document."""

from collections.abc import Iterator
from typing import Any, ClassVar

from groundup.corpus.document import Found, Shard
from groundup.corpus.sources import _table
from groundup.corpus.sources._base import FileSource

FILE_MARK = b"ARROW1"


class Arrow(FileSource):
    """Reads the text column; a document's id is the row's `id`, else the file and the row from 1, `name:00000012`."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".arrow", ".feather", ".ipc"})

    label: str
    files: tuple[tuple[str, str], ...]
    column: str = ""

    def read(self, shard: Shard) -> Iterator[Found]:
        """The documents of every `parts`-th record batch; what lies behind a break is skipped by name."""
        import pyarrow

        try:
            with pyarrow.memory_map(shard.path) as data:
                first = 1
                for number, batch in enumerate(_batches(data)):
                    if number % shard.parts == shard.part:
                        rows = batch.select(_table.columns(batch.schema, self.column))
                        yield from _table.documents(rows, first, self.label, shard, self.column)
                    first += batch.num_rows
        except (pyarrow.ArrowException, OSError) as error:
            if shard.part == 0:
                yield _table.broken(shard, "Arrow", error)


def _batches(data: Any) -> Iterator[Any]:
    """The record batches of a mapped file, whichever of the two forms it has; none is in memory before its turn."""
    from pyarrow import ipc

    is_file = data.read(len(FILE_MARK)) == FILE_MARK
    data.seek(0)
    if is_file:
        file = ipc.open_file(data)
        yield from (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        yield from ipc.open_stream(data)

"""Documents and records read here and now: for a look at a few, or a file that must be whole; not for a corpus."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from groundup.corpus.document import Document, Raw, Unreadable
from groundup.corpus.repair import repair
from groundup.corpus.sources._base import DOCUMENT_BYTES, open_specs
from groundup.corpus.streams import lines, record
from groundup.errors import DataError


def documents_of(specs: Sequence[str]) -> Iterator[Document]:
    """What can be read, in order, repaired as a corpus's documents are. Raises DataError for data that is not there."""
    for opened in open_specs(specs):
        for source in opened.sources:
            for shard in source.shards():
                for found in source.read(shard):
                    taken = found.taken() if isinstance(found, Raw) else found
                    if not isinstance(taken, Unreadable):
                        text, mojibake = repair(taken.text)
                        yield replace(taken, text=text, repaired=taken.repaired or mojibake)


def records_of(path: str) -> Iterator[tuple[int, Any]]:
    """Line number and value of each record of a JSONL file, plain or compressed. Raises DataError for a broken line."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"{path}: there is no such file; give JSON lines, plain or compressed")
    for line in lines(file, path, DOCUMENT_BYTES):
        if isinstance(line, Unreadable):
            raise DataError(line.detail)
        number, data = line
        if data.strip():
            try:
                yield number, record(data)[0]
            except DataError as error:
                raise DataError(f"{path}: line {number}: {error}; mend or remove it") from None

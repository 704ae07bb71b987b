"""The token file: one header, every document's ids, where each document begins.

    72 bytes    magic, version, width, vocabulary, separator, tokens, documents, sha256 of all that follows and of these
    tokens      ids, uint16 or uint32 by the vocabulary, little endian; each document begins with the separator
    documents   offsets in tokens, uint64: one a document and one past the end, at the next multiple of 8 bytes

It is written aside and renamed, so a file that exists is whole unless it was damaged, which `Shard.open` finds out.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundup.errors import DataError

Ids = npt.NDArray[np.integer[Any]]

MAGIC = b"groundup"
VERSION = 1
HEADER = struct.Struct("<8sIIIIQQ32s")
CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class ShardFacts:
    """What a token file holds. `n_tokens` counts the separators too."""

    n_documents: int
    n_tokens: int
    n_bytes: int
    sha256: str


def write(path: Path, documents: Iterable[Sequence[int] | Ids], vocab_size: int, separator: int) -> ShardFacts:
    """Write the ids of documents, a `separator` (end of text) before each; whole or not at all, in bounded memory.

    Raises DataError for an id that the vocabulary does not have, and OSError when the disk is full.
    """
    aside = path.with_name(path.name + ".partial")
    try:
        with aside.open("wb") as file:
            facts = _write(file, documents, vocab_size, separator)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return facts


def _write(file: Any, documents: Iterable[Sequence[int] | Ids], vocab_size: int, separator: int) -> ShardFacts:
    dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
    file.write(bytes(HEADER.size))
    digest = hashlib.sha256()
    offsets = [0]
    for number, document in enumerate(documents):
        given = np.asarray(document, dtype=np.int64)
        if given.size and not (given.min() >= 0 and given.max() < vocab_size):
            bad = int(given.min()) if given.min() < 0 else int(given.max())
            raise DataError(
                f"document {number} holds the id {bad}, the vocabulary has {vocab_size}; "
                "tokenize it with the tokenizer of this run"
            )
        data = np.concatenate(([separator], given)).astype(dtype).tobytes()
        digest.update(data)
        file.write(data)
        offsets.append(offsets[-1] + given.size + 1)
    tail = bytes(-offsets[-1] * dtype.itemsize % 8) + np.asarray(offsets, dtype="<u8").tobytes()
    digest.update(tail)
    file.write(tail)
    n_bytes = file.tell()
    fields = (MAGIC, VERSION, dtype.itemsize, vocab_size, separator, offsets[-1], len(offsets) - 1)
    digest.update(HEADER.pack(*fields, bytes(32)))
    file.seek(0)
    file.write(HEADER.pack(*fields, digest.digest()))
    return ShardFacts(len(offsets) - 1, offsets[-1], n_bytes, digest.hexdigest())


@dataclass(frozen=True, eq=False)
class Shard:
    """A token file, memory-mapped: pages are read when touched, and given back when memory is short."""

    path: Path
    ids: Ids
    """(n_tokens,) every id, separators too."""
    offsets: npt.NDArray[np.uint64]
    """(n_documents + 1,) where each document's separator stands; the last one is n_tokens."""
    vocab_size: int
    separator: int
    sha256: str

    @classmethod
    def open(cls, path: Path, verify: bool = True) -> "Shard":
        """Map a token file. `verify` reads it once and compares the checksum.

        Raises DataError for a file that is missing, of another format, torn or altered.
        """
        advice = "delete it and run again, the tokens stage writes it anew"
        if not path.is_file():
            raise DataError(f"{path}: there is no such token file; run the tokens stage first")
        with path.open("rb") as file:
            head = file.read(HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise DataError(f"{path}: not a token file; {advice}")
        _, version, width, vocab_size, separator, n_tokens, n_documents, digest = HEADER.unpack(head)
        if version != VERSION:
            raise DataError(f"{path}: a token file of version {version}, this program reads {VERSION}; {advice}")
        tail = HEADER.size + -(-n_tokens * width // 8) * 8
        due, size = tail + 8 * (n_documents + 1), path.stat().st_size
        if width not in (2, 4) or size != due:
            raise DataError(f"{path}: torn: {size} bytes where its header tells of {due}; {advice}")
        if verify and _digest(path, head) != digest:
            raise DataError(f"{path}: altered since it was written, its checksum differs; {advice}")
        data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
        ids = data[HEADER.size : HEADER.size + n_tokens * width].view(f"<u{width}")
        return cls(path, ids, data[tail:].view("<u8"), vocab_size, separator, digest.hex())

    @property
    def n_tokens(self) -> int:
        """Number of ids, separators too."""
        return len(self.ids)

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1

    def document(self, number: int) -> Ids:
        """The ids of one document, without its separator; a view of the file."""
        return self.ids[int(self.offsets[number]) + 1 : int(self.offsets[number + 1])]

    def documents(self) -> Iterator[Ids]:
        """The ids of every document, in the order they were written."""
        return map(self.document, range(self.n_documents))


def _digest(path: Path, head: bytes) -> bytes:
    """The checksum of a file as it is now: what follows the header, then the header with no checksum in it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(HEADER.size)
        while data := file.read(CHUNK_BYTES):
            digest.update(data)
    *fields, _ = HEADER.unpack(head)
    digest.update(HEADER.pack(*fields, bytes(32)))
    return digest.digest()

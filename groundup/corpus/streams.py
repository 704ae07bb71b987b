"""Bytes of a file, plain or compressed, in bounded memory: no line and no read is without a limit."""

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundup.corpus.document import Unreadable
from groundup.errors import DataError

COMPRESSED = (".gz", ".bz2", ".zst", ".xz")
READ_BYTES = 1 << 20
# A zstd block of 4 bytes can stand for 128 KiB, so one read of 2 KiB unpacks to 64 MiB at worst.
ZSTD_READ_BYTES = 2048
SNIFF_BYTES = 8192
# Text packs to a third or a tenth. What unpacks to over so many times its size, and to over so many bytes, was made to
# fill memory or time.
BOMB_RATIO, BOMB_BYTES = 250, 4 << 20
UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def suffix(path: Path) -> str:
    """The lower-case suffix that tells the format, that of a compression set aside.

    >>> suffix(Path("Books.JSONL.zst"))
    '.jsonl'
    """
    name = path.name.lower()
    for packed in COMPRESSED:
        name = name.removesuffix(packed)
    return Path(name).suffix


def chunks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes of a file, a megabyte or so at a time.

    Raises OSError, EOFError, zlib.error, lzma.LZMAError or zstandard.ZstdError where the file is broken, after all
    that could be read before the break; EOFError where it unpacks to far more than any text does.
    """
    if path.suffix.lower() not in COMPRESSED:
        yield from _unpacked(path)
        return
    most, size = max(BOMB_BYTES, BOMB_RATIO * path.stat().st_size), 0
    for chunk in _unpacked(path):
        size += len(chunk)
        if size > most:
            raise EOFError(f"it unpacks to over {BOMB_RATIO} times its size, as no text does")
        yield chunk


def _unpacked(path: Path) -> Iterator[bytes]:
    packing = path.suffix.lower()
    if packing == ".zst":
        yield from _zstd_chunks(path)
    elif packing in (".gz", ".bz2", ".xz"):
        opener: Any = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}[packing]
        with opener(path, "rb") as stream:
            while data := stream.read1(READ_BYTES):  # read1: `read` would lose what came just before a break
                yield data
    else:
        with path.open("rb", buffering=0) as plain:
            while data := plain.read(READ_BYTES):
                yield data


def _zstd_chunks(path: Path) -> Iterator[bytes]:
    import zstandard

    engine = zstandard.ZstdDecompressor()
    frame, started = engine.decompressobj(), False
    with path.open("rb") as packed:
        while data := packed.read(ZSTD_READ_BYTES):
            while data:
                started = True
                if unpacked := frame.decompress(data):
                    yield unpacked
                data = frame.unused_data
                if frame.eof:
                    frame, started = engine.decompressobj(), False
    if started:
        raise EOFError("the last frame has no end")


def breaks() -> tuple[type[Exception], ...]:
    """The errors with which `chunks` says that a file is missing, refused or broken."""
    import zstandard

    return (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)


def broken(path: Path, name: str, error: Exception) -> Unreadable:
    """The counted skip for an error of `breaks()`."""
    if isinstance(error, OSError) and error.errno is not None:
        return Unreadable(name, str(path), "unreadable_file", f"{path}: {error.strerror}")
    return Unreadable(name, str(path), "broken_archive", f"{path}: the compressed data cannot be read on: {error}")


def lines(path: Path, name: str, limit: int) -> Iterator[tuple[int, bytes] | Unreadable]:
    r"""Numbered lines (from 1) with their `\n`; a line over `limit` bytes, or a break, comes as `Unreadable`.

    `name` starts the ids of what is unreadable. Never holds more than `limit` bytes and one chunk.
    """
    number, held, size = 1, [], 0
    try:
        for chunk in chunks(path):
            first, *rest = chunk.split(b"\n")
            if size <= limit:
                held.append(first)
            size += len(first)
            for line in rest:
                held.append(b"\n")
                yield _line(path, name, number, held, size, limit)
                number, held, size = number + 1, [line], len(line)
    except breaks() as error:
        yield broken(path, name, error)
        return
    if size:
        yield _line(path, name, number, held, size, limit)


def _line(
    path: Path, name: str, number: int, held: list[bytes], size: int, limit: int
) -> tuple[int, bytes] | Unreadable:
    if size <= limit:
        return number, b"".join(held)
    detail = f"{path}: line {number} has {size:,} bytes, over the {limit:,} that one line may have; break it up"
    return Unreadable(f"{name}:{number}", str(path), "long_line", detail)


def whole(path: Path, name: str, limit: int) -> bytes | Unreadable:
    """All bytes of a file, or `Unreadable` when it is broken or holds more than `limit`."""
    held, size = [], 0
    try:
        for chunk in chunks(path):
            held.append(chunk)
            size += len(chunk)
            if size > limit:
                detail = f"{path}: over the {limit:,} bytes that one document may have; split the file"
                return Unreadable(name, str(path), "long_document", detail)
    except breaks() as error:
        return broken(path, name, error)
    return b"".join(held)


def foreign(path: Path, name: str) -> Unreadable | None:
    """`Unreadable` when the first bytes show that the file is no text we read (binary, UTF-16), else None."""
    try:
        head = next(iter(chunks(path)), b"")[:SNIFF_BYTES]
    except breaks() as error:
        return broken(path, name, error)
    if head.startswith(UNICODE_MARKS):
        return Unreadable(name, str(path), "utf16", f"{path}: UTF-16 text; save it as UTF-8")
    if b"\0" in head:
        return Unreadable(name, str(path), "binary", f"{path}: a binary file; leave it out or convert it to text")
    return None


def decode(data: bytes) -> tuple[str, bool]:
    """The text of the bytes, and whether they had to be repaired because they are no UTF-8.

    Bytes with more stray than valid multi-byte sequences are taken for Windows-1252, the usual old encoding of
    western text; in others each stray byte becomes U+FFFD. A byte-order mark is left out.

    >>> decode("Zoë".encode()), decode("Zoë".encode("cp1252"))
    (('Zoë', False), ('Zoë', True))
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8"), False
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    stray = text.count("\ufffd")
    valid = sum(ord(letter) > 127 for letter in text) - stray
    if stray > valid:
        text = data.decode("cp1252", "replace")
    return text, True


def record(line: bytes) -> tuple[Any, bool]:
    """The JSON value of one line, and whether its bytes had to be repaired. Raises DataError with the column."""
    text, repaired = decode(line)
    try:
        return json.loads(text.strip()), repaired
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise DataError("not usable JSON: nested too deep") from None

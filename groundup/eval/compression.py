"""Yardsticks for bits per byte: what xz and PPMd make of the very bytes that the model is measured on.

PPMd is variant H as in 7-Zip (`PPMd7`). *Primed* means that it reads training text first, as the model did: the size
counted is what the held-out bytes add.
"""

import lzma
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import pyppmd

from groundup.events import SILENT, Reporter

ORDER = 16
# PPMd forgets everything when its memory is full. 512 MiB hold the statistics of PRIME_BYTES + 2 MB of English at order
# 16 with room to spare: 768 MiB and 1 GiB give the same size to the byte (55 books, measured).
MEMORY_BYTES = 512 << 20
PRIME_BYTES = 16 << 20  # about 7 s at 2.3 MB/s; what the yardstick reads of a longer training text is its end
_CHUNK = 1 << 20


def xz(data: bytes) -> int:
    """Bytes that `xz -9e` makes of `data`."""
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def ppmd(data: bytes, *, primer: bytes = b"", progress: Reporter = SILENT) -> int:
    """Bytes that PPMd of order 16 makes of `data`, having read `primer` first.

    One pass: an encoder that has written the primer out goes on with the data. What it holds back of the primer is at
    most the 5 bytes of its range coder, so the figure is at most 5 bytes too high.
    """
    encoder = pyppmd.Ppmd7Encoder(ORDER, MEMORY_BYTES)
    size = 0
    with progress.task("PPMd, primed" if primer else "PPMd", total=len(primer) + len(data), unit="bytes") as bar:
        for chunk in _chunks(primer):
            encoder.encode(chunk)
            bar.advance(len(chunk))
        for chunk in _chunks(data):
            size += len(encoder.encode(chunk))
            bar.advance(len(chunk))
    return size + len(encoder.flush())


def last_bytes(texts: Iterable[str], limit: int = PRIME_BYTES) -> bytes:
    """The last `limit` bytes of texts laid end to end, read as a stream: no more than that is ever held."""
    if limit <= 0:
        return b""
    held: deque[bytes] = deque()
    size = 0
    for text in texts:
        held.append(to_bytes(text)[-limit:])
        size += len(held[-1])
        while size - len(held[0]) >= limit:
            size -= len(held.popleft())
    return b"".join(held)[-limit:]


def to_bytes(text: str) -> bytes:
    """The raw bytes of a text. Half a surrogate pair, for which UTF-8 has no form, counts three."""
    return text.encode("utf-8", "surrogatepass")


def yardsticks(data: bytes, training: Iterable[str] = (), *, progress: Reporter = SILENT) -> dict[str, float]:
    """Bits per byte of `data` by `xz`, `ppmd` and, where there is training text, `ppmd_primed`.

    Raises ValueError for no data.
    """
    if not data:
        raise ValueError("there are no bytes to compress; hold at least one document out")
    sizes = {"xz": xz(data), "ppmd": ppmd(data, progress=progress)}
    primer = last_bytes(training)
    if primer:
        sizes["ppmd_primed"] = ppmd(data, primer=primer, progress=progress)
    return {name: 8 * size / len(data) for name, size in sizes.items()}


def settings() -> dict[str, Any]:
    """How the yardsticks were set, for the facts of an evaluation."""
    return {
        "xz": "preset 9, extreme",
        "ppmd_order": ORDER,
        "ppmd_memory_bytes": MEMORY_BYTES,
        "primed_bytes_at_most": PRIME_BYTES,
    }


def _chunks(data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    return (bytes(view[first : first + _CHUNK]) for first in range(0, len(data), _CHUNK))

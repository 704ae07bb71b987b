"""How much text there is, and how hard it is to predict, found from a sample in a second or two."""

import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.corpus.document import Document, Raw, Shard, Source
from groundup.corpus.sources._base import open_specs
from groundup.corpus.streams import COMPRESSED, breaks, chunks
from groundup.errors import DataError

SAMPLE_BYTES = 1 << 20
CODE_SUFFIXES = (".py", ".c", ".h", ".cpp", ".rs", ".go", ".java", ".js", ".ts")


@dataclass(frozen=True)
class Text:
    """`bytes` is an estimate of the unpacked size; `xz` the bits per byte of `xz -6` on a sample; `code` its share."""

    bytes: int
    files: int
    xz: float
    code: float


def measure(specs: Sequence[str]) -> Text:
    """Look at the user's text. Raises DataError when there is none, and whatever `open_spec` raises."""
    total, files, code = 0.0, 0, 0.0
    sample: list[str] = []
    held = 0
    for opened in open_specs(list(specs)):
        for source in opened.sources:
            shards = source.shards()
            texts, ratio = _sampled(source, shards, SAMPLE_BYTES * 2 - held)
            sample += texts
            held += sum(map(len, texts))
            ratio = ratio or _unpacking(shards)
            total += sum(shard.bytes for shard in shards) * ratio
            files += len({shard.path for shard in shards})
            code += sum(shard.bytes for shard in shards if shard.path.endswith(CODE_SUFFIXES)) * ratio
    data = "\n".join(sample).encode("utf-8", "replace")[:SAMPLE_BYTES]
    if not data.strip():
        raise DataError(f"no text in {', '.join(specs)}: nothing that could be read; name a folder or files with text")
    packed = len(lzma.compress(data, preset=6))
    return Text(int(total), files, 8 * packed / len(data), code / max(1.0, total))


def _sampled(source: Source, shards: Sequence[Shard], room: int) -> tuple[list[str], float]:
    """Texts from all over a source, to `room` bytes or so; and, where they are taken out of something larger (pages,
    papers, dumps), the bytes of text a stored byte; else 0."""
    texts: list[str] = []
    out = stored = 0
    for shard in shards[:: max(1, len(shards) // 64)]:
        if room <= 0:
            break
        taken = 0
        for found in source.read(shard):
            document = found.taken() if isinstance(found, Raw) else found
            if isinstance(document, Document):
                texts.append(document.text[: SAMPLE_BYTES // 8])
                taken += len(document.text) if isinstance(found, Raw) else 0
                room -= len(texts[-1])
            if room <= 0:
                break
        else:  # what was read to its end tells what such a shard holds
            out, stored = out + taken, stored + shard.bytes
    return texts, out / max(1, stored)


def _unpacking(shards: Sequence[Shard]) -> float:
    """Unpacked bytes a stored byte, from the head of the largest compressed file."""
    packed = [shard for shard in shards if shard.path.endswith(COMPRESSED)]
    if not packed:
        return 1.0
    largest = Path(max(packed, key=lambda shard: shard.bytes).path)
    out = 0
    try:
        for chunk in chunks(largest):
            out += len(chunk)
            if out > 64 * SAMPLE_BYTES:
                return 3.5  # too large to count in a second: what zstd and gzip give on prose
    except breaks():
        pass
    return max(1.0, out / max(1, largest.stat().st_size))

"""How much text there is, and how hard it is to predict, found from a sample in a second or two."""

import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundup.corpus.crew import crew
from groundup.corpus.document import Shard
from groundup.corpus.sample import ITEM_SECONDS, sample
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
    """Look at the user's text. Raises DataError when there is none, and whatever `open_spec` raises.

    A page that crashes or hangs its parser is left out, as in a build.
    """
    total, files, code = 0.0, 0, 0.0
    texts: list[str] = []
    held = 0
    with crew(1, ITEM_SECONDS) as hands:
        for source in (source for opened in open_specs(list(specs)) for source in opened.sources):
            shards = source.shards()
            found = sample(source, shards, SAMPLE_BYTES * 2 - held, SAMPLE_BYTES // 8, hands)
            texts += found.texts
            held += sum(map(len, found.texts))
            ratio = found.ratio or _unpacking(shards)
            total += sum(shard.bytes for shard in shards) * ratio
            files += len({shard.path for shard in shards})
            code += sum(shard.bytes for shard in shards if shard.path.endswith(CODE_SUFFIXES)) * ratio
    data = "\n".join(texts).encode("utf-8", "replace")[:SAMPLE_BYTES]
    if not data.strip():
        raise DataError(f"no text in {', '.join(specs)}: nothing that could be read; name a folder or files with text")
    packed = len(lzma.compress(data, preset=6))
    return Text(int(total), files, 8 * packed / len(data), code / max(1.0, total))


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

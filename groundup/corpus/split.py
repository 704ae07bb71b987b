"""What is held out for measuring, and what is learnt from."""

from collections.abc import Sequence
from fnmatch import filter as matching
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pydantic import Field

from groundup.config import Config
from groundup.corpus.document import Source
from groundup.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


class HeldOut(Config):
    """Which documents are held out: about `fraction` of the bytes, at most `max_bytes`, chosen by the texts' hashes.

    `ids` are globs on document ids (`h-g-wells_the-time-machine/*`) that replace the hash rule, and with it a source's
    own list.
    """

    fraction: float = Field(0.05, gt=0, lt=1)
    max_bytes: int = Field(2_000_000, gt=0)
    ids: tuple[str, ...] = ()

    def pinned(self, source: Source, document_id: str) -> bool | None:
        """Whether a rule puts the document into the held-out split (True) or the other; None leaves it to the hash."""
        if self.ids:
            return any(fnmatchcase(document_id, pattern) for pattern in self.ids)
        return source.held_out(document_id)

    def check(self, ids: Sequence[str]) -> None:
        """Raises DataError for a glob that no document matches."""
        for pattern in self.ids:
            if not matching(ids, pattern):
                raise DataError(f"held_out.ids: no document matches {pattern!r}; ids look like {', '.join(ids[:3])}")

    def choose(self, table: "pa.Table") -> set[int]:
        """Keys of the held-out documents. The table has `content` (a hash), `bytes`, `pinned` and `key` of all kept.

        Those no rule speaks of are taken in the order of their hashes, as long as they fit; when none fits, the first
        of them. Raises DataError unless both splits get a document.
        """
        from pyarrow import compute

        held = set(table.filter(compute.fill_null(table["pinned"], False))["key"].to_pylist())
        free = table.filter(compute.is_null(table["pinned"]))
        free = free.select(["content", "bytes", "key"]).sort_by([(name, "ascending") for name in ("content", "key")])
        sizes, keys = free["bytes"].to_numpy(), free["key"].to_numpy()
        room = min(self.fraction * int(sizes.sum()), self.max_bytes)
        least = int(sizes.min()) if len(sizes) else 0
        for size, key in zip(sizes, keys, strict=True):
            if room < least:
                break
            if size <= room:
                held.add(int(key))
                room -= int(size)
        if not held and len(keys):
            held.add(int(keys[0]))
        if not held or len(held) == len(table):
            raise DataError(
                f"{len(held)} of {len(table)} documents would be held out: at least one is needed to learn from and "
                "one to measure on; give more text, or change held_out.ids"
            )
        return held
